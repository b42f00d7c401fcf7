/* library.c - what runs, not what was compiled against. */
#include "config/library.h"

#include <jansson.h>

const char *library_jansson(void)
{
    return jansson_version_str();
}

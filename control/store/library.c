/* library.c - which SQLite runs here. */
#include "control/store/library.h"

#include <sqlite3.h>

const char *library_sqlite(void)
{
    return sqlite3_libversion();
}

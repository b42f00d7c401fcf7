/* libraries.c - which libcurl and c-ares run here and which hiredis this was built with. */
#include "control/link/libraries.h"

#include <ares.h>
#include <curl/curl.h>
#include <hiredis/hiredis.h>

#define TEXT_OF(x)          #x
#define VERSION_OF(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

const char *library_curl(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}

const char *library_cares(void)
{
    return ares_version(NULL);
}

const char *library_hiredis(void)
{
    return VERSION_OF(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

/* libraries.c - what runs, not what was compiled against. */
#include "proxy/event/libraries.h"

#include <event2/event.h>
#include <openssl/crypto.h>

const char *library_libevent(void)
{
    return event_get_version();
}

const char *library_openssl(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

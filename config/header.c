/* header.c - the names that are not for operators. */
#include "config/header.h"

#include "config/units.h"

/* Letters and digits only, lower case. A name ending in '*' is a prefix. */
static const char *const own[] = {
    "connection",       "contentlength",   "expect",     "forwarded",   "host",
    "keepalive",        "proxyconnection", "te",         "trailer",     "traceparent",
    "transferencoding", "upgrade",         "via",        "xforwarded*", "xflag*",
    "xclientcert*",     "xrealip",         "xrequestid",
};

static bool is_own(struct str plain)
{
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        struct str name = str_of(own[i]);

        if (str_ends(name, STR("*")) ? str_starts(plain, (struct str){name.p, name.n - 1})
                                     : str_eq(plain, name))
            return true;
    }
    return false;
}

const char *header_error(struct str name)
{
    char plain[64];
    size_t n = 0;

    if (!unit_token(name))
        return "not the name of a header field";
    for (size_t i = 0; i < name.n && n < sizeof(plain); i++) {
        char c = ascii_lower(name.p[i]);

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            plain[n++] = c;
    }
    return is_own((struct str){plain, n}) ? "a header field that only the proxy writes" : NULL;
}

bool header_value_ok(struct str value)
{
    return value.n <= HEADER_VALUE_MAX && str_eq(str_trim(value), value);
}

/* dns_srv.c - the answer to a question for SRV records. */
#include "control/link/dns_srv.h"
#include "config/units.h"

#include <ares.h>

enum { HEADER = 12, RR_FIXED = 10, SRV_FIXED = 6, TYPE_CNAME = 5, TYPE_SRV = 33, CLASS_IN = 1 };

struct reader {
    const unsigned char *msg, *at, *end;
};

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static uint16_t be16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* The name at R, in *NAME (ares_free_string), and past it. */
static bool read_name(struct reader *r, char **name)
{
    long used;

    if (left(r) == 0 || ares_expand_name(r->at, r->msg, (int)(r->end - r->msg), name, &used))
        return false;
    r->at += used;
    return true;
}

static bool skip_name(struct reader *r)
{
    char *name;

    if (!read_name(r, &name))
        return false;
    ares_free_string(name);
    return true;
}

/* False: the target is no host name. */
static bool take_target(const char *name, struct dns_srv *out)
{
    struct str s = str_of(name);

    if (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    if (!unit_hostname(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        out->target[i] = ascii_lower(s.p[i]);
    out->target[s.n] = '\0';
    return true;
}

/* One record whose data is at R->at, N bytes. -1: damaged; 1: OUT is filled. */
static int read_srv(const struct reader *r, size_t n, struct dns_srv *out)
{
    struct reader data = *r;
    char *name;

    if (n <= SRV_FIXED)
        return -1;
    *out = (struct dns_srv){
        .priority = be16(r->at), .weight = be16(r->at + 2), .port = be16(r->at + 4)};
    data.at += SRV_FIXED;
    if (!read_name(&data, &name))
        return -1;
    bool ok = data.at == r->at + n && out->port > 0 && take_target(name, out);
    ares_free_string(name);
    return ok;
}

/* RFC 2181, 8: what looks negative is none. */
static uint32_t read_ttl(const unsigned char *p)
{
    uint32_t ttl = (uint32_t)be16(p) << 16 | be16(p + 2);

    return ttl > INT32_MAX ? 0 : ttl;
}

int dns_srv_parse(const unsigned char *msg, size_t n, struct dns_srv *list, size_t max,
                  uint32_t *ttl_s)
{
    struct reader r = {msg, msg + HEADER, msg + n};
    size_t found = 0;

    *ttl_s = UINT32_MAX;
    if (n < HEADER)
        return -1;
    for (unsigned i = be16(msg + 4); i > 0; i--) {
        if (!skip_name(&r) || left(&r) < 4)
            return -1;
        r.at += 4;
    }
    for (unsigned i = be16(msg + 6); i > 0; i--) {
        if (!skip_name(&r) || left(&r) < RR_FIXED)
            return -1;
        unsigned type = be16(r.at), class = be16(r.at + 2);
        uint32_t ttl = read_ttl(r.at + 4);
        size_t size = be16(r.at + 8);
        r.at += RR_FIXED;
        if (size > left(&r))
            return -1;
        bool ours = class == CLASS_IN && (type == TYPE_SRV || type == TYPE_CNAME);
        if (ours && ttl < *ttl_s)
            *ttl_s = ttl;
        if (ours && type == TYPE_SRV && found < max) {
            int rc = read_srv(&r, size, &list[found]);
            if (rc < 0)
                return -1;
            found += (size_t)rc;
        }
        r.at += size;
    }
    return (int)found;
}

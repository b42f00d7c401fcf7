/* sticky.c - where the key of a client comes from. */
#include "proxy/route/sticky.h"

#include "proxy/http/cookie.h"

static bool find(const struct conf_sticky *c, const struct head *h, struct str ip,
                 struct str *key)
{
    const struct field *f;

    switch (c->by) {
    case CONF_STICKY_COOKIE:
        return cookie_find(h, c->name, key);
    case CONF_STICKY_HEADER:
        if (!(f = head_find(h, c->name, 0)))
            return false;
        *key = head_value(h, f);
        return true;
    case CONF_STICKY_IP:
        *key = ip;
        return true;
    case CONF_STICKY_NONE:
        break;
    }
    return false;
}

bool sticky_key(const struct conf_sticky *c, const struct head *h, struct str ip,
                struct str *key)
{
    return find(c, h, ip, key) && key->n > 0 && key->n <= STICKY_KEY_MAX;
}

void sticky_mint(char key[STICKY_KEY], const uint64_t random[2])
{
    struct out o = out_init(key, STICKY_KEY);

    out_hex(&o, random[0], STICKY_KEY / 2);
    out_hex(&o, random[1], STICKY_KEY / 2);
}

void sticky_write_cookie(struct out *o, const struct conf_sticky *c, struct str key,
                         bool secure)
{
    out_put(o, STR("Set-Cookie: "));
    out_put(o, c->name);
    out_char(o, '=');
    out_put(o, key);
    out_put(o, STR("; Path=/"));
    if (c->ttl_ms) {
        out_put(o, STR("; Max-Age="));
        out_u64(o, (c->ttl_ms + 999) / 1000);
    }
    out_put(o, secure ? STR("; HttpOnly; SameSite=Lax; Secure\r\n")
                      : STR("; HttpOnly; SameSite=Lax\r\n"));
}

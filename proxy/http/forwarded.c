/* forwarded.c - who a request comes from, when proxies in front are trusted to say so. */
#include "proxy/http/forwarded.h"

#define FIXED 128 /* names, separators and line ends of both fields */

/* The last element of the list *REST, which is cut off from it. False: the list is empty. */
static bool last_element(struct str *rest, struct str *element)
{
    if (rest->n == 0)
        return false;

    const char *comma = memrchr(rest->p, ',', rest->n);
    size_t before = comma ? (size_t)(comma - rest->p) : 0;

    *element = str_trim(str_skip(*rest, comma ? before + 1 : 0));
    rest->n = before;
    return true;
}

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80". */
static bool element_ip(struct str element, struct str *text, uint8_t ip[16])
{
    uint64_t port;

    if (network_ip(element, ip)) {
        *text = element;
        return true;
    }
    if (element.n > 0 && element.p[0] == '[') {
        element = str_skip(element, 1);
        *text = str_cut(&element, ']');
        if (element.n > 0 && element.p[0] != ':')
            return false;
        element = str_skip(element, 1);
        return (element.n == 0 || str_to_u64(element, 65535, &port)) &&
               memchr(text->p, ':', text->n) && network_ip(*text, ip);
    }
    *text = str_cut(&element, ':');
    return str_to_u64(element, 65535, &port) && network_ip(*text, ip);
}

struct str forwarded_client(const struct head *req, const struct network *trusted, size_t n,
                            struct str peer)
{
    struct str client = peer, element, text;
    uint8_t ip[16];

    if (!head_has(req, FIELD_X_FORWARDED_FOR))
        return peer;
    for (uint16_t i = req->nfields; i-- > 0;) {
        struct str list = head_value(req, &req->fields[i]);

        if (req->fields[i].id != FIELD_X_FORWARDED_FOR)
            continue;
        while (last_element(&list, &element)) {
            if (!element_ip(element, &text, ip))
                return client;
            client = text;
            if (!network_match(trusted, n, ip))
                return client;
        }
    }
    return client;
}

/* All values of the field ID, each followed by ", ". */
static void put_values(struct out *o, const struct head *req, enum field_id id)
{
    for (uint16_t i = 0; head_has(req, id) && i < req->nfields; i++) {
        struct str value = head_value(req, &req->fields[i]);

        if (req->fields[i].id != id || value.n == 0)
            continue;
        out_put(o, value);
        out_put(o, STR(", "));
    }
}

void forwarded_write_for(struct out *o, const struct head *req, bool trusted, struct str peer)
{
    out_put(o, STR("X-Forwarded-For: "));
    if (trusted)
        put_values(o, req, FIELD_X_FORWARDED_FOR);
    out_put(o, peer);
    out_put(o, STR("\r\n"));
}

void forwarded_write_element(struct out *o, const struct head *req, bool trusted,
                             struct str peer, struct str host, struct str proto)
{
    bool v6 = peer.n && memchr(peer.p, ':', peer.n);

    out_put(o, STR("Forwarded: "));
    if (trusted)
        put_values(o, req, FIELD_FORWARDED);
    out_put(o, v6 ? STR("for=\"[") : STR("for="));
    out_put(o, peer.n ? peer : STR("unknown"));
    if (v6)
        out_put(o, STR("]\""));
    if (host.n && !memchr(host.p, '"', host.n) && !memchr(host.p, '\\', host.n)) {
        out_put(o, STR(";host=\""));
        out_put(o, host);
        out_char(o, '"');
    }
    out_put(o, STR(";proto="));
    out_put(o, proto);
    out_put(o, STR("\r\n"));
}

size_t forwarded_size(const struct head *req, struct str peer, struct str host)
{
    size_t n = FIXED + 2 * peer.n + host.n;

    for (uint16_t i = 0; i < req->nfields; i++)
        if (req->fields[i].id == FIELD_X_FORWARDED_FOR ||
            req->fields[i].id == FIELD_FORWARDED || req->fields[i].id == FIELD_X_FORWARDED_HOST)
            n += req->fields[i].value_n + 2u;
    return n;
}

struct str forwarded_proto(const struct head *req)
{
    struct str given = head_get(req, FIELD_X_FORWARDED_PROTO);

    if (str_ieq(given, STR("https")))
        return STR("https");
    return str_ieq(given, STR("http")) ? STR("http") : STR_NONE;
}

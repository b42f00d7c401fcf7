/*
 * h1_facts.c - from the lines of a head to what they mean.
 *
 * A message leaves here with exactly one framing and, if a request, one authority, or not at
 * all.
 */
#include "proxy/http/h1_facts.h"

#include "proxy/http/chars.h"
#include "proxy/http/h1_lenient.h"
#include "proxy/http/status.h"
#include "proxy/http/uri.h"

#define MOST_OPTIONS 32 /* in all Connection fields: each is compared with every field */

enum { OPTION_CLOSE = 1, OPTION_KEEP_ALIVE = 2, OPTION_UPGRADE = 4 };

void h1_refuse(struct h1_parser *p, int status, enum stats_violation kind, const char *why)
{
    p->status = p->response ? 502 : (uint16_t)status;
    p->kind = p->response ? STATS_BAD_RESPONSE : kind;
    p->why = why;
}

static bool refuse(struct h1_parser *p, int status, enum stats_violation kind, const char *why)
{
    h1_refuse(p, status, kind, why);
    return false;
}

/* "http://authority/path?query": the authority counts, the rest is origin-form. */
static bool absolute_target(struct h1_parser *p, struct head *h)
{
    struct str t = head_span(h, h->target), rest;
    size_t scheme = 7, n = 0;

    if (t.n > 7 && str_ieq((struct str){t.p, 8}, STR("https://")))
        scheme = 8;
    else if (t.n < 7 || !str_ieq((struct str){t.p, 7}, STR("http://")))
        return refuse(p, 400, STATS_BAD_TARGET, "target in no known form");
    rest = str_skip(t, scheme);
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    h->authority = (struct span){h->target.at + (uint32_t)scheme, (uint32_t)n};
    h->path = (struct span){h->authority.at + h->authority.n, (uint32_t)(rest.n - n)};
    return true;
}

bool h1_check_target(struct h1_parser *p, struct head *h)
{
    struct str target = head_span(h, h->target);

    h->method = (uint8_t)method_of(head_span(h, h->method_text));
    if (h->method == METHOD_CONNECT || h->method == METHOD_TRACE)
        return refuse(p, 405, STATS_BAD_METHOD, "method not allowed through this proxy");
    h->path = h->target;
    if (target.p[0] == '/')
        return true;
    if (str_eq(target, STR("*"))) {
        if (h->method != METHOD_OPTIONS)
            return refuse(p, 400, STATS_BAD_TARGET, "\"*\" is for OPTIONS");
        return true;
    }
    return absolute_target(p, h);
}

static bool check_authority(struct h1_parser *p, struct head *h)
{
    struct str host = head_get(h, FIELD_HOST), target = head_authority(h);
    bool absolute = head_span(h, h->target).p[0] != '/' && h->path.at != h->target.at;
    struct uri_authority a;

    if (!head_has(h, FIELD_HOST)) {
        if (h->minor > 0)
            return refuse(p, 400, STATS_BAD_HOST, "no Host");
    } else if (!uri_authority_parse(host, &a)) {
        return refuse(p, 400, STATS_BAD_HOST, "not a host");
    }
    if (!absolute) {
        if (head_has(h, FIELD_HOST))
            h->authority = (struct span){(uint32_t)(host.p - h->base), (uint32_t)host.n};
        return true;
    }
    if (!uri_authority_parse(target, &a))
        return refuse(p, 400, STATS_BAD_TARGET, "target has no valid authority");
    /* a Host that differs is ignored and replaced: RFC 9112 3.2.2 */
    return true;
}

/* Not exactly "chunked": is it codings that we do not know, or a list that has no end? */
static bool refuse_coding(struct h1_parser *p, struct str value)
{
    const struct str chunked = STR("chunked");
    struct str rest = value, element;
    size_t codings = 0, ends = 0;
    bool last = false, tokens = true;

    while (rest.n) {
        element = str_trim(str_cut(&rest, ','));
        tokens = tokens && field_name_ok(element);
        last = str_ieq(element, chunked);
        ends += last;
        codings++;
    }
    if (tokens && codings && (ends == 0 ? codings == 1 : ends == 1 && last))
        return refuse(p, 501, STATS_BAD_TRANSFER_ENCODING, "transfer coding not implemented");
    return refuse(p, 400, STATS_BAD_TRANSFER_ENCODING, "bad Transfer-Encoding");
}

static bool check_chunked(struct h1_parser *p, struct head *h)
{
    struct str value = head_get(h, FIELD_TRANSFER_ENCODING);
    size_t first = h->first[FIELD_TRANSFER_ENCODING];

    if (h->minor == 0)
        return refuse(p, 400, STATS_BAD_TRANSFER_ENCODING, "Transfer-Encoding in HTTP/1.0");
    if (head_has(h, FIELD_CONTENT_LENGTH) && !h1_forgiven(p, STATS_BAD_CL_AND_TE))
        return refuse(p, 400, STATS_BAD_CL_AND_TE, "Content-Length and Transfer-Encoding");
    for (size_t i = first; i < h->nfields; i++)
        if (h->fields[i].id == FIELD_TRANSFER_ENCODING)
            return refuse(p, 400, STATS_BAD_TRANSFER_ENCODING,
                          "more than one Transfer-Encoding");
    if (!str_ieq(value, STR("chunked")))
        return refuse_coding(p, value);
    h->framing = FRAMING_CHUNKED;
    return true;
}

static bool check_length(struct h1_parser *p, struct head *h)
{
    struct str value = head_get(h, FIELD_CONTENT_LENGTH);

    if (value.n > 19 || !str_to_u64(value, INT64_MAX, &h->length))
        return refuse(p, 400, STATS_BAD_CONTENT_LENGTH, "bad Content-Length");
    h->framing = FRAMING_LENGTH;
    return true;
}

/* Where both are forgiven the length goes: RFC 9112 6.3. */
static bool check_framing(struct h1_parser *p, struct head *h)
{
    bool length = head_has(h, FIELD_CONTENT_LENGTH);

    h->framing = p->response ? FRAMING_CLOSE : FRAMING_NONE;
    if (length && !check_length(p, h))
        return false;
    if (head_has(h, FIELD_TRANSFER_ENCODING)) {
        if (!check_chunked(p, h))
            return false;
        if (length)
            h->fields[h->first[FIELD_CONTENT_LENGTH] - 1].hop = true;
        h->length = 0;
    }
    if (p->response && (status_bodyless(h->status) || p->asked == METHOD_HEAD))
        h->framing = FRAMING_NONE;
    return true;
}

/* A field that Connection names ends here, unless our forwarding depends on it. */
static void drop_named(struct head *h, struct str option)
{
    enum field_id id = field_name_ok(option) ? field_id(option) : FIELD_OTHER;

    if (id != FIELD_OTHER && (!h->first[id] || (field_traits(id) & FIELD_KEEP)))
        return;
    for (size_t i = 0; i < h->nfields; i++) {
        struct field *f = &h->fields[i];
        if (f->id == id && (id != FIELD_OTHER || str_ieq(head_name(h, f), option)))
            f->hop = true;
    }
}

static bool read_connection(struct h1_parser *p, struct head *h, unsigned *options)
{
    size_t n = 0;

    for (size_t i = h->first[FIELD_CONNECTION]; i && i <= h->nfields; i++) {
        struct str rest, option;
        if (h->fields[i - 1].id != FIELD_CONNECTION)
            continue;
        rest = head_value(h, &h->fields[i - 1]);
        while (field_list_next(&rest, &option)) {
            if (++n > MOST_OPTIONS)
                return refuse(p, 400, STATS_BAD_FIELD_COUNT, "too many Connection options");
            if (str_ieq(option, STR("close")))
                *options |= OPTION_CLOSE;
            else if (str_ieq(option, STR("keep-alive")))
                *options |= OPTION_KEEP_ALIVE;
            else if (str_ieq(option, STR("upgrade")))
                *options |= OPTION_UPGRADE;
            else
                drop_named(h, option);
        }
    }
    return true;
}

static bool only_one(const struct head *h, enum field_id id)
{
    for (size_t i = h->first[id]; i < h->nfields; i++)
        if (h->fields[i].id == id)
            return false;
    return h->first[id] != 0;
}

static bool is_upgrade(const struct h1_parser *p, const struct head *h, unsigned options)
{
    if (!(options & OPTION_UPGRADE) || h->minor == 0 || !only_one(h, FIELD_UPGRADE) ||
        !str_ieq(head_get(h, FIELD_UPGRADE), STR("websocket")))
        return false;
    if (p->response)
        return h->status == 101;
    return h->method == METHOD_GET && h->framing == FRAMING_NONE;
}

/* RFC 9110 10.1.1: nothing but 100-continue; from HTTP/1.0 or without a body it means nothing.
 */
static bool check_expect(struct h1_parser *p, struct head *h)
{
    if (!head_has(h, FIELD_EXPECT))
        return true;
    if (!only_one(h, FIELD_EXPECT) || !str_ieq(head_get(h, FIELD_EXPECT), STR("100-continue")))
        return refuse(p, 417, STATS_BAD_EXPECT, "unknown expectation");
    h->expect = h->minor > 0 && (h->framing == FRAMING_CHUNKED || h->length > 0);
    if (!h->expect)
        h->fields[h->first[FIELD_EXPECT] - 1].hop = true;
    return true;
}

static bool takes_trailers(const struct head *h)
{
    struct str rest = head_get(h, FIELD_TE), element;

    while (field_list_next(&rest, &element))
        if (str_ieq(element, STR("trailers")))
            return true;
    return false;
}

bool h1_check_head(struct h1_parser *p, struct head *h)
{
    unsigned options = 0;

    if (!p->response && !check_authority(p, h))
        return false;
    if (!check_framing(p, h) || !read_connection(p, h, &options))
        return false;
    h->keep_alive = !(options & OPTION_CLOSE) && h->framing != FRAMING_CLOSE &&
                    !(p->forgiven >> STATS_BAD_CL_AND_TE & 1) &&
                    (h->minor > 0 || (options & OPTION_KEEP_ALIVE));
    h->upgrade = is_upgrade(p, h, options);
    if (p->response)
        return true;
    h->trailers = takes_trailers(h);
    return check_expect(p, h);
}

/*
 * h2_map.c - fields to text, text to a head.
 *
 * Invariant: everything in `text` from `line` on is made of checked names and values and of
 * line ends that were written here.
 */
#include "proxy/http/h2_map.h"

#include "proxy/http/chars.h"
#include "proxy/http/head_write.h"

#define UPGRADE STR("connection: Upgrade\r\nupgrade: websocket\r\n")

static void fault(struct h2_fields *f, int status, enum stats_violation kind, const char *why)
{
    if (f->status)
        return;
    f->status = (uint16_t)status;
    f->kind = kind;
    f->why = why;
}

void h2_fields_begin(struct h2_fields *f, struct blocks *blocks, bool trailer)
{
    h2_fields_release(f);
    *f = (struct h2_fields){.blocks = blocks, .trailer = trailer};
    f->text = block_get(blocks, false);
    f->line = f->text->end;
}

void h2_fields_begin_answer(struct h2_fields *f, struct blocks *blocks)
{
    h2_fields_begin(f, blocks, false);
    f->answer = true;
}

void h2_fields_release(struct h2_fields *f)
{
    if (!f->blocks)
        return;
    block_put(f->blocks, f->text);
    block_put(f->blocks, f->cookies);
    f->text = f->cookies = NULL;
}

/* Make room for N bytes behind the text. */
static bool room(struct h2_fields *f, size_t n)
{
    struct block *b = f->text, *larger;

    if (block_room(b) >= n)
        return true;
    if (b->large || BLOCK_LARGE - (b->end - b->start) < n) {
        fault(f, 431, STATS_BAD_HEAD_SIZE, "the request head is too large");
        return false;
    }
    larger = block_get(f->blocks, true);
    block_append(larger, block_str(b)); /* both begin at the same offset */
    f->text = larger;
    block_put(f->blocks, b);
    return true;
}

static void put(struct h2_fields *f, struct str s)
{
    block_append(f->text, s);
}

static void put_line(struct h2_fields *f, struct str name, struct str value)
{
    if (!room(f, name.n + value.n + 4))
        return;
    put(f, name);
    put(f, STR(": "));
    put(f, value);
    put(f, STR("\r\n"));
}

static struct str text_of(const struct h2_fields *f, struct span s)
{
    return (struct str){f->text->data + s.at, s.n};
}

/* ---- pseudo fields ---- */

static void keep(struct h2_fields *f, struct span *s, struct str value)
{
    if (s->n)
        fault(f, 400, STATS_BAD_REQUEST_LINE, "a pseudo field twice");
    else if (room(f, value.n)) {
        *s = (struct span){f->text->end, (uint32_t)value.n};
        put(f, value);
    }
}

static void add_pseudo(struct h2_fields *f, struct str name, struct str value)
{
    if (f->regular || f->trailer)
        fault(f, 400, STATS_BAD_REQUEST_LINE, "a pseudo field in a wrong place");
    else if (value.n == 0)
        fault(f, 400, STATS_BAD_REQUEST_LINE, "an empty pseudo field");
    else if (f->answer && str_eq(name, STR(":status")))
        keep(f, &f->answered, value);
    else if (f->answer)
        fault(f, 502, STATS_BAD_RESPONSE, "a pseudo field of requests");
    else if (str_eq(name, STR(":method")))
        keep(f, &f->method, value);
    else if (str_eq(name, STR(":path")))
        keep(f, &f->path, value);
    else if (str_eq(name, STR(":authority")))
        keep(f, &f->authority, value);
    else if (str_eq(name, STR(":scheme")))
        keep(f, &f->scheme, value);
    else if (str_eq(name, STR(":protocol")))
        keep(f, &f->protocol, value);
    else
        fault(f, 400, STATS_BAD_REQUEST_LINE, "an unknown pseudo field");
}

static bool all_of(struct str s, size_t run)
{
    return s.n && run == s.n;
}

/* RFC 8441 4 */
static void check_protocol(struct h2_fields *f)
{
    if (!str_eq(text_of(f, f->method), STR("CONNECT")))
        fault(f, 400, STATS_BAD_REQUEST_LINE, "a protocol without CONNECT");
    else if (!str_eq(text_of(f, f->protocol), STR("websocket")))
        fault(f, 501, STATS_BAD_METHOD, "not a protocol that is passed on");
}

static void check_pseudo(struct h2_fields *f)
{
    struct str method = text_of(f, f->method), path = text_of(f, f->path);
    struct str scheme = text_of(f, f->scheme), authority = text_of(f, f->authority);

    if (f->protocol.n)
        check_protocol(f);
    else if (str_eq(method, STR("CONNECT")))
        fault(f, 405, STATS_BAD_METHOD, "method not allowed through this proxy");
    if (!all_of(method, chars_run(method.p, method.n, CHAR_TOKEN)))
        fault(f, 400, STATS_BAD_REQUEST_LINE, "not a method");
    else if (!all_of(path, chars_target(path.p, path.n)) ||
             (path.p[0] != '/' && !str_eq(path, STR("*"))))
        fault(f, 400, STATS_BAD_TARGET, "not a path");
    else if (!str_ieq(scheme, STR("http")) && !str_ieq(scheme, STR("https")))
        fault(f, 400, STATS_BAD_TARGET, "not a scheme");
    else if (!field_value_ok(authority))
        fault(f, 400, STATS_BAD_HOST, "not a host");
}

static void begin_answer(struct h2_fields *f)
{
    struct str status = text_of(f, f->answered);

    if (f->answered.n != 3)
        fault(f, 502, STATS_BAD_RESPONSE, "not a status");
    if (f->status || !room(f, status.n + 16))
        return;
    f->line = f->text->end;
    put(f, STR("HTTP/1.1 "));
    put(f, text_of(f, f->answered));
    put(f, STR(" \r\n"));
}

/* Pseudo fields are over: the request line and Host, or the status line. */
static void begin_lines(struct h2_fields *f)
{
    size_t n = f->method.n + f->path.n + f->authority.n + 96;

    f->regular = true;
    if (f->trailer)
        return;
    if (f->answer) {
        begin_answer(f);
        return;
    }
    check_pseudo(f);
    if (f->status || !room(f, n))
        return;
    f->line = f->text->end;
    put(f, f->protocol.n ? STR("GET") : text_of(f, f->method));
    put(f, STR(" "));
    put(f, text_of(f, f->path));
    put(f, STR(" HTTP/1.1\r\n"));
    if (f->authority.n)
        put_line(f, STR("host"), text_of(f, f->authority));
    if (f->protocol.n)
        put(f, UPGRADE);
}

/* ---- fields ---- */

static void add_cookie(struct h2_fields *f, struct str crumb)
{
    if (!f->cookies)
        f->cookies = block_get(f->blocks, false);
    if (block_room(f->cookies) < crumb.n + 2) {
        fault(f, 431, STATS_BAD_HEAD_SIZE, "cookies are too large");
        return;
    }
    if (f->cookies->end > f->cookies->start)
        block_append(f->cookies, STR("; "));
    block_append(f->cookies, crumb);
}

static void add_host(struct h2_fields *f, struct str value)
{
    if (f->host)
        fault(f, 400, STATS_BAD_HOST, "more than one Host");
    f->host = true;
    if (f->authority.n == 0)
        put_line(f, STR("host"), value);
    else if (!str_ieq(text_of(f, f->authority), value))
        fault(f, 400, STATS_BAD_HOST, "Host and :authority differ");
}

/* RFC 9113 8.2.2: what is about one connection does not exist here. */
static void add_known(struct h2_fields *f, enum field_id id, struct str name, struct str value)
{
    if (f->answer && (id == FIELD_COOKIE || id == FIELD_HOST || id == FIELD_TE))
        id = FIELD_OTHER; /* they mean something in requests only */
    switch (id) {
    case FIELD_COOKIE:
        add_cookie(f, value);
        break;
    case FIELD_HOST:
        add_host(f, value);
        break;
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        fault(f, 400, STATS_BAD_FIELD_NAME, "a field of HTTP/1 connections");
        break;
    case FIELD_TE:
        if (!str_ieq(value, STR("trailers")))
            fault(f, 400, STATS_BAD_FIELD_VALUE, "TE but trailers");
        put_line(f, name, value);
        break;
    case FIELD_SEC_WEBSOCKET_KEY:
        if (f->protocol.n)
            break;
        put_line(f, name, value);
        break;
    default:
        f->length |= id == FIELD_CONTENT_LENGTH;
        put_line(f, name, value);
    }
}

static void add_trailer(struct h2_fields *f, struct str name, struct str value)
{
    unsigned traits = field_traits(field_id(name));

    if ((traits & (FIELD_NO_TRAILER | FIELD_HOP | FIELD_FRAMING)) ||
        field_twin(name) != FIELD_OTHER)
        return;
    if (f->text->end - f->line + name.n + value.n + 4 <= H2_TRAILER_MAX)
        put_line(f, name, value);
}

bool h2_fields_add(struct h2_fields *f, struct str name, struct str value)
{
    f->fields++;
    f->size += (uint32_t)(name.n + value.n + H2_FIELD_COST);
    if (f->fields > H2_FIELDS_MUCH || f->size > H2_SIZE_MUCH)
        return false;
    if (f->fields > HEAD_MAX_FIELDS)
        fault(f, 431, STATS_BAD_FIELD_COUNT, "too many fields");
    else if (f->size > HEAD_MAX_BYTES)
        fault(f, 431, STATS_BAD_HEAD_SIZE, "the request head is too large");
    if (f->status)
        return true;
    if (name.n && name.p[0] == ':') {
        add_pseudo(f, name, value);
        return true;
    }
    if (!f->regular)
        begin_lines(f);
    if (!field_name_ok(name) || !field_value_ok(value))
        fault(f, 400, STATS_BAD_FIELD_NAME, "not a field");
    else if (f->trailer)
        add_trailer(f, name, value);
    else if (!f->status)
        add_known(f, field_id(name), name, value);
    return true;
}

/* ---- the end of the block ---- */

static bool end_lines(struct h2_fields *f, bool last)
{
    if (!f->regular && !f->status)
        begin_lines(f);
    if (f->protocol.n && f->length)
        fault(f, 400, STATS_BAD_FIELD_NAME, "a length of a tunnel");
    if (f->cookies && !f->status)
        put_line(f, STR("cookie"), block_str(f->cookies));
    if (!last && !f->length && !f->answer && !f->protocol.n && !f->status)
        put_line(f, STR("transfer-encoding"), STR("chunked"));
    if (!f->status && room(f, 2))
        put(f, STR("\r\n"));
    return f->status == 0;
}

bool h2_fields_request(struct h2_fields *f, bool last, struct h1_parser *p, struct head *h,
                       struct block **text)
{
    bool ok = end_lines(f, last);

    *text = NULL;
    h1_parser_request(p);
    if (!ok) {
        p->status = f->status;
        p->kind = f->kind;
        p->why = f->why;
    } else {
        enum h1_result r;

        f->text->start = f->line;
        r = h1_parse(p, h, f->text->data + f->line, f->text->end - f->line);
        ASSERT(r != H1_MORE);
        ok = r == H1_DONE;
    }
    if (ok) {
        *text = f->text;
        f->text = NULL;
    }
    h2_fields_release(f);
    return ok;
}

/* There is no coding to tell that the length is not known: that a body follows tells it. */
static void settle_framing(struct head *h, bool last)
{
    if (h->framing != FRAMING_CLOSE)
        return;
    h->framing = last ? FRAMING_LENGTH : FRAMING_CHUNKED;
    h->length = 0;
}

bool h2_fields_response(struct h2_fields *f, bool last, enum method asked, struct head *h,
                        struct block **text)
{
    struct h1_parser p;
    bool ok = end_lines(f, last);

    *text = NULL;
    if (ok) {
        h1_parser_response(&p, asked);
        f->text->start = f->line;
        ok = h1_parse(&p, h, f->text->data + f->line, f->text->end - f->line) == H1_DONE;
    }
    if (ok) {
        settle_framing(h, last);
        *text = f->text;
        f->text = NULL;
    }
    h2_fields_release(f);
    return ok;
}

bool h2_fields_trailers(struct h2_fields *f, struct str *lines)
{
    *lines = (struct str){f->text->data + f->line, f->text->end - f->line};
    return f->status == 0;
}

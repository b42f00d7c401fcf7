/*
 * h1_parse.c - the strict HTTP/1 head parser.
 *
 * It goes line by line from left to right. Each step looks only at bytes that are within the
 * limits, so what it decides about a prefix of a message never depends on how much more has
 * arrived. When the last line is in, h1_facts.c judges the head as a whole: framing, host,
 * connection.
 */
#include "proxy/http/h1_parse.h"

#include "proxy/http/chars.h"
#include "proxy/http/h1_facts.h"
#include "proxy/http/h1_lenient.h"

enum { STAGE_START, STAGE_FIELDS, STAGE_OVER };

/* What a step over one line found. */
enum line { LINE_MORE, LINE_OK, LINE_LAST, LINE_BAD };

static void parser_init(struct h1_parser *p, bool response, enum method asked)
{
    *p = (struct h1_parser){.response = response, .asked = asked, .stage = STAGE_START};
}

void h1_parser_request(struct h1_parser *p)
{
    parser_init(p, false, METHOD_OTHER);
}

void h1_parser_response(struct h1_parser *p, enum method asked)
{
    parser_init(p, true, asked);
}

static enum line bad(struct h1_parser *p, int status, enum stats_violation kind,
                     const char *why)
{
    h1_refuse(p, status, kind, why);
    return LINE_BAD;
}

/* The bytes at AT must be CRLF, or LF where that is forgiven; what a text of the line was ended
 * by is judged here. */
static enum line line_end(struct h1_parser *p, const char *buf, size_t at, size_t n,
                          enum stats_violation kind, const char *why)
{
    if (at == n)
        return LINE_MORE;
    if (buf[at] == '\n')
        return h1_forgiven(p, STATS_BAD_BARE_LF) ? LINE_OK
                                                 : bad(p, 400, STATS_BAD_BARE_LF, "bare LF");
    if (buf[at] != '\r')
        return bad(p, 400, kind, why);
    if (at + 1 == n)
        return LINE_MORE;
    if (buf[at + 1] != '\n')
        return bad(p, 400, STATS_BAD_BARE_LF, "bare CR");
    return LINE_OK;
}

/* The line's text ended at END of BUF. */
static void next_line(struct h1_parser *p, const char *buf, size_t end)
{
    p->line = p->seen = (uint32_t)(end + 1 + (buf[end] == '\r'));
}

static bool is_digit(char c)
{
    return char_is(c, CHAR_DIGIT);
}

/* "HTTP/1.0" and "HTTP/1.1" are spoken; any other HTTP/D.D is known of. */
static enum line version(struct h1_parser *p, struct head *h, const char *v, size_t n)
{
    if (n != 8 || memcmp(v, "HTTP/", 5) != 0 || !is_digit(v[5]) || v[6] != '.' ||
        !is_digit(v[7]))
        return bad(p, 400, STATS_BAD_VERSION, "not an HTTP version");
    if (v[5] != '1' || v[7] > '1')
        return bad(p, 505, STATS_BAD_VERSION, "HTTP version not supported");
    h->minor = (uint8_t)(v[7] - '0');
    return LINE_OK;
}

static enum line request_line(struct h1_parser *p, struct head *h, const char *buf, size_t n)
{
    size_t at = p->line, end;
    enum line l;

    end = at + chars_run(buf + at, n - at < HEAD_MAX_METHOD + 1 ? n - at : HEAD_MAX_METHOD + 1,
                         CHAR_TOKEN);
    if (end - at > HEAD_MAX_METHOD)
        return bad(p, 501, STATS_BAD_METHOD, "method too long");
    if (end == n)
        return LINE_MORE;
    if (end == at || buf[end] != ' ')
        return bad(p, 400, STATS_BAD_REQUEST_LINE, "not a method");
    h->method_text = (struct span){(uint32_t)at, (uint32_t)(end - at)};

    at = end + 1;
    end = at > p->seen ? at : p->seen;
    end += chars_target(buf + end, n - end);
    p->seen = (uint32_t)end;
    if (end == n)
        return LINE_MORE;
    if (buf[end] == '\n')
        return bad(p, 400, STATS_BAD_BARE_LF, "bare LF");
    if (buf[end] != ' ')
        return bad(p, 400, buf[end] == '\r' ? STATS_BAD_REQUEST_LINE : STATS_BAD_TARGET,
                   buf[end] == '\r' ? "no version" : "byte not allowed in a target");
    if (end == at)
        return bad(p, 400, STATS_BAD_REQUEST_LINE, "no target");
    h->target = (struct span){(uint32_t)at, (uint32_t)(end - at)};

    at = end + 1;
    end = at + chars_run(buf + at, n - at < 9 ? n - at : 9, CHAR_TARGET);
    if (end - at > 8)
        return bad(p, 400, STATS_BAD_VERSION, "not an HTTP version");
    if ((l = line_end(p, buf, end, n, STATS_BAD_REQUEST_LINE, "text after the version")) !=
            LINE_OK ||
        (l = version(p, h, buf + at, end - at)) != LINE_OK)
        return l;
    next_line(p, buf, end);
    return h1_check_target(p, h) ? LINE_OK : LINE_BAD;
}

static enum line status_line(struct h1_parser *p, struct head *h, const char *buf, size_t n)
{
    size_t at = p->line, end;
    enum line l;

    end = at > p->seen ? at : p->seen;
    end += chars_value(buf + end, n - end);
    p->seen = (uint32_t)end;
    if ((l = line_end(p, buf, end, n, STATS_BAD_RESPONSE, "control character")) != LINE_OK)
        return l;
    if (end - at < 12 || buf[at + 8] != ' ')
        return bad(p, 502, STATS_BAD_RESPONSE, "not a status line");
    if ((l = version(p, h, buf + at, 8)) != LINE_OK)
        return l;
    at += 9;
    if (!is_digit(buf[at]) || !is_digit(buf[at + 1]) || !is_digit(buf[at + 2]) ||
        (end - at > 3 && buf[at + 3] != ' '))
        return bad(p, 502, STATS_BAD_RESPONSE, "status is not three digits");
    h->status =
        (uint16_t)((buf[at] - '0') * 100 + (buf[at + 1] - '0') * 10 + (buf[at + 2] - '0'));
    if (h->status < 100 || h->status > 599)
        return bad(p, 502, STATS_BAD_RESPONSE, "status out of range");
    if (end - at > 4)
        h->reason = (struct span){(uint32_t)at + 4, (uint32_t)(end - at - 4)};
    next_line(p, buf, end);
    return LINE_OK;
}

/* At most one empty line may stand before a request line (RFC 9112 2.2). */
static enum line leading_crlf(struct h1_parser *p, const char *buf, size_t n)
{
    enum line l = line_end(p, buf, 0, n, STATS_BAD_REQUEST_LINE, "");

    if (l == LINE_OK)
        next_line(p, buf, 0);
    return l;
}

static enum line start_line(struct h1_parser *p, struct head *h, const char *buf, size_t n)
{
    enum line l;

    if (p->line == n)
        return LINE_MORE;
    if (p->response)
        return status_line(p, h, buf, n);
    if (p->line == 0 && (buf[0] == '\r' || buf[0] == '\n')) {
        if ((l = leading_crlf(p, buf, n)) != LINE_OK)
            return l;
        if (p->line == n)
            return LINE_MORE;
    }
    return request_line(p, h, buf, n);
}

static enum line add_field(struct h1_parser *p, struct head *h, struct field f)
{
    struct str name = head_name(h, &f);
    unsigned traits;

    if (h->nfields == HEAD_MAX_FIELDS)
        return bad(p, 431, STATS_BAD_FIELD_COUNT, "too many fields");
    f.id = (uint8_t)field_id(name);
    if (f.id == FIELD_OTHER) {
        unsigned twin = field_traits(field_twin(name));
        if (p->response ? twin & FIELD_FRAMING : twin)
            return bad(p, 400, STATS_BAD_LOOKALIKE, "name looks like another field");
    }
    traits = field_traits(f.id);
    f.hop = traits & FIELD_HOP;
    h->fields[h->nfields++] = f;
    if (f.id == FIELD_OTHER)
        return LINE_OK;
    if (!h->first[f.id]) {
        h->first[f.id] = (uint8_t)h->nfields;
        return LINE_OK;
    }
    if ((traits & FIELD_ONCE) && (!p->response || (traits & FIELD_FRAMING)))
        return f.id == FIELD_HOST
                   ? bad(p, 400, STATS_BAD_HOST, "more than one Host")
                   : bad(p, 400, STATS_BAD_CONTENT_LENGTH, "more than one Content-Length");
    return LINE_OK;
}

/* From END on: the first byte that is no part of the value of a field called NAME. */
static inline size_t value_end(struct h1_parser *p, struct str name, const char *buf,
                               size_t end, size_t n)
{
    end += chars_value(buf + end, n - end);
    while (__builtin_expect(p->lenient != 0, 0) && end < n &&
           h1_scrub(p, field_id(name), buf, end))
        end += chars_value(buf + end, n - end);
    p->seen = (uint32_t)end;
    return end;
}

/* A line that begins with a blank goes on with the field before it, if that is forgiven. */
static __attribute__((cold)) enum line folded_line(struct h1_parser *p, struct head *h,
                                                   const char *buf, size_t n)
{
    struct str name = head_name(h, &h->fields[h->nfields - 1]);
    const char *why;
    size_t end;
    enum line l;

    if (!(p->lenient >> STATS_BAD_OBS_FOLD & 1))
        return bad(p, 400, STATS_BAD_OBS_FOLD, "folded line");
    end = value_end(p, name, buf, p->seen, n);
    if ((l = line_end(p, buf, end, n, STATS_BAD_FIELD_VALUE, "control character")) != LINE_OK)
        return l;
    if ((why = h1_unfold(p, h, buf, p->line, end)))
        return bad(p, 400, STATS_BAD_OBS_FOLD, why);
    next_line(p, buf, end);
    return LINE_OK;
}

/* The empty line that ends the head. */
static enum line last_line(struct h1_parser *p, const char *buf, size_t n)
{
    size_t at = p->line;
    enum line l = line_end(p, buf, at, n, STATS_BAD_FIELD_NAME, "");

    if (l != LINE_OK)
        return l;
    next_line(p, buf, at);
    return LINE_LAST;
}

/* LEN bytes of name, and not the colon that should end it: another byte, or too many of them.
 */
static enum line no_name(struct h1_parser *p, struct head *h, const char *buf, size_t n,
                         size_t len)
{
    char c;

    if (len > FIELD_NAME_MAX)
        return bad(p, 431, STATS_BAD_FIELD_NAME, "field name too long");
    c = buf[p->line + len];
    if (len == 0 && c == '\n')
        return last_line(p, buf, n);
    if (c == '\n')
        return bad(p, 400, STATS_BAD_BARE_LF, "bare LF");
    if (len == 0 && h->nfields && (c == ' ' || c == '\t'))
        return folded_line(p, h, buf, n);
    return bad(p, 400, STATS_BAD_FIELD_NAME, "not a field name and colon");
}

static enum line field_line(struct h1_parser *p, struct head *h, const char *buf, size_t n)
{
    size_t at = p->line, end = at, most;
    struct field f;
    enum line l;

    if (at < n && buf[at] == '\r')
        return last_line(p, buf, n);
    most = n - at < FIELD_NAME_MAX + 1 ? n : at + FIELD_NAME_MAX + 1;
    end += chars_run(buf + at, most - at, CHAR_TOKEN);
    if (end == n && end - at <= FIELD_NAME_MAX)
        return LINE_MORE;
    if (end == at || end - at > FIELD_NAME_MAX || buf[end] != ':')
        return no_name(p, h, buf, n, end - at);
    f.name_at = (uint32_t)at;
    f.name_n = (uint16_t)(end - at);

    at = end + 1;
    end = value_end(p, (struct str){buf + f.name_at, f.name_n}, buf,
                    at > p->seen ? at : p->seen, n);
    if ((l = line_end(p, buf, end, n, STATS_BAD_FIELD_VALUE, "control character")) != LINE_OK)
        return l;
    next_line(p, buf, end);
    while (at < end && (buf[at] == ' ' || buf[at] == '\t'))
        at++;
    while (end > at && (buf[end - 1] == ' ' || buf[end - 1] == '\t'))
        end--;
    f.value_at = (uint32_t)at;
    f.value_n = (uint16_t)(end - at);
    return add_field(p, h, f);
}

static enum line too_long(struct h1_parser *p, size_t n)
{
    if (n - p->line >= HEAD_MAX_LINE + 2) {
        if (p->stage == STAGE_START)
            return bad(p, 414, STATS_BAD_URI_SIZE, "request line too long");
        return bad(p, 431, STATS_BAD_HEAD_SIZE, "field line too long");
    }
    if (n == HEAD_MAX_BYTES)
        return bad(p, 431, STATS_BAD_HEAD_SIZE, "head too large");
    return LINE_MORE;
}

/* One line within its limits. */
static enum line step(struct h1_parser *p, struct head *h, const char *buf, size_t n)
{
    size_t most = n - p->line > HEAD_MAX_LINE + 2 ? p->line + HEAD_MAX_LINE + 2 : n;
    enum line l;

    if (p->stage == STAGE_START) {
        if ((l = start_line(p, h, buf, most)) == LINE_OK)
            p->stage = STAGE_FIELDS;
    } else {
        l = field_line(p, h, buf, most);
    }
    return l == LINE_MORE ? too_long(p, n) : l;
}

enum h1_result h1_parse(struct h1_parser *p, struct head *h, const char *buf, size_t n)
{
    enum line l;

    ASSERT(p->stage != STAGE_OVER);
    if (n > HEAD_MAX_BYTES)
        n = HEAD_MAX_BYTES;
    ASSERT(n >= p->line);
    if (p->stage == STAGE_START && p->line == 0 && p->seen == 0)
        head_reset(h);
    head_rebase(h, buf);
    do {
        l = step(p, h, buf, n);
    } while (l == LINE_OK);
    if (l == LINE_MORE)
        return H1_MORE;
    p->stage = STAGE_OVER;
    if (l == LINE_BAD)
        return H1_BAD;
    h->size = p->line;
    return h1_check_head(p, h) ? H1_DONE : H1_BAD;
}

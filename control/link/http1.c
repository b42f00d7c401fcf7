/* http1.c - a strict reader of small requests. See http1.h. */
#include "control/link/http1.h"

#include <string.h>

#define OVERHEAD_MAX 4096 /* bytes of chunk extensions and trailers in one body */
#define DIGITS_MAX   8    /* hex digits of a chunk size */

size_t http1_head_size(struct str s)
{
    const char *end = s.n >= 4 ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;

    return end ? (size_t)(end - s.p) + 4 : 0;
}

/* RFC 9110 5.6.2 */
static bool is_tchar(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_tchar((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

static bool has_control(struct str s, bool tab_is_fine)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && !(c == '\t' && tab_is_fine)) || c == 0x7f)
            return true;
    }
    return false;
}

/* The slice lies in a buffer of ours: put a NUL behind it. */
static void terminate(struct str s)
{
    ((char *)(uintptr_t)s.p)[s.n] = '\0';
}

static int parse_target(struct str target, struct http1_head *h, const char **why)
{
    struct str rest = target;

    if (str_starts(target, STR("http://"))) { /* absolute-form, RFC 9112 3.2.2 */
        const char *slash;

        rest = str_skip(target, 7);
        slash = memchr(rest.p, '/', rest.n);
        if (!slash) {
            *why = "the target has no path";
            return 400;
        }
        h->host = (struct str){rest.p, (size_t)(slash - rest.p)};
        rest = str_skip(rest, h->host.n);
    }
    if (has_control(target, false) || rest.n == 0 ||
        (rest.p[0] != '/' && !str_eq(rest, STR("*")))) {
        *why = "the target is not a path";
        return 400;
    }
    h->path = str_cut(&rest, '?');
    h->query = rest;
    return 0;
}

static int parse_request_line(struct str line, struct http1_head *h, const char **why)
{
    struct str target;

    h->method = str_cut(&line, ' ');
    target = str_cut(&line, ' ');
    if (!is_token(h->method)) {
        *why = "the request line has no method";
        return 400;
    }
    if (!str_starts(line, STR("HTTP/")) || line.n != 8 || line.p[6] != '.') {
        *why = "the request line has no HTTP version";
        return 400;
    }
    if (line.p[5] != '1' || (line.p[7] != '0' && line.p[7] != '1')) {
        *why = "HTTP/1.0 and HTTP/1.1 are spoken here";
        return 505;
    }
    h->minor = line.p[7] - '0';
    h->keep_alive = h->minor == 1;
    return parse_target(target, h, why);
}

static int parse_field(struct str line, struct http1_head *h, const char **why)
{
    struct str name = str_cut(&line, ':'), value = str_trim(line);

    if (!is_token(name) || line.p == name.p + name.n) { /* the latter: there is no colon */
        *why = "a header field is malformed";
        return 400;
    }
    if (has_control(value, true)) {
        *why = "a header field has control characters";
        return 400;
    }
    if (h->nfields == HTTP1_FIELDS_MAX) {
        *why = "too many header fields";
        return 431;
    }
    h->fields[h->nfields++] = (struct http1_field){name, value};
    return 0;
}

static bool has_word(struct str list, struct str word)
{
    while (list.n)
        if (str_ieq(str_trim(str_cut(&list, ',')), word))
            return true;
    return false;
}

/* How the body is delimited (RFC 9112 6.3); anything ambiguous is refused. */
static int find_framing(struct http1_head *h, const char **why)
{
    unsigned lengths = 0, codings = 0, hosts = 0;

    for (size_t i = 0; i < h->nfields; i++) {
        struct http1_field *f = &h->fields[i];

        if (str_ieq(f->name, STR("content-length"))) {
            if (!str_to_u64(f->value, UINT64_MAX / 2, &h->length) || lengths++) {
                *why = "Content-Length is malformed";
                return 400;
            }
        } else if (str_ieq(f->name, STR("transfer-encoding"))) {
            codings++;
            h->chunked = str_ieq(f->value, STR("chunked"));
        } else if (str_ieq(f->name, STR("connection"))) {
            if (has_word(f->value, STR("close")))
                h->keep_alive = false;
            else if (has_word(f->value, STR("keep-alive")))
                h->keep_alive = true;
        } else if (str_ieq(f->name, STR("expect"))) {
            h->expect_continue = str_ieq(f->value, STR("100-continue"));
        } else if (str_ieq(f->name, STR("host"))) {
            h->host = h->host.p ? h->host : f->value;
            hosts++;
        }
    }
    if (codings && (lengths || codings > 1 || h->minor == 0)) {
        *why = "the body has two lengths";
        return 400;
    }
    if (codings && !h->chunked) {
        *why = "the transfer coding is not known here";
        return 501;
    }
    if (hosts > 1 || (hosts == 0 && h->minor == 1)) {
        *why = "there must be one Host field";
        return 400;
    }
    return 0;
}

static void terminate_all(struct http1_head *h)
{
    terminate(h->method);
    terminate(h->path);
    terminate(h->query);
    for (size_t i = 0; i < h->nfields; i++) {
        terminate(h->fields[i].name);
        terminate(h->fields[i].value);
    }
}

int http1_parse_head(char *text, size_t n, struct http1_head *h, const char **why)
{
    struct str rest = {text, n - 2}, line; /* the last CRLF is the empty line */
    bool first = true;
    int status;

    memset(h, 0, sizeof(*h));
    while (rest.n) {
        const char *end = memmem(rest.p, rest.n, "\r\n", 2);

        line = (struct str){rest.p, (size_t)(end - rest.p)};
        rest = str_skip(rest, line.n + 2);
        status = first ? parse_request_line(line, h, why) : parse_field(line, h, why);
        if (status)
            return status;
        first = false;
    }
    if ((status = find_framing(h, why)))
        return status;
    terminate_all(h);
    return 0;
}

struct str http1_field(const struct http1_head *h, const char *name)
{
    for (size_t i = 0; i < h->nfields; i++)
        if (str_ieq(h->fields[i].name, str_of(name)))
            return h->fields[i].value;
    return STR_NONE;
}

/* --- bodies --- */

enum {
    CHUNK_SIZE,
    CHUNK_EXT,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER,
    TRAILER_LF
};

void http1_body_init(struct http1_body *b, const struct http1_head *h)
{
    *b = (struct http1_body){.chunked = h->chunked, .left = h->chunked ? 0 : h->length};
    b->done = !b->chunked && b->left == 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The line of a chunk's size is over. */
static void size_is_known(struct http1_body *b)
{
    b->state = b->left ? CHUNK_DATA : TRAILER;
    b->digits = 0;
    b->line = 0;
}

/* One byte of chunk syntax (not of content). False: bad. */
static bool take_syntax(struct http1_body *b, char c)
{
    int hex = hex_value(c);

    switch (b->state) {
    case CHUNK_SIZE:
        if (hex >= 0 && b->digits < DIGITS_MAX) {
            b->left = b->left * 16 + (unsigned)hex;
            b->digits++;
            return true;
        }
        if (b->digits == 0 || (c != ';' && c != '\r'))
            return false;
        b->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXT;
        return true;
    case CHUNK_EXT:
        if (c == '\r')
            b->state = CHUNK_SIZE_LF;
        return c != '\n' && ++b->overhead <= OVERHEAD_MAX;
    case CHUNK_SIZE_LF:
        size_is_known(b);
        return c == '\n';
    case CHUNK_CR:
        b->state = CHUNK_LF;
        return c == '\r';
    case CHUNK_LF:
        b->state = CHUNK_SIZE;
        return c == '\n';
    case TRAILER:
        if (c == '\r')
            b->state = TRAILER_LF;
        else
            b->line++;
        return c != '\n' && ++b->overhead <= OVERHEAD_MAX;
    default: /* TRAILER_LF: an empty line ends the body */
        b->done = b->line == 0;
        b->line = 0;
        b->state = TRAILER;
        return c == '\n';
    }
}

bool http1_body_take(struct http1_body *b, struct str s, struct str *data, size_t *used)
{
    size_t i = 0;

    *data = STR_NONE;
    while (b->chunked && !b->done && i < s.n && b->state != CHUNK_DATA)
        if (!take_syntax(b, s.p[i++]))
            return false;
    if (!b->done && i < s.n) {
        size_t n = s.n - i < b->left ? s.n - i : (size_t)b->left;

        *data = (struct str){s.p + i, n};
        i += n;
        b->left -= n;
        if (b->left == 0) {
            b->state = CHUNK_CR;
            b->done = !b->chunked;
        }
    }
    *used = i;
    return true;
}

/* --- small things --- */

static bool is_loopback_v4(struct str s)
{
    unsigned parts = 0;
    uint64_t n, first = 0;

    while (s.n) {
        if (!str_to_u64(str_cut(&s, '.'), 255, &n))
            return false;
        first = parts++ ? first : n;
    }
    return parts == 4 && first == 127;
}

bool http1_host_is_loopback(struct str host)
{
    struct str name = host;

    if (str_starts(host, STR("[")))
        return str_eq(host, STR("[::1]")) || str_starts(host, STR("[::1]:"));
    name = str_cut(&host, ':');
    return str_ieq(name, STR("localhost")) || is_loopback_v4(name);
}

const char *http1_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } names[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].status == status)
            return names[i].text;
    return "Unknown";
}

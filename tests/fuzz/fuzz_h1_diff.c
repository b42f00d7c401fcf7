/*
 * fuzz_h1_diff.c - what we accept, llhttp (strict) reads the same way: method, target, fields,
 * framing, body, and the byte at which the message ends.
 *
 * The first byte chooses: bit 0 response, bit 1 answer to HEAD. The rest is one message, which
 * may break off in its body. Built where Debian's node-llhttp is installed; see the Makefile.
 *
 * Differences by policy, all of them; in each llhttp is the stricter one, or leaves something
 * to its caller, and nothing can be smuggled through:
 *
 * - Methods that llhttp does not know are refused there; any token is a method here.
 * - In the authority of an absolute target llhttp knows fewer characters (RFC 3986 3.2.2 has
 *   sub-delims in names), and none of what is behind a query mark there. We check and rewrite
 * it.
 * - Of chunk extensions llhttp knows names and values, but neither blanks (BWS, RFC 9112 7.1.1)
 *   nor quoted values with all their characters, nor a second extension behind a value.
 * - HTAB behind a length is refused there; it is OWS (RFC 9110 5.6.3).
 * - Framing and Connection fields in trailers are read there as if they stood in the head; here
 *   they are dropped.
 * - That answers to HEAD, 1xx, 204 and 304 have no body is for the caller to say there, and
 *   also that an Upgrade does not happen.
 */
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parse.h"

#include <llhttp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define INPUT_MAX 20000

/* A message as one of the two read it. */
struct reading {
    size_t nfields, body_n, end; /* end: bytes up to the end of the message, 0: not seen */
    struct str target;
    struct str names[HEAD_MAX_FIELDS], values[HEAD_MAX_FIELDS];
    bool headers, framing_in_trailers;
    char body[INPUT_MAX];
};

/* ---- llhttp ---- */

struct their {
    llhttp_t p;
    struct reading *r;
    bool bodyless;
};

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    ((struct their *)p->data)->r->target = (struct str){at, n};
    return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    struct their *t = p->data;
    struct str name = {at, n};

    if (t->r->headers) {
        unsigned traits = field_traits(field_id(name));
        t->r->framing_in_trailers |= (traits & (FIELD_FRAMING | FIELD_HOP)) != 0;
        return 0;
    }
    ASSERT(t->r->nfields < HEAD_MAX_FIELDS);
    t->r->names[t->r->nfields] = name;
    t->r->values[t->r->nfields++] = STR_NONE;
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct their *t = p->data;

    if (!t->r->headers)
        t->r->values[t->r->nfields - 1] = (struct str){at, n};
    return 0;
}

static int on_headers(llhttp_t *p)
{
    struct their *t = p->data;

    t->r->headers = true;
    p->upgrade = 0;
    return t->bodyless;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct their *t = p->data;

    memcpy(t->r->body + t->r->body_n, at, n);
    t->r->body_n += n;
    return 0;
}

static int on_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED;
}

static llhttp_errno_t read_theirs(struct their *t, bool response, const char *text, size_t n)
{
    static const llhttp_settings_t settings = {.on_url = on_url,
                                               .on_header_field = on_name,
                                               .on_header_value = on_value,
                                               .on_headers_complete = on_headers,
                                               .on_body = on_body,
                                               .on_message_complete = on_complete};
    llhttp_errno_t e;

    llhttp_init(&t->p, response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    t->p.data = t;
    e = llhttp_execute(&t->p, text, n);
    if (e == HPE_PAUSED)
        t->r->end = (size_t)(llhttp_get_error_pos(&t->p) - text);
    else if (e == HPE_OK && llhttp_finish(&t->p) == HPE_PAUSED)
        t->r->end = n; /* until close */
    return e;
}

/* ---- ours ---- */

/* False: not accepted, or no head yet. */
static bool read_ours(struct reading *r, struct head *h, bool response, bool head,
                      const char *text, size_t n)
{
    enum h1_body_event e;
    struct h1_parser p;
    struct h1_body b;
    struct str in, data;

    if (response)
        h1_parser_response(&p, head ? METHOD_HEAD : METHOD_GET);
    else
        h1_parser_request(&p);
    if (h1_parse(&p, h, text, n) != H1_DONE)
        return false;
    r->target = head_span(h, h->target);
    for (; r->nfields < h->nfields; r->nfields++) {
        r->names[r->nfields] = head_name(h, &h->fields[r->nfields]);
        r->values[r->nfields] = head_value(h, &h->fields[r->nfields]);
    }
    in = (struct str){text + h->size, n - h->size};
    h1_body_init(&b, h->framing, h->length);
    while ((e = h1_body_next(&b, &in, &data)) == H1_BODY_DATA) {
        memcpy(r->body + r->body_n, data.p, data.n);
        r->body_n += data.n;
    }
    if (e == H1_BODY_END || (e == H1_BODY_MORE && h1_body_eof(&b)))
        r->end = n - in.n;
    return e != H1_BODY_BAD;
}

/* ---- the same? ---- */

/* Is AT, where llhttp stopped, in a chunk extension or the blanks before one? */
static bool in_extension(const struct head *h, const char *at)
{
    const char *body = h->base + h->size, *line;

    if (at < body)
        return false;
    line = memrchr(body, '\n', (size_t)(at - body));
    line = line ? line + 1 : body;
    return strcspn(line, "; \t\r\n") <= (size_t)(at - line) && *at != '\r' && *at != '\n';
}

static bool by_policy(const struct their *t, const struct head *h, llhttp_errno_t e)
{
    const char *at = llhttp_get_error_pos(&t->p);

    if (t->r->framing_in_trailers)
        return true;
    if (e == HPE_INVALID_URL)
        return head_span(h, h->target).p[0] != '/';
    if (e == HPE_INVALID_CONTENT_LENGTH)
        return *at == '\t';
    if (e == HPE_STRICT || e == HPE_INVALID_CHUNK_SIZE)
        return in_extension(h, at);
    return false;
}

static void check_same(const struct reading *a, const struct reading *b)
{
    ASSERT(str_eq(a->target, b->target) && a->nfields == b->nfields);
    for (size_t i = 0; i < a->nfields; i++)
        ASSERT(str_eq(a->names[i], b->names[i]) &&
               str_eq(a->values[i], str_trim(b->values[i])));
    ASSERT(a->end == b->end && a->body_n == b->body_n);
    ASSERT(memcmp(a->body, b->body, a->body_n) == 0);
}

static void compare(const struct reading *ours, const struct head *h, struct their *t,
                    llhttp_errno_t e)
{
    if ((e != HPE_OK && e != HPE_PAUSED) || t->r->framing_in_trailers) {
        ASSERT(by_policy(t, h, e));
        return;
    }
    check_same(ours, t->r);
    if (t->p.type == HTTP_REQUEST)
        ASSERT(str_eq(head_span(h, h->method_text), str_of(llhttp_method_name(t->p.method))));
    else
        ASSERT(t->p.status_code == h->status);
    ASSERT(t->p.http_minor == h->minor);
    if (h->keep_alive && ours->end)
        ASSERT(!(t->p.flags & F_CONNECTION_CLOSE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct reading ours, theirs;
    struct head h;
    struct their t = {.r = &theirs};
    bool response;
    llhttp_errno_t e;
    char *text;

    if (n == 0 || n > INPUT_MAX)
        return 0;
    response = data[0] & 1;
    text = malloc(n);
    memcpy(text, data + 1, n - 1);
    text[n - 1] = '\0';
    memset(&ours, 0, offsetof(struct reading, body));
    memset(&theirs, 0, offsetof(struct reading, body));
    if (read_ours(&ours, &h, response, data[0] & 2, text, n - 1) &&
        (response || h.method != METHOD_OTHER)) {
        t.bodyless = response && h.framing == FRAMING_NONE;
        e = read_theirs(&t, response, text, ours.end ? ours.end : n - 1);
        compare(&ours, &h, &t, e);
    }
    free(text);
    return 0;
}

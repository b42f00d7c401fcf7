/*
 * fuzz_h1_head.c - request and response heads: whole and byte by byte must agree, and what
 * comes out keeps the promises of head.h.
 *
 * The first byte chooses: bit 0 response, bit 1 answer to HEAD; of a request, bits 2 to 5 what
 * a lenient listener forgives.
 */
#include "proxy/http/cookie.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/head_write.h"
#include "proxy/http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void start(struct h1_parser *p, uint8_t how)
{
    static const enum stats_violation kinds[] = {STATS_BAD_BARE_LF, STATS_BAD_OBS_FOLD,
                                                 STATS_BAD_FIELD_VALUE, STATS_BAD_CL_AND_TE};
    uint32_t lenient = 0;

    if (how & 1) {
        h1_parser_response(p, how & 2 ? METHOD_HEAD : METHOD_GET);
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        lenient |= how >> (2 + i) & 1 ? 1u << kinds[i] : 0;
    h1_parser_request(p);
    h1_parser_lenient(p, lenient);
}

/* Feed prefixes of TEXT that grow by STEP; each in a block of its own size, so that ASan sees.
 * What the parser mends stays mended. */
static enum h1_result feed(struct h1_parser *p, struct head *h, char *text, size_t n,
                           size_t step)
{
    enum h1_result r = H1_MORE;

    for (size_t m = step; m < n && r == H1_MORE; m += step) {
        char *copy = malloc(m);
        memcpy(copy, text, m);
        r = h1_parse(p, h, copy, m);
        memcpy(text, copy, m);
        free(copy);
    }
    if (r == H1_MORE)
        r = h1_parse(p, h, text, n);
    head_rebase(h, text);
    return r;
}

static void check_span(const struct head *h, struct span s)
{
    ASSERT(s.n == 0 || (s.at < h->size && s.n <= h->size - s.at));
}

static void check_fields(const struct head *h)
{
    ASSERT(h->nfields <= HEAD_MAX_FIELDS);
    for (size_t i = 0; i < h->nfields; i++) {
        const struct field *f = &h->fields[i];
        check_span(h, (struct span){f->name_at, f->name_n});
        check_span(h, (struct span){f->value_at, f->value_n});
        ASSERT(field_name_ok(head_name(h, f)) && field_value_ok(head_value(h, f)));
        ASSERT(field_id(head_name(h, f)) == f->id);
        ASSERT(f->id == FIELD_OTHER || (h->first[f->id] && h->first[f->id] <= i + 1u));
    }
}

static void check_request(const struct head *h)
{
    struct uri_authority a;
    char *room = malloc(h->size + 16);
    struct out o = out_init(room, h->size + 16);
    struct str path, query, normal;

    ASSERT(h->framing != FRAMING_CLOSE && h->status == 0);
    ASSERT(h->minor == 0 || head_authority(h).n);
    ASSERT(head_authority(h).n == 0 || uri_authority_parse(head_authority(h), &a));
    head_write_request(&o, h);
    ASSERT(!o.full && memchr(o.p, '\n', o.n) == o.p + o.n - 1);
    uri_split(head_path(h), &path, &query);
    o.p[0] = 0;
    if (uri_path_normalise(path, room, path.n + 1, &normal) == URI_PATH_OK)
        ASSERT(normal.n <= path.n + 1 && normal.n && (room[0] == '/' || room[0] == '*'));
    (void)cookie_find(h, STR("sid"), &path);
    free(room);
}

static void check_head(const struct head *h, const struct h1_parser *p, bool response, size_t n)
{
    ASSERT(h->size <= n && h->size <= HEAD_MAX_BYTES && h->minor <= 1);
    check_span(h, h->method_text);
    check_span(h, h->target);
    check_span(h, h->authority);
    check_span(h, h->path);
    check_span(h, h->reason);
    check_fields(h);
    ASSERT((p->forgiven & ~p->lenient) == 0);
    if (head_has(h, FIELD_CONTENT_LENGTH) && head_has(h, FIELD_TRANSFER_ENCODING))
        ASSERT(p->forgiven >> STATS_BAD_CL_AND_TE & 1 && !h->keep_alive &&
               h->framing == FRAMING_CHUNKED && h->length == 0);
    ASSERT(h->framing != FRAMING_CHUNKED || h->minor == 1);
    if (response)
        ASSERT(h->status >= 100 && h->status <= 599);
    else
        check_request(h);
}

/* Only what the parser has filled in is compared. */
static bool same(const struct head *a, const struct head *b)
{
    return a->size == b->size && a->nfields == b->nfields && a->status == b->status &&
           a->method == b->method && a->minor == b->minor && a->framing == b->framing &&
           a->keep_alive == b->keep_alive && a->expect == b->expect &&
           a->upgrade == b->upgrade && a->trailers == b->trailers && a->length == b->length &&
           memcmp(&a->method_text, &b->method_text, sizeof(a->method_text) * 5) == 0 &&
           memcmp(a->first, b->first, sizeof(a->first)) == 0;
}

/* The mended text, all fields of it. */
static bool same_fields(const struct head *a, const struct head *b)
{
    if (memcmp(a->base, b->base, a->size) != 0)
        return false;
    for (size_t i = 0; i < a->nfields; i++)
        if (!str_eq(head_name(a, &a->fields[i]), head_name(b, &b->fields[i])) ||
            !str_eq(head_value(a, &a->fields[i]), head_value(b, &b->fields[i])) ||
            a->fields[i].hop != b->fields[i].hop)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const size_t steps[] = {1, 7, SIZE_MAX / 2};
    struct h1_parser p[3];
    struct head h[3];
    enum h1_result r[3];
    char *text[3];

    if (n == 0 || n > 20000)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        text[i] = malloc(n);
        memcpy(text[i], data + 1, n - 1);
        start(&p[i], data[0]);
        r[i] = feed(&p[i], &h[i], text[i], n - 1, steps[i]);
        ASSERT(r[i] == r[0]);
        if (r[i] == H1_BAD)
            ASSERT(p[i].status == p[0].status && p[i].kind == p[0].kind && p[i].why);
        if (r[i] == H1_DONE)
            ASSERT(same(&h[i], &h[0]) && same_fields(&h[i], &h[0]) &&
                   p[i].forgiven == p[0].forgiven);
    }
    if (r[0] == H1_DONE)
        check_head(&h[0], &p[0], data[0] & 1, n - 1);
    for (size_t i = 0; i < 3; i++)
        free(text[i]);
    return 0;
}

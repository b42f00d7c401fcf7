/*
 * fuzz_h1_body.c - bodies: every way to cut the input gives the same payload, trailers and end.
 *
 * The first byte is the framing, the second the length or the step.
 */
#include "proxy/http/h1_body.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct result {
    enum h1_body_event event;
    uint16_t kind;
    size_t n, used; /* payload; input up to the end */
    char *payload;
    struct str trailers;
    char room[H1_TRAILER_MAX];
};

static void decode(struct result *r, const char *text, size_t n, enum framing framing,
                   uint64_t length, size_t step)
{
    struct h1_body b;
    struct str data;

    *r = (struct result){.event = H1_BODY_MORE, .payload = malloc(n + 1)};
    h1_body_init(&b, framing, length);
    h1_body_keep_trailers(&b, r->room, sizeof(r->room));
    for (size_t at = 0; r->event == H1_BODY_MORE && (at == 0 || at < n);) {
        size_t m = step < n - at ? step : n - at;
        char *piece = malloc(m + 1); /* of its own, so that ASan sees */
        struct str in = {piece + 1, m};
        memcpy(piece + 1, text + at, m);
        while ((r->event = h1_body_next(&b, &in, &data)) == H1_BODY_DATA) {
            ASSERT(data.n && r->n + data.n <= n);
            memcpy(r->payload + r->n, data.p, data.n);
            r->n += data.n;
        }
        ASSERT(r->event != H1_BODY_MORE || in.n == 0);
        at += m;
        r->used = at - in.n;
        free(piece);
        if (n == 0)
            break;
    }
    ASSERT(b.payload == r->n && h1_body_done(&b) == (r->event == H1_BODY_END));
    r->kind = r->event == H1_BODY_BAD ? b.kind : 0;
    r->trailers = h1_body_trailers(&b);
}

/* What is kept of trailers is a sequence of field lines. */
static void check_trailers(struct str t)
{
    while (t.n) {
        struct str line = str_cut(&t, '\n'), name = str_cut(&line, ':');
        ASSERT(field_name_ok(name) && !(field_traits(field_id(name)) & FIELD_NO_TRAILER));
        ASSERT(line.n && line.p[line.n - 1] == '\r');
        line.n--;
        ASSERT(field_value_ok(str_trim(line)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct result whole, cut;
    enum framing framing;

    if (n < 2)
        return 0;
    framing = data[0] & 7 ? FRAMING_CHUNKED : data[0] >> 3 & 3;
    decode(&whole, (const char *)data + 2, n - 2, framing, data[1], SIZE_MAX);
    for (size_t step = 1; step <= 1u + data[1] % 9; step += 3) {
        decode(&cut, (const char *)data + 2, n - 2, framing, data[1], step);
        ASSERT(cut.event == whole.event && cut.kind == whole.kind && cut.n == whole.n);
        ASSERT(cut.n == 0 || memcmp(cut.payload, whole.payload, cut.n) == 0);
        if (cut.event == H1_BODY_END)
            ASSERT(cut.used == whole.used && str_eq(cut.trailers, whole.trailers));
        free(cut.payload);
    }
    if (whole.event == H1_BODY_END)
        check_trailers(whole.trailers);
    free(whole.payload);
    return 0;
}

/*
 * fuzz_h2_map.c - the fields of an HTTP/2 request, and of its trailers, as a struct head: what
 * is taken keeps the promises of head.h, and no byte of a value is a line's end.
 *
 * The first byte: bit 0 trailers, bit 1 the message ends here, bit 2 begins with good pseudo
 * fields. Then fields: a byte that picks a name (or says that one follows), a byte for the
 * length of the value, the value.
 */
#include "proxy/http/h2_map.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const names[] = {
    ":method",
    ":path",
    ":authority",
    ":scheme",
    ":protocol",
    ":status",
    "cookie",
    "host",
    "content-length",
    "te",
    "expect",
    "connection",
    "transfer-encoding",
    "upgrade",
    "sec-websocket-key",
    "priority",
    "x-a",
    "transfer_encoding",
};

static struct str take_text(struct str *in)
{
    size_t n = take(in);
    struct str s = {in->p, n < in->n ? n : in->n};

    *in = str_skip(*in, s.n);
    return s;
}

static struct str take_name(struct str *in)
{
    uint8_t i = take(in);

    return i < ARRAY_LEN(names) ? str_of(names[i]) : take_text(in);
}

static bool add(struct h2_fields *f, const char *name, const char *value)
{
    return h2_fields_add(f, str_of(name), str_of(value));
}

static bool add_good(struct h2_fields *f)
{
    return add(f, ":method", "POST") && add(f, ":scheme", "https") && add(f, ":path", "/a?b") &&
           add(f, ":authority", "shop");
}

static void check_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        ASSERT(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0');
}

static void check_head(const struct head *h, const struct block *text)
{
    ASSERT(h->size == text->end - text->start && h->base == text->data + text->start);
    ASSERT(h->nfields <= HEAD_MAX_FIELDS && head_authority(h).n > 0);
    ASSERT(h->framing != FRAMING_CLOSE && h->method != METHOD_CONNECT);
    check_text(head_path(h));
    for (size_t i = 0; i < h->nfields; i++) {
        check_text(head_name(h, &h->fields[i]));
        check_text(head_value(h, &h->fields[i]));
    }
}

static void check_lines(struct str lines)
{
    while (lines.n) {
        struct str line = str_cut(&lines, '\n');

        ASSERT(line.n > 1 && line.p[line.n - 1] == '\r');
        check_text((struct str){line.p, line.n - 1});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct head h;
    struct str in = {(const char *)data, n}, lines;
    uint8_t how = take(&in);
    struct h2_fields f = {0};
    struct h1_parser p;
    struct blocks blocks;
    struct block *text;
    bool good = true;

    blocks_init(&blocks);
    h2_fields_begin(&f, &blocks, how & 1);
    if (how & 4)
        good = add_good(&f);
    while (good && in.n) {
        struct str name = take_name(&in);

        good = h2_fields_add(&f, name, take_text(&in));
    }
    head_reset(&h);
    if (good && (how & 1)) {
        if (h2_fields_trailers(&f, &lines))
            check_lines(lines);
    } else if (good && h2_fields_request(&f, how & 2, &p, &h, &text)) {
        check_head(&h, text);
        block_put(&blocks, text);
    } else if (good) {
        ASSERT(!text && p.status >= 400 && p.why);
    }
    h2_fields_release(&f);
    ASSERT(blocks.used == 0);
    blocks_release(&blocks);
    return 0;
}

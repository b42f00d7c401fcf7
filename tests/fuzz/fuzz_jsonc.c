/*
 * fuzz_jsonc.c - any bytes as a config: no crash, and what is accepted survives a round trip.
 *
 * Variables and host names are off: a document must not read files or ask the network.
 */
#include "config/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf *parse(struct str doc, struct conf_diags *d)
{
    return load_parse((struct load_mode){.lookup = false}, doc, "fuzz", d);
}

static void check_round_trip(const struct conf *c)
{
    struct conf_diags d;
    char *first = conf_dump(c, false);

    conf_diags_init(&d);

    struct conf *again = parse(str_of(first), &d);

    ASSERT(again); /* a dump is a good config */

    char *second = conf_dump(again, false);

    ASSERT(strcmp(first, second) == 0);
    xfree(first);
    xfree(second);
    conf_free(again);
    conf_diags_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_diags d;
    struct arena a;

    arena_init(&a, NULL, 0);
    conf_diags_init(&d);

    struct conf *c = parse((struct str){(const char *)data, size}, &d);

    ASSERT(c ? d.list.n == 0 : d.list.n > 0);
    (void)conf_diags_text(&a, &d);
    (void)conf_diags_json(&a, &d);
    if (c)
        check_round_trip(c);
    conf_free(c);
    conf_diags_release(&d);
    arena_release(&a);
    return 0;
}

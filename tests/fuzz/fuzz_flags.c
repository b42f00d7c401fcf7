/*
 * fuzz_flags.c - a flagd document and a context: compile, then evaluate every flag.
 *
 * Input: document, newline, context. The document is read as flagd's or as a snapshot. Results
 * must come from the set, and a second evaluation must agree with the first.
 */
#include "config/flag_doc.h"
#include "proxy/base/mem.h"
#include "proxy/route/flag_eval.h"

#include <jansson.h>

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool get(void *arg, struct str path, struct flag_value *out)
{
    return flag_value_at(arg, path, out);
}

static struct flagset *compile(struct str text)
{
    struct flagset *set = NULL;
    char *why = NULL, *flat;
    json_t *doc = flag_doc_parse(text, &why);

    flat = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    if (flat)
        set = flagset_compile(str_of(flat), &why);
    xfree(why);
    xfree(flat);
    json_decref(doc);
    return set;
}

static void evaluate(struct flagset *set, struct flag_value *root)
{
    struct flag_ctx *c = flag_ctx_new();

    for (int round = 0; round < 2; round++) {
        flag_ctx_begin(c, set, get, root, 1750000000);
        for (size_t i = 0; i < flagset_count(set); i++) {
            const struct flag_result *r = flag_eval(c, (int)i);

            ASSERT(r == flag_eval(c, (int)i));
            ASSERT(!r->variant || r->error == FLAG_OK);
            ASSERT((r->reason == FLAG_ERROR) == (r->error != FLAG_OK));
            ASSERT(!flagset_quarantine(set, (int)i).n || r->error == FLAG_PARSE_ERROR);
            ASSERT(flagset_find(set, flagset_key(set, (int)i)) == (int)i);
        }
    }
    flag_ctx_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str context = {(const char *)data, size}, doc = str_cut(&context, '\n');
    struct flag_value root;
    struct flagset *set;
    struct arena a;

    if (size > INPUT_MAX)
        return 0;
    set = compile(doc);
    if (!set)
        return 0;
    arena_init(&a, NULL, 0);
    if (!flag_value_parse(&a, context, &root))
        root = (struct flag_value){.kind = FLAG_OBJECT};
    evaluate(set, &root);
    arena_release(&a);
    flagset_unref(set);
    return 0;
}

/*
 * flags.c - what it costs to evaluate flags.
 *
 *   flags FLAGS.json CONTEXT.json
 *
 * CPU time of one evaluation of each flag, a request each, for the context; of a bulk answer
 * for 350 flags with its context parsed; and the allocations in all of that.
 */
#include "config/flag_doc.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/route/ofrep.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TURNS  20000 /* evaluations that are timed together */
#define ROUNDS 5     /* the best of them counts */
#define BULK   350

static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bool get(void *arg, struct str path, struct flag_value *out)
{
    return flag_value_at(arg, path, out);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return n ? v[n / 2] : 0;
}

static struct str load(struct arena *a, const char *path)
{
    struct str text;

    if (sys_read_file(a, path, 64u << 20, &text) != 0) {
        perror(path);
        exit(1);
    }
    return text;
}

static struct flagset *compile(json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT), *why = NULL;
    struct flagset *set = flagset_compile(str_of(text), &why);

    xfree(text);
    return set;
}

static double one(struct flag_ctx *c, const struct flagset *set, struct flag_value *root,
                  int flag)
{
    double best = 1e18;

    for (int r = 0; r < ROUNDS; r++) {
        double begin = cpu_ns(), took;

        for (int i = 0; i < TURNS; i++) {
            flag_ctx_begin(c, set, get, root, 1750000000);
            (void)flag_eval(c, flag);
        }
        took = (cpu_ns() - begin) / TURNS;
        best = took < best ? took : best;
    }
    return best;
}

static void single(struct flag_ctx *c, const struct flagset *set, struct flag_value *root)
{
    size_t n = flagset_count(set), nf = 0;
    double *all = xcalloc(n, sizeof(*all)), *fractional = xcalloc(n, sizeof(*all));

    for (size_t i = 0; i < n; i++) {
        all[i] = one(c, set, root, (int)i);
        if (str_starts(flagset_key(set, (int)i), STR("fractional")))
            fractional[nf++] = all[i];
    }
    printf("%zu flags: median %.1f ns", n, median(all, n));
    printf(", slowest %.1f ns\n", all[n - 1]); /* they are in order now */
    printf("%zu with fractional: median %.1f ns\n", nf, median(fractional, nf));
    xfree(all);
    xfree(fractional);
}

/* The flags of DOC over and over, BULK of them. */
static json_t *many(const json_t *doc)
{
    json_t *flags = json_object(), *flag, *all = json_copy((json_t *)doc);
    const char *key;

    while (json_object_size(flags) < BULK)
        json_object_foreach(json_object_get(doc, "flags"), key, flag)
        {
            char *name = xasprintf("%s-%zu", key, json_object_size(flags));

            if (json_object_size(flags) < BULK)
                json_object_set(flags, name, flag);
            xfree(name);
        }
    json_object_set_new(all, "flags", flags);
    return all;
}

static void bulk(struct flag_ctx *c, const struct flagset *set, struct str context)
{
    struct str parts = context;
    struct ofrep o = {0};
    struct ofrep_answer a = {0};
    struct arena arena;
    char room[8192];
    double best = 1e18;
    uint64_t before = 0;

    for (int r = 0; r < 10 * ROUNDS; r++) {
        double begin = cpu_ns(), took;

        before = r == 1 ? mem_allocations() : before; /* the first one makes room */
        for (int i = 0; i < 100; i++) {
            struct ofrep_question q = {.set = set,
                                       .ctx = c,
                                       .arena = &arena,
                                       .body = parts,
                                       .now_unix = 1750000000,
                                       .events = true};

            arena_init(&arena, room, sizeof(room));
            ofrep_ask_all(&o, &q, &a);
            arena_release(&arena);
        }
        took = (cpu_ns() - begin) / 100;
        best = took < best ? took : best;
    }
    printf("all of %zu flags, %zu bytes: %.1f us, %.0f ns a flag, %llu allocations\n",
           flagset_count(set), a.body.n, best / 1000, best / (double)flagset_count(set),
           (unsigned long long)(mem_allocations() - before));
    ofrep_release(&o);
}

int main(int argc, char **argv)
{
    struct flag_ctx *c = flag_ctx_new();
    struct flag_value root, question;
    struct flagset *set;
    struct str context;
    struct arena a;
    json_t *doc, *big;
    char *why = NULL;

    if (argc != 3)
        return 2;
    arena_init(&a, NULL, 0);
    doc = flag_doc_parse(load(&a, argv[1]), &why);
    context = load(&a, argv[2]); /* {"context":{…}} */
    if (!doc || !flag_value_parse(&a, context, &question) ||
        !flag_value_at(&question, STR("context"), &root))
        return 1;
    set = compile(doc);
    single(c, set, &root);
    flagset_unref(set);
    big = many(doc);
    set = compile(big);
    bulk(c, set, context);
    flagset_unref(set);
    flag_ctx_free(c);
    json_decref(big);
    json_decref(doc);
    arena_release(&a);
    return 0;
}

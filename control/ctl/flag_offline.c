/*
 * flag_offline.c - evaluates flags from files, line by line.
 */
#include "control/ctl/flag_offline.h"

#include "config/flag_doc.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/route/flag_eval.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#define FLAGS_MAX (64u << 20)

struct offline {
    struct flagset *set;
    struct flag_ctx *ctx;
    struct arena arena; /* of one line */
    uint64_t now_unix;
    FILE *out;
};

static bool get(void *arg, struct str path, struct flag_value *out)
{
    return flag_value_at(arg, path, out);
}

static void print_text(FILE *out, struct str s)
{
    json_t *j = json_stringn_nocheck(s.p, s.n);
    char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);

    fputs(text ? text : "\"\"", out);
    xfree(text);
    json_decref(j);
}

static void print_result(const struct offline *o, size_t line, struct str key,
                         const struct flag_result *r)
{
    fprintf(o->out, "{\"i\":%zu,\"flag\":", line);
    print_text(o->out, key);
    if (r->variant) {
        fprintf(o->out, ",\"value\":%.*s,\"variant\":", STR_ARG(r->variant->json));
        print_text(o->out, r->variant->name);
    }
    fprintf(o->out, ",\"reason\":\"%s\"", flag_reason_name(r->reason));
    if (r->error != FLAG_OK)
        fprintf(o->out, ",\"errorCode\":\"%s\"", flag_error_name(r->error));
    fputs("}\n", o->out);
}

/* QUERY: {"flag"?,"context"?}. */
static bool answer(struct offline *o, size_t line, const json_t *query)
{
    const json_t *context = json_object_get(query, "context");
    const char *key = json_string_value(json_object_get(query, "flag"));
    struct flag_value root = {.kind = FLAG_OBJECT};

    arena_reset(&o->arena);
    if (context && !flag_value_from_json(&o->arena, context, &root))
        return false;
    flag_ctx_begin(o->ctx, o->set, get, &root, o->now_unix);
    if (key) {
        int flag = flagset_find(o->set, str_of(key));

        print_result(o, line, str_of(key), flag_eval(o->ctx, flag));
        return true;
    }
    for (size_t i = 0; i < flagset_count(o->set); i++)
        print_result(o, line, flagset_key(o->set, (int)i), flag_eval(o->ctx, (int)i));
    return true;
}

static int answer_all(struct offline *o, const char *path, FILE *in, char **why)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = getline(&line, &cap, in)) >= 0) {
        json_t *query;

        if (str_trim((struct str){line, strcspn(line, "\r\n")}).n == 0)
            continue;
        query = json_loadb(line, (size_t)n, 0, NULL);
        if (!json_is_object(query) || !answer(o, number, query)) {
            *why = xasprintf("%s: context %zu is not a JSON object of at most 64 levels", path,
                             number);
            rc = -1;
        }
        json_decref(query);
        number++;
    }
    xfree(line);
    return rc;
}

static struct flagset *load(const char *path, char **why)
{
    struct flagset *set = NULL;
    struct arena a;
    struct str text;
    json_t *doc = NULL;
    char *flat, *reason = NULL;

    arena_init(&a, NULL, 0);
    if (sys_read_file(&a, path, FLAGS_MAX, &text) != 0)
        reason = xstrdup(strerror(errno));
    else
        doc = flag_doc_parse(text, &reason);
    if (doc) {
        flat = json_dumps(doc, JSON_COMPACT);
        set = flagset_compile(str_of(flat), &reason);
        xfree(flat);
    }
    if (!set)
        *why = xasprintf("%s: %s", path, reason);
    xfree(reason);
    json_decref(doc);
    arena_release(&a);
    return set;
}

int flag_offline(const char *flags, const char *contexts, uint64_t now_unix, FILE *out,
                 char **why)
{
    struct offline o = {.now_unix = now_unix, .out = out};
    FILE *in = NULL;
    int rc = -1;

    o.set = load(flags, why);
    if (!o.set)
        return -1;
    if (contexts && !(in = fopen(contexts, "re"))) {
        *why = xasprintf("%s: %s", contexts, strerror(errno));
        flagset_unref(o.set);
        return -1;
    }
    o.ctx = flag_ctx_new();
    arena_init(&o.arena, NULL, 0);
    if (in)
        rc = answer_all(&o, contexts, in, why);
    else
        rc = answer(&o, 0, NULL) ? 0 : -1;
    if (in)
        fclose(in);
    arena_release(&o.arena);
    flag_ctx_free(o.ctx);
    flagset_unref(o.set);
    return rc;
}

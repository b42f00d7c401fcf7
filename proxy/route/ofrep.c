/*
 * ofrep.c - questions of OpenFeature clients and their answers.
 *
 * Answers without a value have no such member: null would be a value of the wrong type.
 */
#include "proxy/route/ofrep.h"

#include "proxy/base/hash.h"

#include <inttypes.h>
#include <stdio.h>

#define TEXT_KEPT 1048576 /* a larger buffer is not kept */

void ofrep_release(struct ofrep *o)
{
    vec_release(&o->text);
    flag_json_release(&o->json);
}

/* ---- text ---- */

static void put(struct ofrep *o, struct str s)
{
    vec_reserve(&o->text, o->text.n + s.n);
    if (s.n)
        memcpy(o->text.v + o->text.n, s.p, s.n);
    o->text.n += s.n;
}

static void put_character(struct ofrep *o, struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    char escape[8];

    if (c == '"' || c == '\\') {
        put(o, c == '"' ? STR("\\\"") : STR("\\\\"));
    } else if (c < 0x20) {
        snprintf(escape, sizeof(escape), "\\u%04x", c);
        put(o, str_of(escape));
    } else {
        put(o, s);
    }
}

/* S as a JSON text. It may have come percent-encoded: what is not UTF-8 becomes U+FFFD. */
static void put_quoted(struct ofrep *o, struct str s)
{
    put(o, STR("\""));
    for (size_t i = 0, n; i < s.n; i += n ? n : 1) {
        n = (unsigned char)s.p[i] < 0x80 ? 1 : flag_json_utf8(s.p + i, s.p + s.n);
        if (n)
            put_character(o, (struct str){s.p + i, n});
        else
            put(o, STR("\xef\xbf\xbd"));
    }
    put(o, STR("\""));
}

static struct str text_of(const struct ofrep *o)
{
    return (struct str){o->text.v, o->text.n};
}

static void begin(struct ofrep *o, struct ofrep_answer *a)
{
    if (o->text.cap > TEXT_KEPT)
        vec_release(&o->text);
    o->text.n = 0;
    *a = (struct ofrep_answer){.status = 200, .flag = -1};
}

/* {"key":…,"errorCode":…,"errorDetails":…}; KEY NULL: it was about all flags. */
static void refuse(struct ofrep *o, struct ofrep_answer *a, const struct str *key, int status,
                   struct str code, struct str details)
{
    o->text.n = 0;
    put(o, STR("{"));
    if (key) {
        put(o, STR("\"key\":"));
        put_quoted(o, *key);
        put(o, STR(","));
    }
    if (code.n) {
        put(o, STR("\"errorCode\":"));
        put_quoted(o, code);
        put(o, STR(","));
    }
    put(o, STR("\"errorDetails\":"));
    put_quoted(o, details);
    put(o, STR("}"));
    a->status = status;
    a->body = text_of(o);
}

/* ---- the question ---- */

static bool get_attribute(void *arg, struct str path, struct flag_value *out)
{
    if (str_starts(path, STR("$flagd"))) /* ours to say, and said already */
        return false;
    return flag_value_at(arg, path, out);
}

/* The last member of that name counts, and comes first (flag_json.h). */
static struct flag_value member(const struct flag_value *v, struct str name)
{
    struct flag_value found;

    return v->kind == FLAG_OBJECT && flag_value_at(v, name, &found) ? found : FLAG_VALUE_NULL;
}

/* False: it was refused. ROOT must live as long as the evaluation. */
static bool read_question(struct ofrep *o, const struct ofrep_question *q,
                          const struct str *key, struct flag_value *root,
                          struct ofrep_answer *a)
{
    struct flag_value doc = {.kind = FLAG_OBJECT};

    begin(o, a);
    if (q->body.n && !flag_json_parse(&o->json, q->arena, q->body, &doc)) {
        char why[96];

        snprintf(why, sizeof(why), "byte %zu: %s", o->json.at, o->json.why);
        refuse(o, a, key, 400, STR("PARSE_ERROR"), str_of(why));
        return false;
    }
    *root = member(&doc, STR("context"));
    if (root->kind == FLAG_NULL && doc.kind == FLAG_OBJECT)
        *root = (struct flag_value){.kind = FLAG_OBJECT};
    if (root->kind != FLAG_OBJECT) {
        refuse(o, a, key, 400, STR("INVALID_CONTEXT"), STR("\"context\" must be an object"));
        return false;
    }
    if (q->selector.n && !str_starts(q->selector, STR("flagSetId="))) {
        refuse(o, a, key, 400, STR("GENERAL"), STR("a selector is \"flagSetId=\" and an id"));
        return false;
    }
    if (q->set)
        flag_ctx_begin(q->ctx, q->set, get_attribute, root, q->now_unix);
    return true;
}

static bool selected(const struct ofrep_question *q, const struct flag_def *d)
{
    return q->selector.n == 0 || str_eq(d->set_id, str_skip(q->selector, strlen("flagSetId=")));
}

/* ---- answers ---- */

static void put_success(struct ofrep *o, const struct flag_def *d, const struct flag_result *r)
{
    static const struct str reasons[FLAG_NREASONS] = {
        [FLAG_STATIC] = STR_INIT(",\"reason\":\"STATIC\""),
        [FLAG_DEFAULT] = STR_INIT(",\"reason\":\"DEFAULT\""),
        [FLAG_TARGETING_MATCH] = STR_INIT(",\"reason\":\"TARGETING_MATCH\""),
        [FLAG_DISABLED] = STR_INIT(",\"reason\":\"DISABLED\""),
    };

    put(o, reasons[r->reason]);
    if (r->variant)
        put(o, r->variant->answer);
    put(o, r->override      ? d->closing_override
           : r->unsatisfied ? d->closing_unsatisfied
                            : d->closing);
}

static void put_failure(struct ofrep *o, const struct flag_def *d, const struct flag_result *r)
{
    put(o, STR(",\"errorCode\":\""));
    put(o, str_of(flag_error_name(r->error)));
    put(o, STR("\""));
    put(o, d->quarantine.n ? d->closing_failed
                           : STR(",\"errorDetails\":\"the rule names no variant of the flag, "
                                 "or takes too much work\"}"));
}

static const struct flag_result *put_flag(struct ofrep *o, const struct ofrep_question *q,
                                          int flag)
{
    const struct flag_def *d = &q->set->flags[flag];
    const struct flag_result *r = flag_eval(q->ctx, flag);

    put(o, d->opening);
    if (r->error == FLAG_OK)
        put_success(o, d, r);
    else
        put_failure(o, d, r);
    return r;
}

void ofrep_ask(struct ofrep *o, const struct ofrep_question *q, struct str key,
               struct ofrep_answer *a)
{
    struct flag_value root;
    int flag;

    if (!read_question(o, q, &key, &root, a))
        return;
    flag = q->set ? flagset_find(q->set, key) : -1;
    if (flag < 0 || !selected(q, &q->set->flags[flag])) {
        refuse(o, a, &key, 404, STR("FLAG_NOT_FOUND"), STR("no such flag"));
        return;
    }
    a->flag = flag;
    a->status = put_flag(o, q, flag)->error == FLAG_OK ? 200 : 400;
    a->body = text_of(o);
}

/* False: there is too much to say. */
static bool put_flags(struct ofrep *o, const struct ofrep_question *q)
{
    bool first = true;

    put(o, STR("{\"flags\":["));
    for (size_t i = 0; q->set && i < flagset_count(q->set); i++) {
        if (!selected(q, &q->set->flags[i]))
            continue;
        if (!first)
            put(o, STR(","));
        first = false;
        (void)put_flag(o, q, (int)i);
        if (o->text.n > OFREP_ANSWER_MAX)
            return false;
    }
    put(o, STR("]"));
    return true;
}

static void put_rest(struct ofrep *o, const struct ofrep_question *q)
{
    if (q->set && q->set->metadata.n) {
        put(o, STR(",\"metadata\":"));
        put(o, q->set->metadata);
    }
    if (q->events)
        put(o, STR(",\"eventStreams\":[{\"type\":\"sse\",\"endpoint\":{\"requestUri\":"
                   "\"" OFREP_EVENTS "\"},\"inactivityDelaySec\":120}]"));
    put(o, STR("}"));
}

void ofrep_ask_all(struct ofrep *o, const struct ofrep_question *q, struct ofrep_answer *a)
{
    struct flag_value root;

    if (!read_question(o, q, NULL, &root, a))
        return;
    if (!put_flags(o, q)) {
        refuse(o, a, NULL, 500, STR_NONE, STR("the answer would be longer than 8 MiB"));
        return;
    }
    put_rest(o, q);
    a->body = text_of(o);
    snprintf(a->tag, sizeof(a->tag), "\"%016" PRIx64 "\"", hash64(a->body, 0));
    if (q->have.n && ofrep_tag_listed(q->have, str_of(a->tag))) {
        a->status = 304;
        a->body = STR_NONE;
    }
}

static struct str bare_tag(struct str tag)
{
    if (str_starts(tag, STR("W/")))
        tag = str_skip(tag, 2);
    if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
        tag = (struct str){tag.p + 1, tag.n - 2};
    return tag;
}

bool ofrep_tag_listed(struct str list, struct str tag)
{
    struct str want = bare_tag(tag);

    while (list.n) {
        struct str one = bare_tag(str_trim(str_cut(&list, ',')));

        if (str_eq(one, want) || str_eq(one, STR("*")))
            return true;
    }
    return false;
}

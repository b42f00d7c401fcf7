/*
 * api_flag_tools.c - flags for who reviews and who syncs: validate, explain, simulate, the log
 * of changes, and all definitions as one flagd document.
 */
#include "config/flag_doc.h"
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/engine/flag_trial.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/event/loop.h"
#include "proxy/route/ofrep.h"

#include <inttypes.h>
#include <stdio.h>

#define USERS_DEFAULT 10000
#define LOG_DEFAULT   100
#define LOG_MAX       1000
#define PAGE          1000 /* records of the audit that are read at once */

static struct flagsync *flags_of(const struct api_request *req)
{
    return api_engine(req)->flagsync;
}

static uint64_t now_unix(const struct api_request *req)
{
    return loop_wall_ms(api_loop(req)) / 1000;
}

/* The member "context" of the body. False: 400 has been sent. */
static bool read_context(struct api_request *req, const json_t **out)
{
    *out = json_object_get(api_body(req), "context");
    if (!*out || json_is_object(*out))
        return true;
    api_problem(req, 400, "bad_context", "/context", "must be an object");
    return false;
}

/* ---- validate ---- */

void api_flags_validate(struct api_request *req)
{
    char *text = json_dumps(api_body(req), JSON_COMPACT), *why = NULL;
    json_t *doc = flag_doc_parse(str_of(text ? text : ""), &why);

    if (doc)
        api_reply(req, 200, flag_trial_validate(flags_of(req), doc, now_unix(req)));
    else
        api_problem(req, 400, "bad_flags", NULL, "%s", why);
    json_decref(doc);
    xfree(why);
    xfree(text);
}

/* ---- explain, simulate ---- */

void api_flags_explain(struct api_request *req)
{
    static const char *const fields[] = {"context", NULL};
    struct flagset *set = flagsync_set(flags_of(req));
    const char *key = api_param(req, "key");
    int flag = set ? flagset_find(set, str_of(key)) : -1;
    const json_t *context;
    json_t *answer;

    if (api_body(req) && !api_fields(req, api_body(req), "", fields))
        return;
    if (flag < 0) {
        api_problem(req, 404, "not_found", NULL, "no flag \"%s\"", key);
        return;
    }
    if (!read_context(req, &context))
        return;
    answer = flag_trial_explain(set, flag, context, now_unix(req));
    if (answer)
        api_reply(req, 200, answer);
    else
        api_problem(req, 400, "bad_context", "/context", "deeper than 64 levels");
}

/* How many: the member "users" of the body. False: 400 has been sent. */
static bool read_users(struct api_request *req, unsigned *out)
{
    const json_t *j = json_object_get(api_body(req), "users");
    json_int_t n = j ? json_integer_value(j) : USERS_DEFAULT;

    *out = (unsigned)n;
    if (n > 0 && n <= FLAG_TRIAL_USERS)
        return true;
    api_problem(req, 400, "bad_users", "/users", "must be 1 to %d", FLAG_TRIAL_USERS);
    return false;
}

void api_flags_simulate(struct api_request *req)
{
    static const char *const fields[] = {"flag", "context", "users", NULL};
    struct flagsync *f = flags_of(req);
    const char *key = api_param(req, "key");
    const json_t *flag = json_object_get(api_body(req), "flag"), *context;
    struct flagset *after;
    json_t *one;
    unsigned users;
    char *why;

    if (!api_fields(req, api_body(req), "", fields) || !read_context(req, &context) ||
        !read_users(req, &users))
        return;
    one = flag ? json_pack("{s:O}", key, flag) : NULL;
    why = flag ? flagsync_objection(f, one) : NULL;
    json_decref(one);
    after = why ? NULL : flag_trial_set(f, key, flag);
    if (why)
        api_problem(req, 422, "bad_flag", "/flag", "%s", why);
    else if (!after || flagset_find(after, str_of(key)) < 0)
        api_problem(req, 404, "not_found", NULL, "no flag \"%s\"", key);
    else
        api_reply(
            req, 200,
            flag_trial_simulate(flagsync_set(f), after, key, context, users, now_unix(req)));
    flagset_unref(after);
    xfree(why);
}

/* ---- the log ---- */

struct log { /* records of flags in the audit */
    json_t *rows;
    uint64_t limit, seen, last;
};

static json_t *value_of(struct str text)
{
    json_t *v = text.n ? json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL) : NULL;

    return v ? v : json_null();
}

static int on_record(void *arg, const struct store_audit *rec)
{
    struct str key = rec->what, deed;
    char stamp[CLOCK_STAMP];
    struct log *l = arg;

    if (json_array_size(l->rows) == l->limit)
        return 0;
    l->seen++;
    l->last = rec->seq;
    if (!str_starts(key, STR("flag.")))
        return 0;
    deed = str_cut(&key, ' ');
    json_array_append_new(l->rows,
                          json_pack("{s:I,s:s,s:s%,s:s%,s:s%,s:s%,s:o,s:o}", "seq",
                                    (json_int_t)rec->seq, "ts", clock_stamp(stamp, rec->ts_ms),
                                    "who", rec->who.n ? rec->who.p : "", rec->who.n, "what",
                                    deed.p, deed.n, "flag", key.n ? key.p : "", key.n, "why",
                                    rec->why.n ? rec->why.p : "", rec->why.n, "before",
                                    value_of(rec->before), "after", value_of(rec->after)));
    return 0;
}

void api_flags_log(struct api_request *req)
{
    struct log l = {.limit = LOG_DEFAULT};
    uint64_t since = 0;

    if (!api_query_u64(req, "since", INT64_MAX, &since) ||
        !api_query_u64(req, "limit", LOG_MAX, &l.limit))
        return;
    l.rows = json_array();
    l.last = since;
    do {
        l.seen = 0;
        if (store_audit_list(api_engine(req)->store, l.last, PAGE, on_record, &l) != 0) {
            json_decref(l.rows);
            api_problem(req, 500, "store_failed", NULL, "the audit cannot be read");
            return;
        }
    } while (l.seen == PAGE && json_array_size(l.rows) < l.limit);
    api_reply(req, 200, json_pack("{s:o,s:I}", "log", l.rows, "next", (json_int_t)l.last));
}

/* ---- export ---- */

/* FLAG as it is while O, an override for everybody, holds. */
static json_t *overridden(const json_t *flag, const json_t *o)
{
    json_t *copy = json_copy((json_t *)flag);

    json_object_set(copy, "defaultVariant", json_object_get(o, "variant"));
    json_object_set_new(copy, "state", json_string("ENABLED"));
    json_object_del(copy, "targeting");
    return copy;
}

/* Does O hold for everybody now? */
static bool holds(const json_t *o, uint64_t now)
{
    json_int_t until = json_integer_value(json_object_get(o, "until"));

    return json_is_object(o) && !json_is_object(json_object_get(o, "targets")) &&
           (until == 0 || now < (uint64_t)until);
}

static json_t *exported(const struct flagsync *f, bool apply, uint64_t now)
{
    const json_t *served = flagsync_document(f);
    json_t *flags = json_object(), *doc, *flag;
    const char *key;

    json_object_foreach(json_object_get(served, "flags"), key, flag)
    {
        const json_t *o = flagsync_override(f, key);

        if (apply && holds(o, now))
            json_object_set_new(flags, key, overridden(flag, o));
        else if (json_is_object(flag))
            json_object_set(flags, key, flag);
    }
    doc = json_pack("{s:s,s:o}", "$schema", "https://flagd.dev/schema/v0/flags.json", "flags",
                    flags);
    if (json_object_size(json_object_get(served, "evaluators")))
        json_object_set(doc, "$evaluators", json_object_get(served, "evaluators"));
    if (json_object_size(json_object_get(served, "metadata")))
        json_object_set(doc, "metadata", json_object_get(served, "metadata"));
    return doc;
}

void api_flags_export(struct api_request *req)
{
    const char *have = api_header(req, "If-None-Match");
    json_t *doc =
        exported(flags_of(req), api_query_flag(req, "apply_overrides"), now_unix(req));
    char *text = json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS), tag[24];

    snprintf(tag, sizeof(tag), "\"%016" PRIx64 "\"", hash64(str_of(text), 0));
    api_set_header(req, "ETag", tag);
    if (have && ofrep_tag_listed(str_of(have), str_of(tag)))
        api_reply_empty(req, 304);
    else
        api_reply_raw(req, 200, "application/json", str_of(text));
    xfree(text);
    json_decref(doc);
}

/*
 * api_flags.c - flags over the control API, and their evaluation by OFREP 0.3.
 *
 * An entity tag is a hash of what is shown, so it changes exactly when that does. Changes
 * answer when they are live on all workers. OFREP is answered here with the workers' own
 * evaluator over the set that is served.
 */
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/engine/flagsync.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/event/loop.h"
#include "proxy/route/flag_eval.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define TAG_MAX 24

static struct flagsync *flags_of(const struct api_request *req)
{
    return api_engine(req)->flagsync;
}

/* ---- reading ---- */

static json_t *or_null(const json_t *j)
{
    return j ? json_incref((json_t *)j) : json_null();
}

static json_t *names_of(const json_t *object)
{
    json_t *names = json_array(), *value;
    const char *name;

    json_object_foreach((json_t *)object, name, value)
    {
        json_array_append_new(names, json_string(name));
    }
    return names;
}

static json_t *row_of(const struct flagsync *f, const struct flagsync_status *s,
                      const char *key, const json_t *flag)
{
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "key", key, "state",
                     or_null(json_object_get(flag, "state")), "defaultVariant",
                     or_null(json_object_get(flag, "defaultVariant")), "variants",
                     names_of(json_object_get(flag, "variants")), "override",
                     or_null(flagsync_override(f, key)), "quarantine",
                     or_null(json_object_get(s->quarantined, key)));
}

void api_flags_list(struct api_request *req)
{
    struct flagsync *f = flags_of(req);
    json_t *rows = json_array(), *flag;
    struct flagsync_status s;
    const char *key;

    flagsync_status(f, &s);
    json_object_foreach(json_object_get(flagsync_document(f), "flags"), key, flag)
    {
        json_array_append_new(rows, row_of(f, &s, key, flag));
    }
    api_reply(req, 200,
              json_pack("{s:s%,s:s,s:s%,s:I,s:I,s:o}", "env", s.env.n ? s.env.p : "", s.env.n,
                        "source", s.source, "epoch", s.epoch.n ? s.epoch.p : "", s.epoch.n,
                        "version", (json_int_t)s.version, "sequence", (json_int_t)s.sequence,
                        "flags", rows));
}

static json_t *shown(const struct flagsync *f, const char *key)
{
    return json_pack("{s:s,s:o,s:o}", "key", key, "flag", or_null(flagsync_flag(f, key)),
                     "override", or_null(flagsync_override(f, key)));
}

static void tag_of(const json_t *body, char tag[TAG_MAX])
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);

    snprintf(tag, TAG_MAX, "\"%016" PRIx64 "\"", hash64(str_of(text ? text : ""), 0));
    xfree(text);
}

static void reply_shown(struct api_request *req, int status, const char *key)
{
    json_t *body = shown(flags_of(req), key);
    char tag[TAG_MAX];

    tag_of(body, tag);
    api_set_header(req, "ETag", tag);
    api_reply(req, status, body);
}

/* False: 404 has been sent. */
static bool found(struct api_request *req, const char *key)
{
    if (flagsync_flag(flags_of(req), key))
        return true;
    api_problem(req, 404, "not_found", NULL, "no flag \"%s\"", key);
    return false;
}

void api_flags_get(struct api_request *req)
{
    const char *key = api_param(req, "key");

    if (found(req, key))
        reply_shown(req, 200, key);
}

/* Does the list of entity tags (RFC 9110 13.1) name TAG? Weak, and without quotes, too. */
static bool tag_listed(const char *list, const char *tag)
{
    struct str rest = str_of(list), want = {tag + 1, strlen(tag) - 2};

    while (rest.n) {
        struct str one = str_trim(str_cut(&rest, ','));

        if (str_starts(one, STR("W/")))
            one = str_skip(one, 2);
        if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"')
            one = (struct str){one.p + 1, one.n - 2};
        if (str_eq(one, want) || str_eq(one, STR("*")))
            return true;
    }
    return false;
}

/* ---- changing ---- */

struct pending { /* a change that is under way for a request */
    struct api_request *req;
    char *key;
    int status; /* of success; 204 has no body */
};

static void on_changed(void *arg, enum flagsync_outcome o, const char *why)
{
    struct pending *p = arg;

    switch (o) {
    case FLAGSYNC_DONE:
        if (p->status == 204)
            api_reply_empty(p->req, 204);
        else
            reply_shown(p->req, p->status, p->key);
        break;
    case FLAGSYNC_CONFLICT:
        api_problem(p->req, 412, "conflict", NULL, "%s", why);
        break;
    case FLAGSYNC_REFUSED:
        api_problem(p->req, 422, "bad_flag", NULL, "%s", why);
        break;
    case FLAGSYNC_UNAVAILABLE:
        api_problem(p->req, 503, "flags_unavailable", NULL, "%s", why);
        break;
    case FLAGSYNC_UNAPPLIED:
        api_problem(p->req, 504, "not_applied", NULL, "stored, but not live everywhere: %s",
                    why);
        break;
    }
    xfree(p->key);
    xfree(p);
}

static struct pending *pending_for(struct api_request *req, const char *key, int status)
{
    struct pending *p = xmalloc(sizeof(*p));

    *p = (struct pending){req, xstrdup(key), status};
    return p;
}

static struct flagsync_who who(const struct api_request *req)
{
    return (struct flagsync_who){api_actor(req), api_reason(req)};
}

/*
 * A change names what it changes: If-Match with the tag of GET, or If-None-Match: * for a new
 * flag. False: 428, 412 or 404 has been sent.
 */
static bool precondition(struct api_request *req, const char *key)
{
    const char *match = api_header(req, "If-Match");
    const char *none = api_header(req, "If-None-Match");
    bool exists = flagsync_flag(flags_of(req), key) != NULL, holds;
    char tag[TAG_MAX];
    json_t *body;

    if (!match && !none) {
        api_problem(req, 428, "precondition_required", NULL,
                    "send If-Match with the ETag of GET, or If-None-Match: * for a new flag");
        return false;
    }
    body = shown(flags_of(req), key);
    tag_of(body, tag);
    json_decref(body);
    holds = (!match || (exists && tag_listed(match, tag))) &&
            (!none || !exists || !tag_listed(none, tag));
    if (!holds)
        api_problem(req, 412, "precondition_failed", NULL,
                    exists ? "the flag has changed, or exists already" : "no such flag");
    return holds;
}

/* ?dry_run=1 of a change that is fine. False: it is not a dry run. */
static bool dry(struct api_request *req, json_t *would)
{
    if (api_dry_run(req)) {
        api_reply(req, 200, json_pack("{s:b,s:o}", "dry_run", 1, "would", would));
        return true;
    }
    json_decref(would);
    return false;
}

void api_flags_put(struct api_request *req)
{
    static const char *const fields[] = {"$schema",        "key",       "state",    "variants",
                                         "defaultVariant", "targeting", "metadata", NULL};
    struct flagsync *f = flags_of(req);
    const char *key = api_param(req, "key");
    json_t *flag = api_body(req);
    bool exists = flagsync_flag(f, key) != NULL;
    char *why;

    if (!api_fields(req, flag, "", fields) || !precondition(req, key))
        return;
    why = flagsync_objection(f, key, flag);
    if (why) {
        api_problem(req, 422, "bad_flag", NULL, "%s", why);
        xfree(why);
        return;
    }
    if (dry(req, json_pack("{s:s,s:O}", "key", key, "flag", flag)))
        return;
    flagsync_put(f, key, flag, who(req), on_changed, pending_for(req, key, exists ? 200 : 201));
}

void api_flags_delete(struct api_request *req)
{
    const char *key = api_param(req, "key");

    if (!found(req, key) || !precondition(req, key) ||
        dry(req, json_pack("{s:s,s:n}", "key", key, "flag")))
        return;
    flagsync_delete(flags_of(req), key, who(req), on_changed, pending_for(req, key, 204));
}

/* "2026-11-22T21:00:00Z" or Unix seconds. */
static bool read_until(const json_t *j, uint64_t *out)
{
    const char *text = json_string_value(j), *end;
    struct tm tm = {0};
    time_t t;

    *out = 0;
    if (!j || json_is_null(j))
        return true;
    if (json_is_integer(j)) {
        *out = (uint64_t)json_integer_value(j);
        return json_integer_value(j) > 0;
    }
    end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (end && *end == '.') {
        for (end++; *end >= '0' && *end <= '9'; end++) {
        }
    }
    if (!end || strcmp(end, "Z") != 0)
        return false;
    t = timegm(&tm);
    *out = (uint64_t)t;
    return t > 0;
}

void api_flags_kill(struct api_request *req)
{
    static const char *const fields[] = {"variant", "until", NULL};
    const char *key = api_param(req, "key"), *variant;
    json_t *body = api_body(req);
    uint64_t until;

    if (!api_fields(req, body, "", fields) || !found(req, key))
        return;
    variant = json_string_value(json_object_get(body, "variant"));
    if (!variant ||
        !json_object_get(json_object_get(flagsync_flag(flags_of(req), key), "variants"),
                         variant)) {
        api_problem(req, 400, "bad_variant", "/variant", "must be one of the flag's variants");
        return;
    }
    if (!read_until(json_object_get(body, "until"), &until)) {
        api_problem(req, 400, "bad_time", "/until",
                    "must be a time like 2026-11-22T21:00:00Z or Unix seconds");
        return;
    }
    if (dry(req, json_pack("{s:s,s:{s:s}}", "key", key, "override", "variant", variant)))
        return;
    flagsync_kill(flags_of(req), key, &(struct flagsync_kill){variant, until, NULL}, who(req),
                  on_changed, pending_for(req, key, 200));
}

void api_flags_restore(struct api_request *req)
{
    static const char *const fields[] = {NULL};
    const char *key = api_param(req, "key");

    if ((api_body(req) && !api_fields(req, api_body(req), "", fields)) || !found(req, key) ||
        dry(req, json_pack("{s:s,s:n}", "key", key, "override")))
        return;
    flagsync_restore(flags_of(req), key, who(req), on_changed, pending_for(req, key, 200));
}

/* ---- OFREP ---- */

struct ofrep { /* one evaluation request */
    struct flagset *set;
    struct flag_ctx *ctx; /* NULL: there is no set yet */
    struct arena arena;
    struct flag_value root;
};

static bool get_attribute(void *arg, struct str path, struct flag_value *out)
{
    return flag_value_at(arg, path, out);
}

static void put_text(FILE *out, struct str s)
{
    json_t *j = json_stringn_nocheck(s.n ? s.p : "", s.n);
    char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);

    fputs(text ? text : "\"\"", out);
    xfree(text);
    json_decref(j);
}

static struct str details_of(const struct ofrep *o, int flag, enum flag_error e)
{
    switch (e) {
    case FLAG_NOT_FOUND:
        return STR("no such flag");
    case FLAG_PARSE_ERROR:
        return flagset_quarantine(o->set, flag);
    default:
        return STR("the rule names no variant of the flag, or takes too much work");
    }
}

static const struct flag_result *evaluate(const struct ofrep *o, int flag)
{
    static const struct flag_result nothing = {.reason = FLAG_ERROR, .error = FLAG_NOT_FOUND};

    return o->ctx ? flag_eval(o->ctx, flag) : &nothing;
}

/* One answer as JSON: success, or failure with errorCode. */
static void put_result(FILE *out, const struct ofrep *o, struct str key, int flag)
{
    const struct flag_result *r = evaluate(o, flag);
    struct str metadata = r->error == FLAG_OK ? flagset_metadata(o->set, flag) : STR_NONE;

    fputs("{\"key\":", out);
    put_text(out, key);
    if (r->error != FLAG_OK) {
        fprintf(out, ",\"errorCode\":\"%s\",\"errorDetails\":", flag_error_name(r->error));
        put_text(out, details_of(o, flag, r->error));
    } else {
        fprintf(out, ",\"reason\":\"%s\"", flag_reason_name(r->reason));
    }
    if (r->variant) {
        fprintf(out, ",\"value\":%.*s,\"variant\":", STR_ARG(r->variant->json));
        put_text(out, r->variant->name);
    }
    if (metadata.n)
        fprintf(out, ",\"metadata\":%.*s", STR_ARG(metadata));
    fputc('}', out);
}

static void refuse(struct api_request *req, const char *key, const char *code,
                   const char *details)
{
    json_t *body = json_pack("{s:s,s:s}", "errorCode", code, "errorDetails", details);

    if (key)
        json_object_set_new(body, "key", json_string(key));
    api_reply(req, 400, body);
}

/* KEY: of the single flag, or NULL. False: 400 has been sent. */
static bool ofrep_begin(struct api_request *req, const char *key, struct ofrep *o)
{
    const json_t *context = json_object_get(api_body(req), "context");

    if (api_body_error(req)) {
        refuse(req, key, "PARSE_ERROR", api_body_error(req));
        return false;
    }
    *o = (struct ofrep){.root = {.kind = FLAG_OBJECT}};
    arena_init(&o->arena, NULL, 0);
    if (context &&
        (!json_is_object(context) || !flag_value_from_json(&o->arena, context, &o->root))) {
        arena_release(&o->arena);
        refuse(req, key, "INVALID_CONTEXT", "\"context\" must be an object");
        return false;
    }
    o->set = flagsync_set(flags_of(req));
    api_set_header(req, "Cache-Control", "no-store");
    if (!o->set)
        return true;
    o->ctx = flag_ctx_new();
    flag_ctx_begin(o->ctx, o->set, get_attribute, &o->root, loop_wall_ms(api_loop(req)) / 1000);
    return true;
}

static void ofrep_end(struct ofrep *o)
{
    flag_ctx_free(o->ctx);
    arena_release(&o->arena);
}

static int status_of(enum flag_error e)
{
    return e == FLAG_OK ? 200 : e == FLAG_NOT_FOUND ? 404 : 400;
}

void api_ofrep_get(struct api_request *req)
{
    const char *key = api_param(req, "key");
    char *text = NULL;
    size_t size = 0;
    struct ofrep o;
    FILE *out;
    int flag;

    if (!ofrep_begin(req, key, &o))
        return;
    flag = o.set ? flagset_find(o.set, str_of(key)) : -1;
    out = open_memstream(&text, &size);
    put_result(out, &o, str_of(key), flag);
    fclose(out);
    api_reply_raw(req, status_of(evaluate(&o, flag)->error), "application/json",
                  (struct str){text, size});
    xfree(text);
    ofrep_end(&o);
}

static void put_all(FILE *out, const struct ofrep *o)
{
    fputs("{\"flags\":[", out);
    for (size_t i = 0; o->set && i < flagset_count(o->set); i++) {
        if (i > 0)
            fputc(',', out);
        put_result(out, o, flagset_key(o->set, (int)i), (int)i);
    }
    fputs("]}", out);
}

void api_ofrep_list(struct api_request *req)
{
    const char *have = api_header(req, "If-None-Match");
    char *text = NULL, tag[TAG_MAX];
    size_t size = 0;
    struct ofrep o;
    FILE *out;

    if (!ofrep_begin(req, NULL, &o))
        return;
    out = open_memstream(&text, &size);
    put_all(out, &o);
    fclose(out);
    snprintf(tag, sizeof(tag), "\"%016" PRIx64 "\"", hash64((struct str){text, size}, 0));
    api_set_header(req, "ETag", tag);
    if (have && tag_listed(have, tag))
        api_reply_empty(req, 304);
    else
        api_reply_raw(req, 200, "application/json", (struct str){text, size});
    xfree(text);
    ofrep_end(&o);
}

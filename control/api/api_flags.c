/*
 * api_flags.c - flags over the control API.
 *
 * An entity tag is a hash of what is shown, so it changes exactly when that does. Changes
 * answer when they are live on all workers.
 */
#include "config/flag_time.h"
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/engine/flagsync.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/route/ofrep.h"

#include <inttypes.h>
#include <stdio.h>

#define TAG_MAX     24
#define VERSION_TAG 96

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

/* The entity tag of the list: its version. */
static void version_tag(const struct flagsync *f, char tag[VERSION_TAG])
{
    struct flagsync_status s;

    flagsync_status(f, &s);
    snprintf(tag, VERSION_TAG, "\"%.*s-%" PRIu64 "\"", (int)(s.epoch.n < 64 ? s.epoch.n : 64),
             s.epoch.n ? s.epoch.p : "", s.version);
}

void api_flags_list(struct api_request *req)
{
    struct flagsync *f = flags_of(req);
    json_t *rows = json_array(), *flag;
    struct flagsync_status s;
    char tag[VERSION_TAG];
    const char *key;

    flagsync_status(f, &s);
    json_object_foreach(json_object_get(flagsync_document(f), "flags"), key, flag)
    {
        json_array_append_new(rows, row_of(f, &s, key, flag));
    }
    version_tag(f, tag);
    api_set_header(req, "ETag", tag);
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

/* ---- changing ---- */

struct pending { /* a change that is under way for a request */
    struct api_request *req;
    char *key;
    int status; /* of success; 204 has no body. Of a batch: how many flags */
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
    holds = (!match || (exists && ofrep_tag_listed(str_of(match), str_of(tag)))) &&
            (!none || !exists || !ofrep_tag_listed(str_of(none), str_of(tag)));
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

/* What stands against FLAGS (stolen). True: 422 has been sent. */
static bool objected(struct api_request *req, json_t *flags)
{
    char *why = flagsync_objection(flags_of(req), flags);
    bool bad = why != NULL;

    if (bad)
        api_problem(req, 422, "bad_flag", NULL, "%s", why);
    xfree(why);
    json_decref(flags);
    return bad;
}

void api_flags_put(struct api_request *req)
{
    static const char *const fields[] = {"$schema",        "key",       "state",    "variants",
                                         "defaultVariant", "targeting", "metadata", NULL};
    struct flagsync *f = flags_of(req);
    const char *key = api_param(req, "key");
    json_t *flag = api_body(req);
    bool exists = flagsync_flag(f, key) != NULL;

    if (!api_fields(req, flag, "", fields) || !precondition(req, key))
        return;
    if (objected(req, json_pack("{s:O}", key, flag)))
        return;
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

/* "2026-11-22T21:00:00Z" or Unix seconds; 0 when it is not there. */
static bool read_until(const json_t *j, uint64_t *out)
{
    *out = 0;
    if (!j || json_is_null(j))
        return true;
    if (!json_is_integer(j))
        return flag_time_parse(str_of(json_string_value(j)), out);
    *out = (uint64_t)json_integer_value(j);
    return json_integer_value(j) > 0;
}

/* {"attr":name,"values":[…]}, or not there. */
static bool targets_fine(const json_t *t)
{
    return !t || (json_object_size(t) == 2 && json_string_length(json_object_get(t, "attr")) &&
                  json_array_size(json_object_get(t, "values")));
}

/* The override that the body asks for. False: 400 or 404 has been sent. */
static bool read_override(struct api_request *req, const char *key, struct flagsync_kill *k)
{
    const json_t *body = api_body(req);

    if (!found(req, key))
        return false;
    k->variant = json_string_value(json_object_get(body, "variant"));
    k->targets = json_object_get(body, "targets");
    if (!k->variant ||
        !json_object_get(json_object_get(flagsync_flag(flags_of(req), key), "variants"),
                         k->variant)) {
        api_problem(req, 400, "bad_variant", "/variant", "must be one of the flag's variants");
        return false;
    }
    if (!read_until(json_object_get(body, "until"), &k->until)) {
        api_problem(req, 400, "bad_time", "/until",
                    "must be a time like 2026-11-22T21:00:00Z or Unix seconds");
        return false;
    }
    if (targets_fine(k->targets))
        return true;
    api_problem(req, 400, "bad_targets", "/targets",
                "must be like {\"attr\":\"targetingKey\",\"values\":[\"ann\"]}");
    return false;
}

static void override(struct api_request *req, const char *const *fields)
{
    const char *key = api_param(req, "key");
    struct flagsync_kill k;

    if (!api_fields(req, api_body(req), "", fields) || !read_override(req, key, &k))
        return;
    if (dry(req, json_pack("{s:s,s:{s:s}}", "key", key, "override", "variant", k.variant)))
        return;
    flagsync_kill(flags_of(req), key, &k, who(req), on_changed, pending_for(req, key, 200));
}

/* For everybody. */
void api_flags_kill(struct api_request *req)
{
    static const char *const fields[] = {"variant", "until", NULL};

    override(req, fields);
}

/* For those that "targets" names. */
void api_flags_override(struct api_request *req)
{
    static const char *const fields[] = {"variant", "until", "targets", NULL};

    override(req, fields);
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

/* ---- shares of users ---- */

#define SHARES_MAX 100

/* {"weights":{variant: integer}} */
static size_t read_shares(const json_t *weights, struct flag_share shares[SHARES_MAX])
{
    const char *name;
    json_t *weight;
    size_t n = 0;

    json_object_foreach((json_t *)weights, name, weight)
    {
        json_int_t w = json_integer_value(weight);

        if (n == SHARES_MAX || !json_is_integer(weight) || w < 0 || w > INT32_MAX)
            return 0;
        shares[n++] = (struct flag_share){name, (unsigned)w};
    }
    return n;
}

void api_flags_split(struct api_request *req)
{
    static const char *const fields[] = {"weights", NULL};
    const char *key = api_param(req, "key");
    const json_t *weights = json_object_get(api_body(req), "weights");
    struct flag_share shares[SHARES_MAX];
    size_t n = read_shares(weights, shares);

    if (!api_fields(req, api_body(req), "", fields) || !found(req, key))
        return;
    if (n == 0)
        api_problem(req, 400, "bad_weights", "/weights", "must be like {\"on\":10,\"off\":90}");
    else if (!dry(req, json_pack("{s:s,s:O}", "key", key, "weights", weights)))
        flagsync_split(flags_of(req), key, shares, n, who(req), on_changed,
                       pending_for(req, key, 200));
}

/* ---- many at once ---- */

static void on_published(void *arg, enum flagsync_outcome o, const char *why)
{
    struct pending *p = arg;
    char tag[VERSION_TAG];

    if (o != FLAGSYNC_DONE) {
        on_changed(arg, o, why);
        return;
    }
    version_tag(flags_of(p->req), tag);
    api_set_header(p->req, "ETag", tag);
    api_reply(p->req, 200, json_pack("{s:i}", "changed", p->status));
    xfree(p->key);
    xfree(p);
}

/* {"flags":{key: definition, or null to delete}}: all of them or none. */
void api_flags_publish(struct api_request *req)
{
    static const char *const fields[] = {"flags", NULL};
    struct flagsync *f = flags_of(req);
    const char *match = api_header(req, "If-Match");
    json_t *flags = json_object_get(api_body(req), "flags");
    char tag[VERSION_TAG];

    if (!api_fields(req, api_body(req), "", fields))
        return;
    version_tag(f, tag);
    if (!match)
        api_problem(req, 428, "precondition_required", NULL,
                    "send If-Match with the ETag of GET /v1/flags");
    else if (!ofrep_tag_listed(str_of(match), str_of(tag)))
        api_problem(req, 412, "precondition_failed", NULL, "the flags have changed");
    else if (!json_is_object(flags) || json_object_size(flags) == 0)
        api_problem(req, 400, "bad_flags", "/flags", "must be an object with definitions");
    else if (!objected(req, json_incref(flags)) &&
             !dry(req, json_pack("{s:O}", "flags", flags)))
        flagsync_publish(f, flags, who(req), on_published,
                         pending_for(req, "", (int)json_object_size(flags)));
}

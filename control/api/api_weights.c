/* api_weights.c - /v1/services/{service}/weights: who gets how much. */
#include "config/conf.h"
#include "control/api/reply_live.h"
#include "control/api/routes.h"
#include "control/api/view.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/overlay.h"
#include "control/engine/publish.h"
#include "proxy/base/mem.h"

#include <math.h>

static json_t *weights_body(const struct engine *e, const struct conf_service *s,
                            const char *subject, uint64_t generation)
{
    (void)s;
    return view_weights_answer(e, subject, generation);
}

void api_weights_get(struct api_request *req)
{
    struct engine *e = api_engine(req);
    const struct conf_service *s = reply_service(req);

    if (s)
        api_reply(req, 200, view_weights_answer(e, s->name.p, publish_applied(e->publish)));
}

/* A drain that a rollout left behind is lifted with the weight; an operator's is not. */
static bool can_take_weight(const json_t *doc, const struct conf_version *v)
{
    for (size_t i = 0; i < v->nendpoints; i++) {
        const char *by = overlay_drained_by(doc, v->name.p, v->endpoints[i].name.p);
        if (!by || strcmp(by, "rollout") == 0)
            return true;
    }
    return false;
}

/* One member of the body, in hundredths; -1: a problem has been sent. */
static long read_weight(struct api_request *req, const struct conf_service *s, const char *key,
                        const json_t *value)
{
    long at = conf_version_find(s, str_of(key));
    double per_cent = json_number_value(value), hundredths = per_cent * 100;
    const json_t *doc = desired_overlay(api_engine(req)->desired, s->name.p);
    char *pointer = xasprintf("/%s", key);
    long out = -1;

    if (at < 0)
        api_problem(req, 400, "unknown_version", pointer, "%s has no version \"%s\"", s->name.p,
                    key);
    else if (!json_is_number(value) || per_cent < 0 || per_cent > 100)
        api_problem(req, 400, "bad_weight", pointer, "must be a number from 0 to 100");
    else if (fabs(hundredths - round(hundredths)) > 1e-6)
        api_problem(req, 400, "bad_weight", pointer, "weights have steps of 0.01");
    else if (per_cent > 0 && !can_take_weight(doc, &s->versions[at]))
        api_problem(req, 409, "version_drained", pointer,
                    "every endpoint of %s is drained; take one back into service first", key);
    else
        out = lround(hundredths);
    xfree(pointer);
    return out;
}

/* {"v1":9000,"v2":1000} with every version of S, or NULL: a problem has been sent. */
static json_t *read_weights(struct api_request *req, const struct conf_service *s)
{
    json_t *out = json_object(), *value;
    const char *key;
    long sum = 0;

    for (size_t i = 0; i < s->nversions; i++)
        json_object_set_new(out, s->versions[i].name.p, json_integer(0));
    json_object_foreach(api_body(req), key, value)
    {
        long w = read_weight(req, s, key, value);
        if (w < 0) {
            json_decref(out);
            return NULL;
        }
        json_object_set_new(out, key, json_integer(w));
        sum += w;
    }
    if (sum == CONF_WEIGHT_FULL)
        return out;
    api_problem(req, 400, "bad_weight", "", "weights add up to %g, must be 100",
                (double)sum / 100);
    json_decref(out);
    return NULL;
}

/* A rollout owns the weights: false, a 409 has been sent, unless the caller overrides it. */
static bool take_from_rollout(struct api_request *req, const char *service)
{
    struct engine *e = api_engine(req);
    const struct rollout_entry *l = rollouts_active(e->rollouts, service);
    struct refusal why;

    if (!l)
        return true;
    if (!api_query_flag(req, "override")) {
        api_problem(req, 409, "rollout_owns_weights", NULL,
                    "%s sets the weights of %s; abort it, or use ?override=1, which pauses it",
                    l->r.id, service);
        return false;
    }
    if (api_dry_run(req) || !rollout_accepts(&l->r, ROLLOUT_PAUSE, 0))
        return true;
    if (rollouts_command(e->rollouts, l->r.id, ROLLOUT_PAUSE, reply_requester(req), NULL, NULL,
                         &why) >= 0)
        return true;
    reply_refusal(req, &why);
    return false;
}

static json_t *weights_doc(const struct engine *e, const struct conf_service *s,
                           const json_t *weights)
{
    json_t *doc = desired_edit(e->desired, s->name.p), *before = desired_weights(s), *w;
    const char *version;

    if (!json_equal(before, (json_t *)weights))
        overlay_set_undo(doc, before);
    overlay_set_weights(doc, weights, "api");
    json_object_foreach((json_t *)weights, version, w) if (json_integer_value(w) > 0)
        overlay_lift_drain(doc, version);
    json_decref(before);
    return doc;
}

static char *weights_text(const json_t *weights)
{
    char *text = xstrdup("");
    const char *key;
    json_t *w;

    json_object_foreach((json_t *)weights, key, w)
    {
        char *more = xasprintf("%s%s%s=%g", text, *text ? " " : "", key,
                               (double)json_integer_value(w) / 100);
        xfree(text);
        text = more;
    }
    return text;
}

/* Hundredths as per cent: {"v1":9000} -> {"v1":90}. */
static json_t *per_cent(const json_t *weights)
{
    json_t *out = json_object(), *w;
    const char *key;

    json_object_foreach((json_t *)weights, key, w)
        json_object_set_new(out, key, json_real((double)json_integer_value(w) / 100));
    return out;
}

static void set_weights(struct api_request *req, const struct conf_service *s, json_t *weights,
                        const char *what)
{
    struct engine *e = api_engine(req);
    char *shown = weights_text(weights);
    char *message = xasprintf("weights of %s: %s", s->name.p, shown);
    json_t *before = desired_weights(s);
    json_t *data =
        json_pack("{s:o,s:o,s:s,s:s}", "before", per_cent(before), "after", per_cent(weights),
                  "actor", api_actor(req), "reason", api_reason(req));
    struct change c = {.doc = weights_doc(e, s, weights),
                       .what = what,
                       .fact = {"weights.changed", NULL, NULL, message, data}};

    reply_live_change(reply_live_new(req, 200, s->name.p, s->name.p, weights_body), &c);
    json_decref(before);
    json_decref(data);
    xfree(message);
    xfree(shown);
}

static void reply_preview(struct api_request *req, const struct conf_service *s,
                          const json_t *weights)
{
    struct engine *e = api_engine(req);

    api_reply(req, 200,
              json_pack("{s:s,s:o,s:s,s:I,s:b}", "service", s->name.p, "weights",
                        per_cent(weights), "origin", "api", "generation",
                        (json_int_t)publish_applied(e->publish), "dry_run", 1));
}

void api_weights_put(struct api_request *req)
{
    const struct conf_service *s = reply_service(req);
    json_t *weights = s ? read_weights(req, s) : NULL;
    char *service;

    if (!weights)
        return;
    service = xstrdup(s->name.p);
    if (take_from_rollout(req, service)) {
        s = desired_service(api_engine(req)->desired, service); /* a pause may rebuild it */
        if (api_dry_run(req))
            reply_preview(req, s, weights);
        else
            set_weights(req, s, weights, "weights.set");
    }
    json_decref(weights);
    xfree(service);
}

/* --- undo --- */

/* 100 % for TO, or what was before the last change; NULL: a problem has been sent. */
static json_t *weights_before(struct api_request *req, const struct conf_service *s,
                              const char *to)
{
    const json_t *undo = NULL, *doc = desired_overlay(api_engine(req)->desired, s->name.p);

    if (to && conf_version_find(s, str_of(to)) < 0) {
        api_problem(req, 400, "unknown_version", "/to", "%s has no version \"%s\"", s->name.p,
                    to);
        return NULL;
    }
    if (doc)
        undo = overlay_undo(doc);
    if (!to && !undo) {
        api_problem(req, 409, "nothing_to_undo", NULL, "the weights of %s were never changed",
                    s->name.p);
        return NULL;
    }
    if (!to)
        return json_deep_copy(undo);
    json_t *weights = desired_weights(s), *w;
    const char *key;
    json_object_foreach(weights, key, w)
        json_integer_set(w, strcmp(key, to) == 0 ? CONF_WEIGHT_FULL : 0);
    return weights;
}

/* The rollout that undoing SERVICE takes back, and how; NULL: only weights are to be set. */
static const struct rollout_entry *rollout_to_undo(const struct engine *e, const char *service,
                                                   const char *to,
                                                   enum rollout_event_type *command)
{
    const struct rollout_entry *l = rollouts_active(e->rollouts, service);

    *command = ROLLOUT_ABORT;
    if (!l) {
        *command = ROLLOUT_UNDO;
        l = rollouts_undoable(e->rollouts, service);
    }
    return l && (!to || strcmp(to, l->r.stable) == 0) ? l : NULL;
}

static void undo_rollout(struct api_request *req, const char *service, const char *id,
                         enum rollout_event_type command)
{
    struct reply_live *r = reply_live_new(req, 200, service, service, weights_body);
    struct refusal why;
    int rc = rollouts_command(api_engine(req)->rollouts, id, command, reply_requester(req),
                              reply_live_applied, r, &why);

    if (rc < 0)
        reply_refusal(req, &why);
    else if (rc == 0)
        reply_live_now(r);
}

void api_services_undo(struct api_request *req)
{
    static const char *const fields[] = {"to", NULL};
    struct engine *e = api_engine(req);
    const struct conf_service *s = reply_service(req);
    enum rollout_event_type command;

    if (!s || !api_fields(req, api_body(req), "", fields))
        return;
    const char *to = json_string_value(json_object_get(api_body(req), "to"));
    const struct rollout_entry *l = rollout_to_undo(e, s->name.p, to, &command);
    if (l && !api_dry_run(req)) {
        undo_rollout(req, s->name.p, l->r.id, command);
        return;
    }
    if (!l && rollouts_active(e->rollouts, s->name.p)) {
        api_problem(req, 409, "rollout_owns_weights", NULL,
                    "a rollout is under way; abort it first");
        return;
    }
    json_t *weights = weights_before(req, s, to);
    if (!weights)
        return;
    if (api_dry_run(req))
        reply_preview(req, s, weights);
    else
        set_weights(req, s, weights, "weights.undo");
    json_decref(weights);
}

/* api_rollouts.c - starting rollouts, watching them, telling them what to do. */
#include "config/conf.h"
#include "config/units.h"
#include "control/api/plan_body.h"
#include "control/api/reply_live.h"
#include "control/api/report.h"
#include "control/api/routes.h"
#include "control/api/view.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "proxy/base/mem.h"

#define ROLLOUT_WAIT_MS 30000 /* of a long poll that does not say */

static json_t *rollout_body(const struct engine *e, const struct conf_service *s,
                            const char *subject, uint64_t generation)
{
    const struct rollout_entry *l = rollouts_get(e->rollouts, subject);

    (void)s;
    (void)generation;
    return l ? view_rollout(e, l) : json_object();
}

static const struct rollout_entry *reply_rollout(struct api_request *req)
{
    const char *id = api_param(req, "rollout");
    const struct rollout_entry *l = rollouts_get(api_engine(req)->rollouts, id);

    if (!l)
        api_problem(req, 404, "not_found", NULL, "no rollout \"%s\"", id);
    return l;
}

/* --- starting --- */

struct starting { /* in the request's memory: its id is known only after the start */
    struct api_request *req;
    char id[ROLLOUT_ID_MAX];
};

static void on_started(void *arg, const struct publish_result *p)
{
    struct starting *s = arg;
    struct reply_live *r = reply_live_new(s->req, 201, s->id, s->id, rollout_body);

    reply_live_applied(r, p);
}

static bool endpoints_are_good(struct api_request *req, const struct spec *spec)
{
    for (uint32_t i = 0; i < spec->nendpoints; i++) {
        struct arena a;
        struct str host;
        uint16_t port;
        arena_init(&a, NULL, 0);
        bool ok = unit_endpoint(&a, str_of(spec->endpoints[i]), &host, &port) &&
                  (port == 0 || unit_ip(host));
        arena_release(&a);
        if (ok)
            continue;
        char *pointer = xasprintf("/endpoints/%u", i);
        api_problem(req, 400, "bad_field", pointer, "is not an address \"host:port\"");
        xfree(pointer);
        return false;
    }
    if (conf_name_ok(str_of(spec->version)))
        return true;
    api_problem(req, 400, "bad_name", "/version",
                "a version's name is 1 to 64 letters, digits, '.', '_' or '-'");
    return false;
}

static void start(struct api_request *req, const char *service, const struct spec *spec)
{
    struct starting *s = api_alloc(req, sizeof(*s));
    struct refusal why;

    s->req = req;
    const struct rollout_entry *l = rollouts_start(api_engine(req)->rollouts, service, spec,
                                                   reply_requester(req), on_started, s, &why);
    if (!l) {
        reply_refusal(req, &why);
        return;
    }
    char *location = xasprintf("/v1/rollouts/%s", l->r.id);
    memcpy(s->id, l->r.id, sizeof(s->id));
    api_set_header(req, "Location", location);
    xfree(location);
    if (l->r.state == ROLLOUT_PENDING) /* nothing to wait for */
        api_reply(req, 201, view_rollout(api_engine(req), l));
}

static void check_only(struct api_request *req, const char *service, const struct spec *spec)
{
    struct refusal why;

    if (rollouts_check(api_engine(req)->rollouts, service, spec, &why) != 0)
        reply_refusal(req, &why);
    else
        api_reply(req, 200, plan_body(api_engine(req), service, spec));
}

/* Every mistake of a specification; the first one is the problem's own. */
static void reply_mistakes(struct api_request *req, const struct spec_errors *errs)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < errs->n; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "pointer", errs->v[i].pointer,
                                              "detail", errs->v[i].message));
    api_problem_more(req, 400, "bad_rollout",
                     json_pack("{s:s,s:o}", "pointer", errs->v[0].pointer, "errors", list),
                     "%s", errs->v[0].message);
}

/* The body as a rollout that would start: then it starts, or is only planned. */
static void take_spec(struct api_request *req, bool plan)
{
    const struct conf_service *s = reply_service(req);
    struct spec *spec;
    struct spec_errors *errs;

    if (!s)
        return;
    spec = xcalloc(1, sizeof(*spec));
    errs = xcalloc(1, sizeof(*errs));
    if (spec_read_all(api_body(req), spec, errs) != 0)
        reply_mistakes(req, errs);
    else if (endpoints_are_good(req, spec)) {
        if (plan)
            check_only(req, s->name.p, spec);
        else
            start(req, api_param(req, "service"), spec);
    }
    xfree(errs);
    xfree(spec);
}

void api_rollouts_create(struct api_request *req)
{
    take_spec(req, api_dry_run(req));
}

void api_rollouts_plan(struct api_request *req)
{
    take_spec(req, true);
}

/* --- watching --- */

void api_rollouts_list(struct api_request *req)
{
    struct engine *e = api_engine(req);
    const char *service = api_query(req, "service");
    json_t *list = json_array();

    for (const struct rollout_entry *l = rollouts_first(e->rollouts); l; l = rollouts_next(l))
        if (!service || strcmp(service, l->r.service) == 0)
            json_array_append_new(list, view_rollout(e, l));
    api_reply(req, 200, json_pack("{s:o}", "rollouts", list));
}

struct waiting { /* a long poll, in the request's memory */
    struct api_request *req;
    struct rollouts_watcher *watcher;
    struct timer timer;
    char id[ROLLOUT_ID_MAX];
};

/* Answer with the rollout as it is now, whatever woke us. */
static void wait_over(void *arg)
{
    struct waiting *w = arg;
    struct engine *e = api_engine(w->req);
    const struct rollout_entry *l = rollouts_get(e->rollouts, w->id);

    timer_stop(&w->timer);
    rollouts_unwatch(e->rollouts, w->watcher);
    if (l)
        api_reply(w->req, 200, view_rollout(e, l));
    else
        api_problem(w->req, 404, "not_found", NULL, "the rollout is gone");
}

static void on_change(void *arg, const struct rollout_entry *l)
{
    struct waiting *w = arg;

    if (strcmp(w->id, l->r.id) == 0)
        wait_over(w);
}

static void wait_for_change(struct api_request *req, const struct rollout_entry *l,
                            uint64_t wait_ms)
{
    struct waiting *w = api_alloc(req, sizeof(*w));

    w->req = req;
    memcpy(w->id, l->r.id, sizeof(w->id));
    w->watcher = rollouts_watch(api_engine(req)->rollouts, on_change, w);
    timer_init(&w->timer, api_loop(req), wait_over, w);
    timer_start(&w->timer, wait_ms);
    api_on_gone(req, wait_over, w);
}

void api_rollouts_get(struct api_request *req)
{
    const struct rollout_entry *l = reply_rollout(req);
    uint64_t index = UINT64_MAX, wait_ms = ROLLOUT_WAIT_MS;

    if (!l || !api_query_u64(req, "index", UINT64_MAX >> 1, &index) ||
        !api_query_ms(req, "wait", API_WAIT_MAX, &wait_ms))
        return;
    if (index != UINT64_MAX && l->r.index <= index && wait_ms > 0)
        wait_for_change(req, l, wait_ms);
    else
        api_reply(req, 200, view_rollout(api_engine(req), l));
}

void api_rollouts_report(struct api_request *req)
{
    struct engine *e = api_engine(req);
    const struct rollout_entry *l = reply_rollout(req);

    if (!l)
        return;
    json_t *report = report_json(e, l);
    if (api_accepts(req, "application/json")) {
        api_reply(req, 200, report);
        return;
    }
    bool junit = api_accepts(req, "application/xml");
    char *text = junit ? report_junit(report) : report_markdown(report);
    api_reply_raw(req, 200,
                  junit ? "application/xml; charset=utf-8" : "text/markdown; charset=utf-8",
                  str_of(text));
    xfree(text);
    json_decref(report);
}

void api_rollouts_decisions(struct api_request *req)
{
    const struct rollout_entry *l = reply_rollout(req);

    if (l)
        api_reply(req, 200, json_pack("{s:O}", "decisions", l->decisions));
}

/* --- commands --- */

static void command(struct api_request *req, enum rollout_event_type type)
{
    static const char *const fields[] = {NULL};
    struct engine *e = api_engine(req);
    const struct rollout_entry *l = reply_rollout(req);
    struct refusal why;

    if (!l || !api_fields(req, api_body(req), "", fields))
        return;
    if (api_dry_run(req)) {
        api_reply(req, 200, view_rollout(e, l));
        return;
    }
    struct reply_live *r = reply_live_new(req, 200, l->r.service, l->r.id, rollout_body);
    int rc = rollouts_command(e->rollouts, l->r.id, type, reply_requester(req),
                              reply_live_applied, r, &why);
    if (rc < 0)
        reply_refusal(req, &why);
    else if (rc == 0)
        reply_live_now(r);
}

void api_rollouts_promote(struct api_request *req)
{
    command(req, ROLLOUT_PROMOTE);
}

void api_rollouts_pause(struct api_request *req)
{
    command(req, ROLLOUT_PAUSE);
}

void api_rollouts_resume(struct api_request *req)
{
    command(req, ROLLOUT_RESUME);
}

void api_rollouts_abort(struct api_request *req)
{
    command(req, ROLLOUT_ABORT);
}

void api_rollouts_approve(struct api_request *req)
{
    command(req, ROLLOUT_APPROVE);
}

void api_rollouts_retry(struct api_request *req)
{
    command(req, ROLLOUT_RETRY);
}

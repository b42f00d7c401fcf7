/*
 * tasks.c - requests one after the other until one fails for good or none is left.
 *
 * A hook is one request; a smoke check is one to each endpoint of the version that is up. The
 * task has copies of all it needs: the rollout may change or end while a request is under way.
 */
#include "control/engine/tasks.h"
#include "config/conf.h"
#include "control/engine/desired.h"
#include "control/engine/effects.h"
#include "control/engine/engine.h"
#include "control/link/fetch.h"
#include "control/link/health.h"
#include "control/link/reach.h"
#include "control/rollout/expect.h"
#include "proxy/base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/queue.h>

#define AGAIN_MS    1000 /* before the first repetition; doubled each time */
#define TLS_MS      100  /* until somebody has said how TLS is spoken */
#define BODY_MAX    (256 * 1024)
#define HEADERS_MAX (16 * 1024)

struct target { /* who is asked: an endpoint, as traffic reaches it, or a URL */
    char *who, *url;
    struct reach reach;
};

struct task {
    LIST_ENTRY(task) link;
    struct tasks *tasks;
    char rollout[ROLLOUT_ID_MAX];
    uint32_t step;
    struct spec_task conf;
    char *method, *body;
    VEC(char *) headers; /* NULL-terminated */
    json_t *expect;      /* or NULL */
    char *service;       /* whose TLS it is; NULL: a URL is asked */
    VEC(struct target) targets;
    size_t at;      /* target that is asked */
    uint32_t tries; /* of it so far */
    struct fetch *fetch;
    struct timer again;
};

struct tasks {
    struct engine *engine;
    tasks_cb *cb;
    void *arg;
    LIST_HEAD(, task) all;
};

static void task_free(struct task *t)
{
    timer_stop(&t->again);
    fetch_cancel(t->fetch);
    LIST_REMOVE(t, link);
    for (size_t i = 0; i < t->headers.n; i++)
        xfree(t->headers.v[i]);
    for (size_t i = 0; i < t->targets.n; i++) {
        reach_release(&t->targets.v[i].reach);
        xfree(t->targets.v[i].url);
        xfree(t->targets.v[i].who);
    }
    vec_release(&t->headers);
    vec_release(&t->targets);
    json_decref(t->expect);
    xfree(t->service);
    xfree(t->method);
    xfree(t->body);
    xfree(t);
}

/* --- running --- */

/* The only ending but for a cancel. */
static void task_finish(struct task *t, bool ok, const char *why)
{
    struct tasks *ts = t->tasks;
    char id[ROLLOUT_ID_MAX], text[ROLLOUT_MESSAGE_MAX];
    uint32_t step = t->step;

    snprintf(id, sizeof(id), "%s", t->rollout);
    snprintf(text, sizeof(text), "%s", why);
    task_free(t);
    ts->cb(ts->arg, id, step, ok, text);
}

static void on_answer(void *arg, const struct fetch_result *r);

static void ask(void *arg)
{
    struct task *t = arg;
    const struct target *to = &t->targets.v[t->at];
    const struct engine *e = t->tasks->engine;
    const struct tls_upstream_spec *tls =
        to->reach.secure ? health_tls(e->health, str_of(t->service)) : NULL;
    struct fetch_options o = {.method = t->method,
                              .url = to->url,
                              .headers = (const char *const *)t->headers.v,
                              .body = t->body ? str_of(t->body) : STR_NONE,
                              .timeout_ms = t->conf.timeout_ms,
                              .body_max = BODY_MAX,
                              .headers_max = HEADERS_MAX,
                              .fresh = true};

    if (to->reach.secure && !tls) {
        timer_start(&t->again, TLS_MS);
        return;
    }
    if (to->reach.url)
        reach_use(&to->reach, tls, &o);
    t->tries++;
    t->fetch = fetch_start(e->fetcher, &o, on_answer, t);
}

static bool is_good(const struct task *t, const struct fetch_result *r, char why[EXPECT_WHY])
{
    struct expect_answer a = {.status = r->status,
                              .headers = r->headers,
                              .body = r->body,
                              .truncated = r->truncated,
                              .took_ms = r->took_ms};

    if (r->status)
        return expect_met(t->expect, &a, why);
    snprintf(why, EXPECT_WHY, "%s", r->error);
    return false;
}

static void on_answer(void *arg, const struct fetch_result *r)
{
    struct task *t = arg;
    char why[EXPECT_WHY], text[ROLLOUT_MESSAGE_MAX];
    bool good = is_good(t, r, why);

    t->fetch = NULL;
    if (good && t->at + 1 < t->targets.n) {
        t->at++;
        t->tries = 0;
        ask(t);
    } else if (good) {
        snprintf(text, sizeof(text), "%zu answered as expected, the last in %llu ms",
                 t->targets.n, (unsigned long long)r->took_ms);
        task_finish(t, true, text);
    } else if (t->tries <= t->conf.retries) {
        timer_start(&t->again, AGAIN_MS << (t->tries - 1));
    } else {
        snprintf(text, sizeof(text), "%.80s: %.150s", t->targets.v[t->at].who, why);
        task_finish(t, false, text);
    }
}

static void no_target(void *arg)
{
    task_finish(arg, false, "no endpoint of the version is up");
}

/* --- making --- */

static void add_header(struct task *t, const char *name, const char *value)
{
    *vec_add(&t->headers) = xasprintf("%s: %s", name, value);
}

static bool has_header(const json_t *headers, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)headers, key,
                        value) if (str_ieq(str_of(key), str_of(name))) return true;
    return false;
}

/* What a receiver wants to know, with the members that Flagger's webhooks have. */
static char *payload(const struct rollout *r, const char *key)
{
    char weight[32];

    snprintf(weight, sizeof(weight), "%g", r->weight / 100.0);
    json_t *doc = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:f,s:s,s:s,s:s,s:{s:s,s:s}}", "name", r->service,
        "namespace", "sluice", "phase", "Progressing", "checksum", r->spec.version, "id", key,
        "rollout", r->id, "step", (int)r->step + 1, "weight", r->weight / 100.0, "version",
        r->spec.version, "stable", r->stable, "verdict", judge_verdict_name(r->verdict),
        "metadata", "rollout", r->id, "weight", weight);
    char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS), *out = xasprintf("%s", text);

    xfree(text);
    json_decref(doc);
    return out;
}

static void set_request(struct task *t, const struct rollout *r)
{
    const struct spec *s = &r->spec;
    json_t *headers =
        t->conf.headers ? json_loads(spec_text(s, t->conf.headers), 0, NULL) : json_object();
    const char *name;
    json_t *value;
    char *key = xasprintf("%s-%llu-%u", r->id, (unsigned long long)r->created_ms, t->step + 1);

    t->method = xasprintf("%s", spec_text(s, t->conf.method));
    t->expect = t->conf.expect ? json_loads(spec_text(s, t->conf.expect), 0, NULL) : NULL;
    if (t->conf.body)
        t->body = xasprintf("%s", spec_text(s, t->conf.body));
    else if (s->steps[t->step].kind == SPEC_HTTP && strcmp(t->method, "GET") != 0 &&
             strcmp(t->method, "HEAD") != 0)
        t->body = payload(r, key);
    json_object_foreach(headers, name, value) add_header(t, name, json_string_value(value));
    if (t->body && !has_header(headers, "content-type"))
        add_header(t, "Content-Type",
                   t->body[0] == '{' || t->body[0] == '[' ? "application/json" : "text/plain");
    add_header(t, "Idempotency-Key", key);
    *vec_add(&t->headers) = NULL;
    json_decref(headers);
    xfree(key);
}

static void add_endpoint(struct task *t, const struct rollout *r, const struct conf_service *s,
                         const struct conf_version *v, const struct conf_endpoint *e)
{
    struct target *to = vec_add(&t->targets);

    *to = (struct target){.who = xasprintf("%.*s", STR_ARG(e->name))};
    reach_set(&to->reach, s, v, e, str_of(spec_text(&r->spec, t->conf.url)));
}

static void set_targets(struct task *t, const struct rollout *r)
{
    const struct desired *d = t->tasks->engine->desired;
    const struct conf_service *s = desired_service(d, r->service);
    const struct conf_version *v = effects_version(d, r->service, r->spec.version);

    if (r->spec.steps[t->step].kind == SPEC_HTTP) {
        const char *url = spec_text(&r->spec, t->conf.url);
        *vec_add(&t->targets) =
            (struct target){.url = xasprintf("%s", url), .who = xasprintf("%s", url)};
        return;
    }
    t->service = xasprintf("%s", r->service);
    for (size_t i = 0; v && i < v->nendpoints; i++)
        if (v->endpoints[i].up && !v->endpoints[i].drain)
            add_endpoint(t, r, s, v, &v->endpoints[i]);
}

void tasks_run(struct tasks *ts, const struct rollout *r)
{
    struct task *t = xcalloc(1, sizeof(*t));

    tasks_cancel(ts, r->id);
    t->tasks = ts;
    t->step = r->step;
    t->conf = *spec_task(&r->spec, r->step);
    snprintf(t->rollout, sizeof(t->rollout), "%s", r->id);
    LIST_INSERT_HEAD(&ts->all, t, link);
    set_request(t, r);
    set_targets(t, r);
    timer_init(&t->again, ts->engine->loop, t->targets.n ? ask : no_target, t);
    timer_start(&t->again, 0); /* never from inside this call */
}

void tasks_cancel(struct tasks *ts, const char *id)
{
    struct task *t, *next;

    for (t = LIST_FIRST(&ts->all); t; t = next) {
        next = LIST_NEXT(t, link);
        if (strcmp(t->rollout, id) == 0)
            task_free(t);
    }
}

struct tasks *tasks_new(struct engine *e, tasks_cb *cb, void *arg)
{
    struct tasks *ts = xcalloc(1, sizeof(*ts));

    *ts = (struct tasks){.engine = e, .cb = cb, .arg = arg};
    LIST_INIT(&ts->all);
    return ts;
}

void tasks_free(struct tasks *ts)
{
    if (!ts)
        return;
    while (!LIST_EMPTY(&ts->all))
        task_free(LIST_FIRST(&ts->all));
    xfree(ts);
}

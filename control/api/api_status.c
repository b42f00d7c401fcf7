/* api_status.c - version, status, liveness, readiness. */
#include "config/conf.h"
#include "config/library.h"
#include "control/api/routes.h"
#include "control/api/view.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/flagsync.h"
#include "control/engine/lookups.h"
#include "control/engine/publish.h"
#include "control/link/libraries.h"
#include "control/link/workers.h"
#include "control/store/library.h"
#include "proxy/base/clock.h"
#include "proxy/base/stats.h"
#include "proxy/event/libraries.h"

#include <unistd.h>

void api_version(struct api_request *req)
{
    api_reply(req, 200,
              json_pack("{s:s,s:{s:s,s:s,s:s,s:s,s:s,s:s,s:s}}", "version", SLUICE_VERSION,
                        "libraries", "libevent", library_libevent(), "openssl",
                        library_openssl(), "jansson", library_jansson(), "sqlite",
                        library_sqlite(), "libcurl", library_curl(), "c-ares", library_cares(),
                        "hiredis", library_hiredis()));
}

/* --- status --- */

static json_t *status_workers(const struct engine *e)
{
    static const char *const states[] = {"up", "down", "backoff"};
    json_t *list = json_array();
    size_t n;
    const struct workers_row *rows = workers_rows(e->workers, &n);

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:i,s:I,s:s,s:I,s:I,s:I,s:I,s:o}", "slot",
                                              (int)rows[i].slot, "pid", (json_int_t)rows[i].pid,
                                              "state", states[rows[i].state], "generation",
                                              (json_int_t)rows[i].generation, "flags_sequence",
                                              (json_int_t)rows[i].sequence, "restarts",
                                              (json_int_t)rows[i].restarts, "backoff_ms",
                                              (json_int_t)rows[i].backoff_ms, "reason",
                                              view_text(rows[i].reason)));
    return list;
}

static json_t *status_services(const struct engine *e)
{
    const struct conf *c = desired_conf(e->desired);
    json_t *list = json_array();

    for (size_t i = 0; i < c->nservices; i++) {
        const struct conf_service *s = &c->services[i];
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:o,s:o}", "name", s->name.p, "health", view_health(s),
                            "rollout", view_text(s->rollout.p), "weights", view_weights(e, s)));
    }
    return list;
}

static json_t *status_rollouts(const struct engine *e)
{
    json_t *list = json_array();

    for (const struct rollout_entry *l = rollouts_first(e->rollouts); l; l = rollouts_next(l))
        if (!rollout_terminal(l->r.state))
            json_array_append_new(list, view_rollout(e, l));
    return list;
}

static json_t *status_flags(const struct engine *e)
{
    static const char *const redis[] = {"off", "up", "down"};
    struct flagsync_status s;
    json_t *keys = json_array(), *reason;
    const char *key;

    flagsync_status(e->flagsync, &s);
    json_object_foreach((json_t *)s.quarantined, key, reason)
        json_array_append_new(keys, json_string(key));
    return json_pack("{s:s,s:s%,s:I,s:I,s:s,s:I,s:b,s:o}", "source", s.source, "env",
                     s.env.p ? s.env.p : "", s.env.n, "version", (json_int_t)s.version,
                     "sequence", (json_int_t)s.sequence, "redis", redis[s.redis], "stale_ms",
                     (json_int_t)s.stale_ms, "version_regressed", s.version_regressed,
                     "quarantined", keys);
}

static json_t *certificate_view(const json_t *c)
{
    const json_t *next = json_object_get(c, "ocsp_next_update");
    json_t *view = json_copy((json_t *)(uintptr_t)c);

    json_object_set_new(
        view, "not_after",
        view_time((uint64_t)json_integer_value(json_object_get(c, "not_after"))));
    if (next)
        json_object_set_new(view, "ocsp_next_update",
                            view_time((uint64_t)json_integer_value(next)));
    return view;
}

static json_t *status_certificates(const struct engine *e)
{
    json_t *list = json_array();
    const json_t *c;
    size_t i;

    json_array_foreach(e->certificates, i, c) json_array_append_new(list, certificate_view(c));
    return list;
}

void api_status(struct api_request *req)
{
    struct engine *e = api_engine(req);
    uint64_t uptime_ms = (clock_mono_us() - e->started_us) / 1000;
    json_t *warnings = json_array();

    engine_warnings(e, warnings);
    api_reply(
        req, 200,
        json_pack(
            "{s:s,s:o,s:I,s:{s:s,s:s,s:o},s:I,s:o,s:{s:i,s:I,s:o},s:o,s:o,s:o,s:o,s:o,s:o}",
            "version", SLUICE_VERSION, "started", view_time(e->started_ms), "uptime_ms",
            (json_int_t)uptime_ms, "config", "path", e->config_path, "revision", e->revision,
            "loaded_at", view_time(e->config_loaded_ms), "generation",
            (json_int_t)publish_applied(e->publish), "workers", status_workers(e), "controller",
            "pid", (int)getpid(), "restarts",
            (json_int_t)stat_get(&e->stats->controller_restarts), "started",
            view_time(e->started_ms), "services", status_services(e), "rollouts",
            status_rollouts(e), "flags", status_flags(e), "certificates",
            status_certificates(e), "dns", lookups_view(e), "warnings", warnings));
}

/* --- health of Sluice itself --- */

void api_healthz(struct api_request *req)
{
    api_reply(req, 200, json_pack("{s:s}", "status", "ok"));
}

static size_t workers_up(const struct engine *e)
{
    size_t n, up = 0;
    const struct workers_row *rows = workers_rows(e->workers, &n);

    for (size_t i = 0; i < n; i++)
        up += rows[i].state == IPC_WORKER_UP;
    return up;
}

/* Why traffic should not be sent here, or NULL. */
static const char *not_ready(const struct engine *e)
{
    if (e->draining)
        return "draining";
    if (publish_applied(e->publish) == 0)
        return "no routing snapshot is live on all workers yet";
    return workers_up(e) == 0 ? "no worker is up" : NULL;
}

void api_readyz(struct api_request *req)
{
    const char *why = not_ready(api_engine(req));

    if (why)
        api_problem(req, 503, "not_ready", NULL, "%s", why);
    else
        api_reply(req, 200, json_pack("{s:s}", "status", "ready"));
}

/*
 * engine.c - putting the parts together, and what goes from one to another.
 *
 * Health bits and reloads enter here; both end in the desired state and one publication.
 */
#include "control/engine/engine.h"
#include "config/snapshot.h"
#include "control/engine/desired.h"
#include "control/engine/escalation.h"
#include "control/engine/events.h"
#include "control/engine/flagsync.h"
#include "control/engine/lookups.h"
#include "control/engine/notices.h"
#include "control/engine/publish.h"
#include "control/engine/rollouts.h"
#include "control/engine/sampler.h"
#include "control/link/fetch.h"
#include "control/link/health.h"
#include "control/link/workers.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/hash.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "proxy/base/sys.h"
#include "proxy/event/tls_spec.h"

#include <errno.h>
#include <stdio.h>

#define SNAPSHOT_MAX (64u << 20) /* bytes of a saved snapshot */

/* --- what an earlier run has left --- */

static int add_overlay(void *arg, struct str key, struct str doc)
{
    json_t *j = json_loadb(doc.p, doc.n, 0, NULL);
    char *name = xstrndup(key.p, key.n);

    if (json_is_object(j))
        json_object_set(arg, name, j);
    else
        log_error("the store's changes of service %s are damaged and left out", name);
    xfree(name);
    json_decref(j);
    return 0;
}

static json_t *load_cells(struct store *s)
{
    struct arena a;
    struct str doc;
    json_t *cells = NULL;

    arena_init(&a, NULL, 0);
    if (store_get(s, "cells", "all", &a, &doc) == 1)
        cells = json_loadb(doc.p, doc.n, 0, NULL);
    arena_release(&a);
    return cells;
}

static int load_desired(struct engine *e, struct conf *file, char **why)
{
    json_t *overlays = json_object();

    if (store_list(e->store, "overlay", add_overlay, overlays) != 0) {
        *why = xasprintf("the store cannot be read: %s", store_message(e->store));
        json_decref(overlays);
        conf_free(file);
        return -1;
    }
    json_t *cells = load_cells(e->store);
    e->desired = desired_new(file, overlays, cells);
    json_decref(overlays);
    json_decref(cells);
    return 0;
}

/* The last snapshot knows which endpoints were down. Returns its generation, 0 without one. */
static uint64_t load_snapshot(struct engine *e, struct str state_dir)
{
    struct arena a;
    struct str doc;
    struct snapshot last;
    uint64_t generation = 0;
    char *why = NULL;

    arena_init(&a, NULL, 0);
    struct str path = arena_printf(&a, "%.*s/snapshot.json", STR_ARG(state_dir));
    if (sys_read_file(&a, path.p, SNAPSHOT_MAX, &doc) == 0 &&
        snapshot_parse(doc, &last, &why) == 0) {
        generation = last.generation;
        desired_adopt_addresses(e->desired, last.conf);
        desired_adopt_health(e->desired, last.conf);
        conf_free(last.conf);
    }
    if (why)
        log_warn("%s: %s", path.p, why);
    xfree(why);
    arena_release(&a);
    return generation;
}

/* --- callbacks of the parts --- */

static void on_applied(void *arg, const struct publish_result *r)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);

    rollouts_applied(e->rollouts, r);
}

static void on_health(void *arg, struct str service, struct str version, struct str endpoint,
                      const struct health_row *row)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);

    if (!desired_set_up(e->desired, service.p, version.p, endpoint.p, row->up))
        return;
    json_t *data = json_pack("{s:s,s:s,s:s}", "version", version.p, "endpoint", endpoint.p,
                             "error", row->error);
    char *message = row->up ? xasprintf("%s of %s %s is up", endpoint.p, service.p, version.p)
                            : xasprintf("%s of %s %s is down: %s", endpoint.p, service.p,
                                        version.p, row->error);
    events_emit(e->events, (struct fact){row->up ? "endpoint.up" : "endpoint.down", service.p,
                                         NULL, message, data});
    xfree(message);
    json_decref(data);
    publish_request(e->publish, NULL, NULL);
    rollouts_health(e->rollouts);
}

static void on_ejection(void *arg, const struct sampler_ejection *x)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);
    char *service = xstrndup(x->service.p, x->service.n);
    json_t *data =
        json_pack("{s:s%,s:s%,s:I}", "version", x->version.p, x->version.n, "endpoint",
                  x->endpoint.p, x->endpoint.n, "workers", (json_int_t)x->workers);
    char *message;

    if (x->workers) {
        json_object_set_new(data, "reason", json_string(stats_ejection_name(x->why)));
        message = xasprintf("%.*s of %s %.*s is left alone by %llu of the workers: %s",
                            STR_ARG(x->endpoint), service, STR_ARG(x->version),
                            (unsigned long long)x->workers, stats_ejection_name(x->why));
    } else
        message = xasprintf("%.*s of %s %.*s is back", STR_ARG(x->endpoint), service,
                            STR_ARG(x->version));
    events_emit(e->events, (struct fact){x->workers ? "endpoint.ejected" : "endpoint.returned",
                                         service, NULL, message, data});
    xfree(message);
    xfree(service);
    json_decref(data);
}

static void publish_flags(void *arg, uint64_t sequence, struct str doc,
                          flagsync_published_cb *done, void *done_arg)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);

    workers_publish_flags(e->workers, sequence, doc, done, done_arg);
}

static void flag_event(void *arg, const char *type, const char *message,
                       const struct json_t *data)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);

    events_emit(e->events, (struct fact){type, NULL, NULL, message, data});
}

/* --- beginning and end --- */

static struct conf *parse_config(struct str doc, struct str path, char **why)
{
    struct conf_diags diags;
    struct arena a;

    conf_diags_init(&diags);
    struct conf *c = conf_parse(doc, path.p, &diags);
    if (!c) {
        arena_init(&a, NULL, 0);
        *why = xasprintf("%.*s", STR_ARG(conf_diags_text(&a, &diags)));
        arena_release(&a);
    }
    conf_diags_release(&diags);
    return c;
}

static void note_config(struct engine *e, struct str doc, struct str path)
{
    xfree(e->config_path);
    e->config_path = xstrndup(path.p, path.n);
    snprintf(e->revision, sizeof(e->revision), "%016llx", (unsigned long long)hash64(doc, 0));
    e->config_loaded_ms = clock_wall_ms();
}

static int open_store(struct engine *e, struct str state_dir, char **why)
{
    char err[STORE_MESSAGE_MAX];

    if (sys_mkdirs(state_dir.p, 0750) != 0) {
        *why = xasprintf("state_dir %s: %s", state_dir.p, strerror(errno));
        return -1;
    }
    char *path = xasprintf("%s/sluice.db", state_dir.p);
    e->store = store_open(path, err);
    if (!e->store)
        *why = xasprintf("%s: %s", path, err);
    xfree(path);
    return e->store ? 0 : -1;
}

static int start_parts(struct engine *e, const struct engine_options *o, char **why)
{
    const char *reason;
    const struct conf *c = desired_conf(e->desired);
    uint64_t saved = load_snapshot(e, c->state_dir), seed;

    rng_secure(&seed, sizeof(seed));
    c = desired_conf(e->desired);
    e->events = events_new(e->loop, e->store);
    e->publish = publish_new(
        &(struct publish_options){.loop = e->loop,
                                  .workers = e->workers,
                                  .desired = e->desired,
                                  .store = e->store,
                                  .state_dir = c->state_dir,
                                  .generation = o->generation > saved ? o->generation : saved,
                                  .applied = on_applied,
                                  .arg = e});
    e->fetcher = fetcher_new(e->loop);
    e->health = health_new(e->loop, e->fetcher, seed, on_health, e);
    e->sampler = sampler_new(e->loop, e->stats);
    sampler_on_ejection(e->sampler, on_ejection, e);
    e->rollouts = rollouts_new(e);
    e->escalation = escalation_new(e); /* hears of an event after the notices do */
    e->notices = notices_new(e);
    e->flagsync = flagsync_new(&(struct flagsync_options){
        .loop = e->loop,
        .conf = &c->flags,
        .state_dir = c->state_dir,
        .store = e->store,
        .sequence = o->sequence,
        .hooks = {.publish = publish_flags, .event = flag_event, .arg = e}});
    e->dns = lookups_new(e, &reason);
    if (!e->dns)
        *why = xasprintf("names cannot be looked up: %s", reason);
    return e->dns ? 0 : -1;
}

struct engine *engine_new(const struct engine_options *o, char **why)
{
    struct conf *file = parse_config(o->doc, o->path, why);
    struct engine *e = xcalloc(1, sizeof(*e));

    MAGIC_SET(e, ENGINE_MAGIC);
    e->loop = o->loop;
    e->stats = o->stats;
    e->workers = o->workers;
    e->boot = o->boot;
    e->started_ms = clock_wall_ms();
    e->started_us = clock_mono_us();
    note_config(e, o->doc, o->path);
    if (!file)
        goto fail;
    if (open_store(e, file->state_dir, why) != 0) {
        conf_free(file);
        goto fail;
    }
    if (load_desired(e, file, why) != 0)
        goto fail;
    if (start_parts(e, o, why) != 0)
        goto fail;
    engine_retrack(e);
    events_say(e->events, "controller.started", NULL, NULL, "controller %s started",
               SLUICE_VERSION);
    publish_request(e->publish, NULL, NULL);
    rollouts_resume(e->rollouts);
    notices_resume(e->notices);
    escalation_resume(e->escalation);
    return e;
fail:
    engine_free(e);
    return NULL;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    dns_free(e->dns);
    flagsync_free(e->flagsync);
    escalation_free(e->escalation);
    notices_free(e->notices);
    rollouts_free(e->rollouts);
    sampler_free(e->sampler);
    health_free(e->health);
    fetcher_free(e->fetcher);
    publish_free(e->publish);
    events_free(e->events);
    desired_free(e->desired);
    store_close(e->store);
    vec_release(&e->reloads);
    json_decref(e->certificates);
    xfree(e->config_path);
    e->magic = 0;
    xfree(e);
}

void engine_retrack(struct engine *e)
{
    const struct conf *c = desired_conf(e->desired);

    health_configure(e->health, c);
    sampler_track(e->sampler, c);
    lookups_track(e);
}

/* --- reload --- */

void engine_request_reload(struct engine *e, engine_reload_cb *cb, void *arg)
{
    *vec_add(&e->reloads) = (struct engine_reload){cb, arg};
    workers_request_reload(e->workers);
}

void engine_config(struct engine *e, struct str doc, struct str path)
{
    char *why = NULL;
    struct conf *file = parse_config(doc, path, &why);
    json_t *kept = json_array();

    if (!file) {
        log_error("the supervisor's config does not parse here: %s", why);
        xfree(why);
        json_decref(kept);
        return;
    }
    note_config(e, doc, path);
    desired_reload(e->desired, file, kept);
    for (size_t i = 0; i < json_array_size(kept); i++)
        log_warn("%s is not in the config file any more but in use: kept",
                 json_string_value(json_array_get(kept, i)));
    json_decref(kept);
    dns_configure(e->dns, &desired_conf(e->desired)->dns);
    engine_retrack(e);
    flagsync_configure(e->flagsync, &desired_conf(e->desired)->flags);
    publish_request(e->publish, NULL, NULL);
    rollouts_reloaded(e->rollouts);
}

static void tell_reloads(struct engine *e, bool ok, struct str diags)
{
    for (size_t i = 0; i < e->reloads.n; i++)
        e->reloads.v[i].cb(e->reloads.v[i].arg, ok, diags);
    e->reloads.n = 0;
}

static void on_reload_live(void *arg, const struct publish_result *r)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);

    if (!r->error) {
        tell_reloads(e, true, STR(""));
        return;
    }
    json_t *list = json_pack("[{s:s,s:i,s:i,s:s,s:s,s:s}]", "file", e->config_path, "line", 0,
                             "column", 0, "pointer", "", "message", r->error, "hint", "");
    char *text = json_dumps(list, JSON_COMPACT);
    tell_reloads(e, false, str_of(text));
    xfree(text);
    json_decref(list);
}

void engine_reloaded(struct engine *e, bool ok, struct str diags)
{
    json_t *data;

    e->config_rejected = !ok;
    if (ok) {
        data = json_pack("{s:s}", "revision", e->revision);
        events_emit(e->events,
                    (struct fact){"config.reloaded", NULL, NULL, "config reloaded", data});
        publish_request(e->publish, on_reload_live, e);
    } else {
        data = json_pack("{s:o}", "diagnostics", json_loadb(diags.p, diags.n, 0, NULL));
        events_emit(e->events,
                    (struct fact){"config.rejected", NULL, NULL,
                                  "the new config is not valid; the old one stays", data});
        tell_reloads(e, false, diags);
    }
    json_decref(data);
}

/* --- workers --- */

static const char *const worker_words[] = {"up", "down", "backoff"};

void engine_worker(struct engine *e, const struct workers_row *row)
{
    const char *word = worker_words[row->state];
    char type[24];
    json_t *data = json_pack("{s:i,s:I,s:I,s:I,s:s}", "slot", (int)row->slot, "pid",
                             (json_int_t)row->pid, "restarts", (json_int_t)row->restarts,
                             "backoff_ms", (json_int_t)row->backoff_ms, "reason", row->reason);
    char *message = xasprintf("worker %u is %s%s%s", row->slot, word, *row->reason ? ": " : "",
                              row->reason);

    snprintf(type, sizeof(type), "worker.%s", word);
    events_emit(e->events, (struct fact){type, NULL, NULL, message, data});
    xfree(message);
    json_decref(data);
}

void engine_certificates(struct engine *e, struct str doc)
{
    json_decref(e->certificates);
    e->certificates = json_loadb(doc.p, doc.n, 0, NULL);
}

void engine_check_tls(struct engine *e, struct str doc)
{
    if (!health_set_tls(e->health, doc))
        log_error("what health checks are to speak TLS with cannot be read");
    flagsync_tls(e->flagsync, health_tls(e->health, STR(TLS_SPEC_REDIS)));
}

/* --- warnings --- */

static void warn(json_t *list, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void warn(json_t *list, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_array_append_new(list, json_vsprintf(fmt, ap));
    va_end(ap);
}

static void warn_workers(const struct engine *e, json_t *list)
{
    size_t n;
    const struct workers_row *rows = workers_rows(e->workers, &n);

    for (size_t i = 0; i < n; i++)
        if (rows[i].state != IPC_WORKER_UP)
            warn(list, "worker %u is %s: %s", rows[i].slot, worker_words[rows[i].state],
                 rows[i].reason);
}

static void warn_flags(const struct engine *e, json_t *list)
{
    struct flagsync_status s;
    size_t bad;

    flagsync_status(e->flagsync, &s);
    bad = json_object_size(s.quarantined);
    if (s.redis == FLAGSYNC_REDIS_DOWN)
        warn(list, "redis is down: flags are served as last known, %llu s old",
             (unsigned long long)s.stale_ms / 1000);
    if (s.version_regressed)
        warn(list, "redis shows an older flag set than the one served; it is not taken");
    if (bad)
        warn(list, "%zu flag%s quarantined: the last good definition is served", bad,
             bad == 1 ? " is" : "s are");
}

static void warn_staple(const json_t *c, uint64_t now, json_t *list)
{
    const json_t *next = json_object_get(c, "ocsp_next_update");
    const char *file = json_string_value(json_object_get(c, "ocsp"));
    const char *fault = json_string_value(json_object_get(c, "ocsp_fault"));

    if (fault && *fault)
        warn(list, "the OCSP response %s is not stapled: %s", file, fault);
    else if (next && (uint64_t)json_integer_value(next) <= now)
        warn(list, "the OCSP response %s is not stapled any more: it is too old", file);
    else if (next && (uint64_t)json_integer_value(next) - now < ENGINE_OCSP_WARN_MS)
        warn(list, "the OCSP response %s is good for %llu hours", file,
             (unsigned long long)(((uint64_t)json_integer_value(next) - now) / 3600000));
}

static void warn_certificates(const struct engine *e, json_t *list)
{
    uint64_t now = clock_wall_ms();
    const json_t *c;
    size_t i;

    json_array_foreach(e->certificates, i, c)
    {
        uint64_t end = (uint64_t)json_integer_value(json_object_get(c, "not_after"));
        const char *file = json_string_value(json_object_get(c, "file"));
        const char *names = json_string_value(json_object_get(c, "names"));

        if (end <= now)
            warn(list, "the certificate %s (%s) has expired", file, names);
        else if (end - now < ENGINE_CERT_WARN_MS)
            warn(list, "the certificate %s (%s) expires in %llu days", file, names,
                 (unsigned long long)((end - now) / (24 * 3600 * 1000)));
        warn_staple(c, now, list);
    }
}

/* Weights that somebody set while a rollout was paused differ from what it asked for. */
static void warn_rollouts(const struct engine *e, json_t *list)
{
    const struct rollout_entry *l;

    for (l = rollouts_first(e->rollouts); l; l = rollouts_next(l)) {
        const struct conf_service *s = desired_service(e->desired, l->r.service);
        if (l->r.state == ROLLOUT_REVERT_STUCK)
            warn(list, "%s: not every worker confirms that %s is at 0", l->r.id,
                 l->r.spec.version);
        long at = s ? conf_version_find(s, str_of(l->r.spec.version)) : -1;
        if (at >= 0 && !rollout_terminal(l->r.state) && s->versions[at].weight != l->r.weight)
            warn(list, "%s has %g %%, but %s asked for %g %%", l->r.spec.version,
                 s->versions[at].weight / 100.0, l->r.id, l->r.weight / 100.0);
    }
}

static void warn_overload(const struct engine *e, json_t *list)
{
    static const char *const words[] = {
        [STATS_OVER_MEMORY] = "too much memory",
        [STATS_OVER_DESCRIPTORS] = "too many descriptors",
        [STATS_OVER_MEMORY | STATS_OVER_DESCRIPTORS] = "too much memory, too many descriptors",
    };
    unsigned n = 0;
    uint64_t marks = 0;

    for (unsigned i = 0; i < stats_slabs(e->stats); i++) {
        uint64_t over = stat_get(&e->stats->slabs[i].overloaded);

        n += over != 0;
        marks |= over;
    }
    if (marks && marks < ARRAY_LEN(words))
        warn(list, "%u of %u workers refuse new requests: %s in use", n, e->stats->workers,
             words[marks]);
}

void engine_warnings(const struct engine *e, struct json_t *list)
{
    if (e->store_failing)
        warn(list, "the store fails: %s; nothing but reverts will change",
             store_message(e->store));
    if (publish_trouble(e->publish))
        warn(list, "routing: %s", publish_trouble(e->publish));
    if (e->config_rejected)
        warn(list, "the config file was refused at the last reload; the one before is in use");
    lookups_warnings(e, list);
    warn_workers(e, list);
    warn_overload(e, list);
    warn_certificates(e, list);
    warn_flags(e, list);
    warn_rollouts(e, list);
}

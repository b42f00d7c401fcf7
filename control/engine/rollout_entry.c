/*
 * rollout_entry.c - may a rollout begin, and the entry that it begins as.
 *
 * Only looks at the desired state and at health: an entry that was made has changed nothing
 * yet, and can be freed again when its start is not stored.
 */
#include "control/engine/rollout_entry.h"
#include "config/conf.h"
#include "control/engine/desired.h"
#include "control/engine/effects.h"
#include "control/engine/engine.h"
#include "control/engine/evidence.h"
#include "control/link/health.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(struct refusal *r, int status, const char *code, const char *fmt, ...)
{
    va_list ap;

    *r = (struct refusal){.status = status, .code = code};
    va_start(ap, fmt);
    vsnprintf(r->message, sizeof(r->message), fmt, ap);
    va_end(ap);
    return -1;
}

uint32_t rollout_entry_cell(const struct engine *e, const char *service, const char *version)
{
    const struct conf_version *v = effects_version(e->desired, service, version);

    return v ? v->cell : 0;
}

/* A new endpoint that was not checked yet may get traffic, but no rollout begins on it. */
static bool was_checked(const struct engine *e, const struct rollout *r,
                        const struct conf_endpoint *ep)
{
    const struct conf_service *s = desired_service(e->desired, r->service);
    struct health_row row;

    return !s->health.enabled || r->state != ROLLOUT_WARMING ||
           (health_get(e->health, s->name, str_of(r->spec.version), ep->name, &row) &&
            row.state == HEALTH_UP);
}

/* Can the canary take traffic? */
bool rollout_entry_ready(const struct engine *e, const struct rollout *r)
{
    const struct conf_version *v = effects_version(e->desired, r->service, r->spec.version);

    for (size_t i = 0; v && i < v->nendpoints; i++) {
        const struct conf_endpoint *ep = &v->endpoints[i];
        if (ep->up && !ep->drain && was_checked(e, r, ep))
            return true;
    }
    return false;
}

int rollout_entry_check(const struct engine *e, const char *service, const struct spec *spec,
                        struct refusal *why)
{
    const struct conf_service *s = desired_service(e->desired, service);

    if (!s)
        return refuse(why, 404, "not_found", "no service \"%s\"", service);
    long at = conf_version_find(s, str_of(spec->version));
    if (at < 0 && spec->nendpoints == 0) {
        refuse(why, 404, "unknown_version",
               "%s has no version \"%s\"; register it, or give \"endpoints\"", service,
               spec->version);
        snprintf(why->pointer, sizeof(why->pointer), "/version");
        return -1;
    }
    const struct conf_version *stable = effects_stable(s, spec->version);
    uint32_t has = at < 0 ? 0 : s->versions[at].weight;
    if (!stable || stable->weight == 0)
        return refuse(why, 409, "already_live", "%s has all the weight of %s already",
                      spec->version, service);
    if (stable->weight + has != CONF_WEIGHT_FULL)
        return refuse(why, 409, "weights_split",
                      "more than one other version of %s has weight; set one of them to 100",
                      service);
    if (has > 0)
        return refuse(why, 409, "version_has_weight",
                      "%s has %g %% already; set its weight to 0 first", spec->version,
                      has / 100.0);
    return 0;
}

void rollout_entry_free(struct rollout_entry *l)
{
    json_decref(l->decisions);
    json_decref(l->story);
    xfree(l);
}

/* Clients are told apart where they are dealt out; elsewhere each request is for itself. */
static void fit_unit(const struct engine *e, const struct conf_service *s, struct spec *spec)
{
    if (s->sticky.by == CONF_STICKY_NONE)
        spec->judge.clients = JUDGE_REQUEST;
    if (spec->judge.clients == JUDGE_REQUEST || effects_free_table(e->desired))
        return;
    log_warn("rollout of %s: %d others tell clients apart, this one counts requests", s->name.p,
             STATS_CLIENT_TABLES);
    spec->judge.clients = JUDGE_REQUEST;
}

struct rollout_entry *rollout_entry_new(const struct engine *e, uint64_t number,
                                        const char *service, const struct spec *spec,
                                        const char *actor)
{
    const struct conf_service *s = desired_service(e->desired, service);
    struct rollout_entry *l = xcalloc(1, sizeof(*l));
    const struct conf_version *stable;
    struct spec fit = *spec;
    char id[ROLLOUT_ID_MAX];

    fit_unit(e, s, &fit);
    l->number = number;
    snprintf(id, sizeof(id), "r-%llu", (unsigned long long)l->number);
    stable = effects_stable(s, spec->version);
    rollout_init(&l->r, id, service, stable ? stable->name.p : "", actor, &fit,
                 clock_wall_ms());
    l->boot = e->boot;
    l->keyed = s->sticky.by != CONF_STICKY_NONE;
    l->decisions = json_array();
    l->story = json_array();
    evidence_begin(l, e->stats, rollout_entry_cell(e, service, l->r.stable),
                   rollout_entry_cell(e, service, spec->version));
    return l;
}

void rollout_entry_renew(const struct engine *e, struct rollout_entry *l)
{
    struct rollout_entry *now =
        rollout_entry_new(e, l->number, l->r.service, &l->r.spec, l->r.author);
    struct rollout_entry *was = xmalloc(sizeof(*was));

    *was = *l;
    *l = *now;
    l->link = was->link;
    l->r.created_ms = was->r.created_ms;
    l->r.index = was->r.index;
    l->story = was->story;
    was->story = now->story;
    rollout_entry_free(was);
    xfree(now);
}

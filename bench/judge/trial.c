/*
 * trial.c - one simulated rollout: traffic, plan, rule.
 *
 * Latency thresholds are learnt from half a minute of stable's traffic before the start, as a
 * rollout does while its version comes up. Flagger moves the weight itself, at its looks;
 * under the other rules the plan's clock does.
 */
#include "bench/judge/trial.h"

#include <math.h>
#include <stdlib.h>

#define LEARN_S 30

const struct trial_plan trial_p1 = {
    "P1", {.05, .10, .15, .20, .25, .30, .35, .40, .45, .50}, 60};
const struct trial_plan trial_p2 = {"P2", {.01, .05, .10, .25, .50}, 120};

struct walk { /* through the plan */
    const struct trial *t;
    struct rule *rule;
    struct traffic_run *traffic;
    struct judge_window w;
    struct judge_arm baseline;
    struct rule_report report;
    uint32_t step, steps;
    double t_s;
};

static uint32_t plan_steps(const struct trial_plan *p)
{
    uint32_t n = 0;

    while (n < TRIAL_STEPS && p->shares[n] > 0)
        n++;
    return n;
}

static bool needs_baseline(const struct trial *t)
{
    return t->rule.kind == RULE_KAYENTA && t->traffic->clients < TRAFFIC_BROKEN;
}

static void learn(struct walk *k)
{
    for (int s = LEARN_S; k->t->rule.kind == RULE_EPROCESS && s > 0; s--) {
        traffic_second(k->traffic, -s, 0, &k->w, NULL);
        judge_step(&k->rule->judge, &k->w);
    }
}

static void second(struct walk *k)
{
    struct judge_arm *baseline = needs_baseline(k->t) ? &k->baseline : NULL;

    traffic_second(k->traffic, k->t_s, k->t->plan->shares[k->step], &k->w, baseline);
    k->w.warming = k->t_s < k->t->warmup_s;
    k->t_s++;
    rule_step(k->rule, k->t_s, &k->w, baseline, &k->report);
}

/* Does the step end here? */
static bool step_over(const struct walk *k)
{
    if (k->t->rule.kind == RULE_FLAGGER)
        return k->report.looked && !k->rule->halted;
    return k->t_s >= (k->step + 1) * k->t->plan->step_s;
}

static void count(struct outcome *o, const struct judge_window *w)
{
    o->requests += (double)(w->canary.n + w->stable.n);
    o->of_canary += (double)w->canary.n;
    o->bad += (double)w->canary.errors;
}

static bool walk_ends(struct walk *k, struct outcome *o)
{
    o->regressed = k->report.verdict == JUDGE_REGRESSED;
    o->certified = k->report.verdict == JUDGE_CERTIFIED;
    return o->regressed || (k->t->until_certified && o->certified);
}

static void walk_on(struct walk *k, struct outcome *o)
{
    for (k->step = 0; k->step < k->steps; k->step++) {
        rule_begin(k->rule);
        do {
            second(k);
            count(o, &k->w);
            if (walk_ends(k, o))
                return;
        } while (!step_over(k));
    }
}

struct outcome trial_run(const struct trial *t, uint64_t seed)
{
    struct walk *k = calloc(1, sizeof(*k));
    struct rule_config conf = t->rule;
    struct traffic traffic = *t->traffic;
    struct outcome o = {0};

    *k = (struct walk){.t = t, .rule = calloc(1, sizeof(*k->rule))};
    k->steps = plan_steps(t->plan);
    traffic.once = conf.judge.clients == JUDGE_CLIENT_ONCE;
    k->traffic = traffic_new(&traffic, seed);
    conf.judge.epochs = k->steps;
    if (traffic.clients == TRAFFIC_SINGLE)
        conf.judge.clients = JUDGE_REQUEST;
    rule_init(k->rule, &conf);
    learn(k);
    walk_on(k, &o);
    o.seconds = k->t_s;
    if (o.regressed) { /* the way back takes a second */
        traffic_second(k->traffic, k->t_s, t->plan->shares[k->step], &k->w, NULL);
        o.bad += (double)k->w.canary.errors;
    }
    traffic_free(k->traffic);
    free(k->rule);
    free(k);
    return o;
}

/* --- many --- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct sample {
    double *v;
    uint32_t n;
};

static double quantile(struct sample *s, double q)
{
    if (s->n == 0)
        return INFINITY;
    qsort(s->v, s->n, sizeof(*s->v), by_number);
    return s->v[(uint32_t)fmin(q * s->n, s->n - 1)];
}

static void note(struct sample *s, bool is, double v)
{
    if (is)
        s->v[s->n++] = v;
}

enum { SECONDS, OF_CANARY, BAD, ALL, ALL_CANARY, CERTIFIED, NSAMPLES };

struct summary trial_runs(const struct trial *t, uint32_t runs, uint64_t seed)
{
    struct sample s[NSAMPLES];
    struct summary sum = {.n = runs};

    for (int i = 0; i < NSAMPLES; i++)
        s[i] = (struct sample){calloc(runs, sizeof(double)), 0};
    for (uint32_t i = 0; i < runs; i++) {
        struct outcome o = trial_run(t, seed + i);

        sum.regressed += o.regressed;
        sum.certified += o.certified;
        note(&s[SECONDS], o.regressed, o.seconds);
        note(&s[OF_CANARY], o.regressed, o.of_canary);
        note(&s[BAD], true, o.bad);
        note(&s[ALL], true, o.regressed ? o.requests : INFINITY);
        note(&s[ALL_CANARY], true, o.regressed ? o.of_canary : INFINITY);
        note(&s[CERTIFIED], true, o.certified ? o.of_canary : INFINITY);
    }
    sum.seconds = quantile(&s[SECONDS], .5);
    sum.of_canary = quantile(&s[OF_CANARY], .5);
    sum.bad = quantile(&s[BAD], .5);
    sum.requests50 = quantile(&s[ALL], .5);
    sum.of_canary50 = quantile(&s[ALL_CANARY], .5);
    sum.of_canary95 = quantile(&s[ALL_CANARY], .95);
    sum.certified50 = quantile(&s[CERTIFIED], .5);
    sum.certified95 = quantile(&s[CERTIFIED], .95);
    for (int i = 0; i < NSAMPLES; i++)
        free(s[i].v);
    return sum;
}

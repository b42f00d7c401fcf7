/*
 * main.c - how often, how fast and at what price rules take a version back, in simulation.
 *
 * judge [--runs N] [--clean N] [--seed S] [--rule NAME] [--only PART]
 *
 * Parts: figures (J1 to J10, each with its bound; exit 1 when one is missed), false, found,
 * clients, cost. Every number comes from --runs rollouts (2,000; Kayenta a sixth of that), J1
 * from --clean (20,000). The same seed gives the same numbers.
 */
#include "bench/judge/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    uint32_t runs, clean;
    uint64_t seed;
    const char *rule, *only;
};

static const struct contender {
    const char *name;
    enum rule_kind kind;
    double interval_s, min_success, tolerance;
    uint32_t limit, clients;
} contenders[] = {
    {"Flagger, threshold 5, success 99 %", RULE_FLAGGER, 60, .99, 1, 5, 0},
    {"Flagger, threshold 5, success 98 %", RULE_FLAGGER, 60, .98, 1, 5, 0},
    {"Flagger, threshold 1 (its default), success 98 %", RULE_FLAGGER, 60, .98, 1, 1, 0},
    {"Flagger every 10 s, threshold 5, success 98 %", RULE_FLAGGER, 10, .98, 1, 5, 0},
    {"Argo, limit 0 (its default), success 95 %", RULE_ARGO, 60, .95, 1, 0, 0},
    {"Argo, limit 3, success 98 %", RULE_ARGO, 60, .98, 1, 3, 0},
    {"Argo, limit 3, success 95 %", RULE_ARGO, 60, .95, 1, 3, 0},
    {"Argo every 5 m, limit 3, success 95 % (its docs)", RULE_ARGO, 300, .95, 1, 3, 0},
    {"Argo every 10 s, limit 3, success 98 %", RULE_ARGO, 10, .98, 1, 3, 0},
    {"z-test, looked at each minute", RULE_ZTEST, 60, 0, 1, 0, 0},
    {"Kayenta, points of 10 s, every 5 m", RULE_KAYENTA, 300, 0, 1, 0, 0},
    {"ours", RULE_EPROCESS, 1, 0, 1, 0, JUDGE_CLIENT},
    {"ours, a client's first error only", RULE_EPROCESS, 1, 0, 1, 0, JUDGE_CLIENT_ONCE},
    {"ours, counted by request", RULE_EPROCESS, 1, 0, 1, 0, JUDGE_REQUEST},
    {"ours, tolerance 1.25", RULE_EPROCESS, 1, 0, 1.25, 0, JUDGE_CLIENT_ONCE},
};
enum { OURS = 11, OURS_ONCE };

static struct trial trial_of(const struct contender *c, const struct traffic *t,
                             const struct trial_plan *plan)
{
    struct trial trial = {.traffic = t, .plan = plan};

    rule_defaults(&trial.rule, c->kind);
    trial.rule.interval_s = c->interval_s;
    trial.rule.min_success = c->min_success;
    trial.rule.limit = c->limit;
    trial.rule.judge.tolerance = c->tolerance;
    trial.rule.judge.clients = c->clients;
    return trial;
}

static bool wanted(const struct options *o, const struct contender *c)
{
    return !o->rule || strcmp(o->rule, rule_name(c->kind)) == 0;
}

static uint32_t runs_of(const struct options *o, const struct contender *c)
{
    uint32_t n = c->kind == RULE_KAYENTA ? o->runs / 6 : o->runs;

    return n ? n : 1;
}

static void table_head(const char *title, const struct traffic *worlds, size_t n)
{
    printf("\n%s\n\n| rule |", title);
    for (size_t i = 0; i < n; i++)
        printf(" %s |", worlds[i].name);
    printf("\n|---|");
    for (size_t i = 0; i < n; i++)
        printf("---|");
    putchar('\n');
}

typedef void cell_fn(const struct summary *s);

static void table(const struct options *o, const char *title, const struct traffic *worlds,
                  size_t n, cell_fn *cell)
{
    table_head(title, worlds, n);
    for (size_t c = 0; c < sizeof(contenders) / sizeof(*contenders); c++) {
        if (!wanted(o, &contenders[c]))
            continue;
        printf("| %s |", contenders[c].name);
        for (size_t i = 0; i < n; i++) {
            struct trial t = trial_of(&contenders[c], &worlds[i], &trial_p1);
            struct summary s = trial_runs(&t, runs_of(o, &contenders[c]), o->seed);

            cell(&s);
            fflush(stdout);
        }
        putchar('\n');
    }
}

static void cell_false(const struct summary *s)
{
    printf(" %.3g |", 100 * s->regressed / s->n);
}

static void cell_found(const struct summary *s)
{
    printf(" %.3g %%", 100 * s->regressed / s->n);
    if (s->regressed > 0)
        printf(" / %.0f s / %.0f", s->seconds, s->of_canary);
    printf(" / %.0f |", s->bad);
}

/* --- worlds --- */

static const struct traffic clean[] = {
    {.name = "1 % errors", .rps = 100, .stable = .01, .canary = .01},
    {.name = "0.1 % errors", .rps = 100, .stable = .001, .canary = .001},
    {.name = "5 rps", .rps = 5, .stable = .01, .canary = .01},
    {.name = "0.5 rps", .rps = .5, .stable = .01, .canary = .01},
    {.name = "outage of both, errors times 6 for 2 min",
     .rps = 100,
     .stable = .01,
     .canary = .01,
     .outage = 6},
    {.name = "bursts of 5 by client",
     .rps = 100,
     .stable = .01,
     .canary = .01,
     .clients = TRAFFIC_BURSTS},
    {.name = "broken sticky clients",
     .rps = 100,
     .stable = .01,
     .canary = .01,
     .clients = TRAFFIC_BROKEN},
};
enum { CLEAN, CLEAN_RARE, CLEAN_5, CLEAN_HALF, CLEAN_OUTAGE, CLEAN_BURSTS, CLEAN_BROKEN };

static const struct traffic worse[] = {
    {.name = "1 to 5 %", .rps = 100, .stable = .01, .canary = .05},
    {.name = "1 to 2 %", .rps = 100, .stable = .01, .canary = .02},
    {.name = "1 to 20 %", .rps = 100, .stable = .01, .canary = .2},
    {.name = "0.1 to 0.5 %", .rps = 100, .stable = .001, .canary = .005},
    {.name = "1 to 5 % from 330 s", .rps = 100, .stable = .01, .canary = .05, .onset_s = 330},
    {.name = "1 to 5 % at 5 rps", .rps = 5, .stable = .01, .canary = .05},
    {.name = "latency times 1.5",
     .rps = 100,
     .stable = .01,
     .canary = .01,
     .latency = TRAFFIC_SHIFTED},
    {.name = "slowest 3 % times 1.5",
     .rps = 100,
     .stable = .01,
     .canary = .01,
     .latency = TRAFFIC_TAIL},
};
enum { FIVE, TWO, TWENTY, HALF, LATE, FIVE_SLOW, SHIFTED, TAIL };

static const struct traffic clustered[] = {
    {.name = "bursts, 1 to 5 %",
     .rps = 100,
     .stable = .01,
     .canary = .05,
     .clients = TRAFFIC_BURSTS},
    {.name = "broken sticky clients, 1 to 5 %",
     .rps = 100,
     .stable = .01,
     .canary = .05,
     .clients = TRAFFIC_BROKEN},
};

static const struct traffic cold = {
    .name = "cold start", .rps = 100, .stable = .01, .canary = .01, .latency = TRAFFIC_COLD};

/* --- J1 to J10 --- */

struct figures {
    const struct options *o;
    int missed;
};

static void figure(struct figures *f, const char *id, const char *what, double got, double max,
                   const char *unit)
{
    bool ok = got <= max;

    printf("| %s | %s | %.4g%s | %.4g%s | %s |\n", id, what, got, unit, max, unit,
           ok ? "ok" : "MISSED");
    fflush(stdout);
    f->missed += !ok;
}

/* Bursts are for counting a client once; elsewhere its 1st, 3rd, 7th, ... error counts. */
static struct summary ours(const struct figures *f, const struct traffic *t, uint32_t runs,
                           double warmup_s)
{
    int who = t->clients == TRAFFIC_BURSTS ? OURS_ONCE : OURS;
    struct trial trial = trial_of(&contenders[who], t, &trial_p1);

    trial.warmup_s = warmup_s;
    return trial_runs(&trial, runs, f->o->seed);
}

static void false_aborts(struct figures *f)
{
    struct summary s = ours(f, &clean[CLEAN], f->o->clean, 0);

    figure(f, "J1", "false aborts, clean rollout", 100 * s.regressed / s.n, 1, " %");
    for (int i = CLEAN_5; i <= CLEAN_BROKEN; i++) {
        char what[96];

        s = ours(f, &clean[i], f->o->runs, 0);
        snprintf(what, sizeof(what), "false aborts, %s%s", clean[i].name,
                 i == CLEAN_BURSTS ? " (unit client_once)" : "");
        figure(f, "J2", what, 100 * s.regressed / s.n, 1, " %");
    }
    struct trial usual = trial_of(&contenders[OURS], &clean[CLEAN_BURSTS], &trial_p1);
    s = trial_runs(&usual, f->o->runs, f->o->seed);
    figure(f, "J2", "the same bursts in the default unit, client", 100 * s.regressed / s.n, 1,
           " %");
}

static void found(struct figures *f, const char *id, int world, double max50, double max95)
{
    struct summary s = ours(f, &worse[world], f->o->runs, 0);
    char what[96];

    snprintf(what, sizeof(what), "%s: canary requests p50", worse[world].name);
    if (isfinite(max50))
        figure(f, id, what, s.of_canary50, max50, "");
    snprintf(what, sizeof(what), "%s: canary requests p95", worse[world].name);
    figure(f, id, what, s.of_canary95, max95, "");
}

static void no_data(struct figures *f)
{
    static const struct traffic nothing[] = {{.name = "no request"},
                                             {.name = "stable alone", .rps = 100}};
    static const struct trial_plan none = {"none", {1e-12}, 600};
    double any = 0;

    for (int i = 0; i < 2; i++) {
        struct trial t = trial_of(&contenders[OURS], &nothing[i], &none);
        struct summary s;

        t.until_certified = true;
        s = trial_runs(&t, 20, f->o->seed);
        any += s.regressed + s.certified;
    }
    figure(f, "J8", "no data: verdicts either way", any, 0, "");
}

static int figures(const struct options *o)
{
    struct figures f = {.o = o};
    struct summary s;

    printf("\nJ1 to J10 (J9, the way back, is measured on the real proxy)\n\n"
           "| | figure | measured | at most | |\n|---|---|---|---|---|\n");
    false_aborts(&f);
    found(&f, "J3", FIVE, 260, 560);
    found(&f, "J4", TWENTY, 40, 70);
    found(&f, "J5", TWO, INFINITY, 5500);
    found(&f, "J5", HALF, INFINITY, 5700);
    found(&f, "J6", SHIFTED, 85, 140);
    found(&f, "J6", TAIL, 720, 1500);
    s = ours(&f, &worse[LATE], o->runs, 0);
    figure(&f, "J7", "late onset: seconds after it, p50", s.seconds - 330, 30, " s");
    no_data(&f);
    s = ours(&f, &cold, o->runs, 30);
    figure(&f, "J10", "false aborts, cold start with warm-up", 100 * s.regressed / s.n, 1,
           " %");
    s = ours(&f, &cold, o->runs, 0);
    printf("| J10 | the same without warm-up | %.4g %% | | |\n", 100 * s.regressed / s.n);
    return f.missed;
}

/* --- what a verdict costs --- */

static struct trial one_step(const struct traffic *t, const struct trial_plan *plan)
{
    struct trial trial = trial_of(&contenders[OURS], t, plan);

    return trial;
}

static void cost_of_finding(const struct options *o)
{
    static const double shares[] = {.01, .05, .10, .25, .50};

    printf(
        "\nCanary requests until 1 to 5 %% is found, one step (median / p95 / all requests)\n"
        "\n| weight | canary | p95 | all |\n|---|---|---|---|\n");
    for (int i = 0; i < 5; i++) {
        struct trial_plan plan = {"one", {shares[i]}, 3600};
        struct trial t = one_step(&worse[FIVE], &plan);
        struct summary s = trial_runs(&t, o->runs, o->seed);

        printf("| %g %% | %.0f | %.0f | %.0f |\n", 100 * shares[i], s.of_canary50,
               s.of_canary95, s.requests50);
    }
}

static void cost_of_certifying(const struct options *o)
{
    static const double rates[][2] = {
        {.01, .05}, {.01, .02}, {.001, .01}, {.001, .005}, {.0001, .001}};
    struct trial_plan plan = {"one", {.5}, 3600};

    printf("\nCanary requests until \"errors below\" is certified (median / p95)\n\n"
           "| true rate | below | median | p95 |\n|---|---|---|---|\n");
    for (int i = 0; i < 5; i++) {
        struct traffic t = {
            .name = "", .rps = 100, .stable = rates[i][0], .canary = rates[i][0]};
        struct trial trial = one_step(&t, &plan);
        struct summary s;

        trial.until_certified = true;
        trial.rule.judge.max_error_rate = rates[i][1];
        s = trial_runs(&trial, o->runs, o->seed);
        printf("| %g %% | %g %% | %.0f | %.0f |\n", 100 * rates[i][0], 100 * rates[i][1],
               s.certified50, s.certified95);
    }
}

static bool part(const struct options *o, const char *name)
{
    return !o->only || strcmp(o->only, name) == 0;
}

static int run(const struct options *o)
{
    int missed = 0;

    if (part(o, "figures"))
        missed = figures(o);
    if (part(o, "false"))
        table(o, "False aborts in per cent, canary identical to stable", clean,
              CLEAN_BROKEN + 1, cell_false);
    if (part(o, "found"))
        table(o,
              "Regressions: found, and when, after how many canary requests; bad answers "
              "served",
              worse, TAIL + 1, cell_found);
    if (part(o, "clients"))
        table(o, "Regressions among clustered errors", clustered, 2, cell_found);
    if (part(o, "cost")) {
        cost_of_finding(o);
        cost_of_certifying(o);
    }
    return missed ? 1 : 0;
}

static bool read_option(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--runs") == 0)
        o->runs = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--clean") == 0)
        o->clean = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--seed") == 0)
        o->seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--rule") == 0)
        o->rule = value;
    else if (strcmp(name, "--only") == 0)
        o->only = value;
    else
        return false;
    return o->runs > 0 && o->clean > 0;
}

int main(int argc, char **argv)
{
    struct options o = {.runs = 2000, .clean = 20000, .seed = 1};

    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !read_option(&o, argv[i], argv[i + 1])) {
            fprintf(stderr, "usage: judge [--runs N] [--clean N] [--seed S]\n"
                            "             [--rule eprocess|flagger|argo|kayenta|ztest]\n"
                            "             [--only figures|false|found|clients|cost]\n");
            return 2;
        }
    printf("%u rollouts a number (J1: %u), seed %llu\n", o.runs, o.clean,
           (unsigned long long)o.seed);
    return run(&o);
}

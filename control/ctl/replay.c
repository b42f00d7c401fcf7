/*
 * replay.c - recorded windows through a rule, line by line.
 *
 * The file is read twice: the judge has to know how many steps will begin before the first one
 * does, as it does of a rollout.
 */
#include "control/ctl/replay.h"

#include "proxy/base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define COUNT_MAX (1ull << 48)
#define TIME_MAX  1e12

struct replay {
    struct rule *rule;
    FILE *out;
    double t_s, weight; /* of the line before */
    size_t number;      /* of the line, from 1 */
    char *why;
};

/* What is wrong with the line; NULL: nothing. */
typedef const char *line_fn(struct replay *r, const json_t *line);

static bool read_count(const json_t *obj, const char *name, uint64_t *out)
{
    const json_t *v = json_object_get(obj, name);

    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
        (uint64_t)json_integer_value(v) > COUNT_MAX)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool read_slow(const json_t *slow, struct judge_arm *arm)
{
    static const char *const names[JUDGE_QUANTILES] = {"p50", "p90", "p99"};

    for (int i = 0; i < JUDGE_QUANTILES; i++)
        if (!read_count(slow, names[i], &arm->slow[i]) || arm->slow[i] > arm->n)
            return false;
    return true;
}

static const char *read_arm(const json_t *line, const char *name, struct judge_window *w,
                            struct judge_arm *arm)
{
    const json_t *obj = json_object_get(line, name), *slow = json_object_get(obj, "slow");

    if (!json_is_object(obj))
        return "\"stable\" and \"canary\" must be objects";
    if (!read_count(obj, "n", &arm->n) || !read_count(obj, "errors", &arm->errors) ||
        arm->errors > arm->n)
        return "\"n\" and \"errors\" must be counts, errors not above n";
    if (!slow)
        return NULL;
    w->counted = true;
    return read_slow(slow, arm) ? NULL : "\"slow\" must have p50, p90 and p99, not above n";
}

/* [[le_ms, count], ...] */
static bool read_latency(const json_t *rows, struct judge_arm *arm)
{
    const json_t *row;
    size_t i;

    if (!json_is_array(rows))
        return false;
    json_array_foreach(rows, i, row)
    {
        double le_ms = json_number_value(json_array_get(row, 0));
        json_int_t count = json_integer_value(json_array_get(row, 1));

        if (!json_is_integer(json_array_get(row, 1)) || count < 0 ||
            (uint64_t)count > COUNT_MAX || !(le_ms > 0 && le_ms <= TIME_MAX))
            return false;
        arm->hist[hist_bucket((uint64_t)(le_ms * 1000) - 1)] += (uint64_t)count;
    }
    return true;
}

static const char *read_window(const json_t *line, struct judge_window *w)
{
    const json_t *latency = json_object_get(line, "latency");
    const char *bad;

    memset(w, 0, sizeof(*w));
    if ((bad = read_arm(line, "stable", w, &w->stable)) ||
        (bad = read_arm(line, "canary", w, &w->canary)))
        return bad;
    if (latency && w->counted)
        return "has \"slow\" and \"latency\"";
    if (latency && (!read_latency(json_object_get(latency, "stable"), &w->stable) ||
                    !read_latency(json_object_get(latency, "canary"), &w->canary)))
        return "\"latency\" must have [[le_ms, count], ...] of \"stable\" and \"canary\"";
    return NULL;
}

/* Time and weight; true in *BEGINS: a step begins. */
static const char *read_place(struct replay *r, const json_t *line, bool *begins)
{
    const json_t *t = json_object_get(line, "t"), *weight = json_object_get(line, "weight");
    double was = r->weight, now = json_number_value(weight), t_s = json_number_value(t);

    if (!json_is_number(t) || t_s < 0 || t_s > TIME_MAX || t_s < r->t_s)
        return "\"t\" must be seconds that do not fall";
    if (weight && (!json_is_number(weight) || now < 0 || now > 100))
        return "\"weight\" must be a number from 0 to 100";
    r->t_s = t_s;
    r->weight = weight ? now : was < 0 ? 0 : was;
    *begins = weight ? now > fmax(was, 0) : was < 0;
    return NULL;
}

static const char *count_steps(struct replay *r, const json_t *line)
{
    bool begins = false;
    const char *bad = read_place(r, line, &begins);

    if (begins && r->rule->conf.judge.epochs < JUDGE_EPOCHS)
        r->rule->conf.judge.epochs++;
    return bad;
}

static const char *judge_line(struct replay *r, const json_t *line)
{
    struct rule_report report;
    struct judge_window w;
    bool begins;
    const char *bad = read_place(r, line, &begins);

    if (bad || (bad = read_window(line, &w)))
        return bad;
    if (begins)
        rule_begin(r->rule);
    w.share = r->weight / 100;
    rule_step(r->rule, r->t_s, &w, NULL, &report);
    json_t *answer = json_pack("{s:f,s:s,s:s,s:f,s:f,s:f,s:s}", "t", r->t_s, "verdict",
                               judge_verdict_name(report.verdict), "class", report.class,
                               "evalue", report.evalue, "limit", report.limit, "excess",
                               report.excess, "reason", report.reason);
    json_dumpf(answer, r->out, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', r->out);
    json_decref(answer);
    return NULL;
}

/* Each line of IN to FN. False: r->why says what is wrong. */
static bool each_line(struct replay *r, const char *path, FILE *in, line_fn *fn)
{
    char *text = NULL;
    const char *bad = NULL;
    size_t cap = 0;
    ssize_t n;

    r->t_s = 0;
    r->weight = -1;
    r->number = 0;
    while (!bad && (n = getline(&text, &cap, in)) >= 0) {
        json_t *line = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);

        r->number++;
        if (text[strspn(text, " \t\r\n")] != '\0')
            bad = json_is_object(line) ? fn(r, line) : "is not a JSON object";
        json_decref(line);
    }
    if (bad)
        r->why = xasprintf("%s:%zu: %s", path, r->number, bad);
    xfree(text);
    return !bad;
}

int replay_file(const char *path, struct rule_config *conf, FILE *out, char **why)
{
    struct replay r = {.rule = xcalloc(1, sizeof(*r.rule)), .out = out};
    FILE *in = fopen(path, "re");
    bool ok = false;

    if (in) {
        r.rule->conf.judge.epochs = 0;
        ok = each_line(&r, path, in, count_steps);
        conf->judge.epochs = r.rule->conf.judge.epochs ? r.rule->conf.judge.epochs : 1;
        rule_init(r.rule, conf);
        rewind(in);
        ok = ok && each_line(&r, path, in, judge_line);
        fclose(in);
    } else {
        r.why = xasprintf("%s: %s", path, strerror(errno));
    }
    xfree(r.rule);
    *why = r.why;
    return ok ? 0 : -1;
}

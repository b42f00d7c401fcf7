/* cmd_judge.c - the judge without a proxy. */
#include "control/ctl/cmd.h"
#include "control/ctl/replay.h"
#include "control/rollout/spec.h"
#include "proxy/base/mem.h"

#include <math.h>
#include <stdlib.h>

static bool read_rule(const char *name, enum rule_kind *kind)
{
    for (int i = 0; i < RULE_NKINDS; i++)
        if (strcmp(rule_name((enum rule_kind)i), name) == 0) {
            *kind = (enum rule_kind)i;
            return true;
        }
    return false;
}

/* Option NAME as a number from MIN to MAX; left alone when it is not there. */
static bool read_real(struct ctl *c, const char *name, double min, double max, double *out)
{
    const char *text = ctl_option(c, name);
    char *end;
    double x;

    if (!text)
        return true;
    x = strtod(text, &end);
    if (end == text || *end || !(x >= min && x <= max)) {
        ctl_complain(c, CTL_USAGE, "%s takes a number from %g to %g", name, min, max);
        return false;
    }
    *out = x;
    return true;
}

static bool read_interval(struct ctl *c, double *out)
{
    uint64_t ms = 0;

    if (!ctl_option(c, "--interval"))
        return true;
    if (!ctl_option_ms(c, "--interval", &ms))
        return false;
    if (ms == 0) {
        ctl_complain(c, CTL_USAGE, "--interval takes a time above 0");
        return false;
    }
    *out = (double)ms / 1000;
    return true;
}

static bool read_options(struct ctl *c, struct rule_config *conf)
{
    double limit = conf->limit, success = 100 * conf->min_success;

    if (!read_real(c, "--alpha", 1e-6, 0.5, &conf->judge.alpha) ||
        !read_real(c, "--tolerance", 1, 10, &conf->judge.tolerance) ||
        !read_real(c, "--limit", 0, 1e6, &limit) ||
        !read_real(c, "--success", 0, 100, &success) ||
        !read_real(c, "--p99", 0, 1e9, &conf->max_p99_ms) ||
        !read_interval(c, &conf->interval_s))
        return false;
    conf->limit = (uint32_t)limit;
    conf->min_success = success / 100;
    return true;
}

int cmd_judge_replay(struct ctl *c)
{
    const char *name = ctl_option(c, "--rule");
    enum rule_kind kind = RULE_EPROCESS;
    struct rule_config conf;
    char *why = NULL;
    int code = CTL_OK;

    if (name && !read_rule(name, &kind))
        return ctl_complain(c, CTL_USAGE,
                            "--rule takes eprocess, flagger, argo, kayenta or ztest");
    rule_defaults(&conf, kind);
    if (!read_options(c, &conf))
        return CTL_USAGE;
    if (replay_file(c->args[0], &conf, c->out, &why) < 0)
        code = ctl_complain(c, CTL_FAILED, "%s", why);
    xfree(why);
    return code;
}

/*
 * spec.c - a rollout's specification, from JSON and back.
 *
 * Everything that is not known is an error: a misspelt safety setting must not be ignored.
 */
#include "control/rollout/spec.h"
#include "control/rollout/spec_notify.h"
#include "control/rollout/spec_reader.h"
#include "control/rollout/spec_task.h"
#include "proxy/base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const until_names[] = {"evidence", "time", "approval"};
static const char *const mode_names[] = {"enforce", "observe"};
static const char *const unit_names[] = {"request", "client", "client_once"};
static const char *const supersede_names[] = {"reject", "restart", "queue"};
static const char *const undecided_names[] = {"hold", "advance", "abort"};
static const char *const strategy_names[] = {"canary", "bluegreen"};

const char *spec_strategy_name(enum spec_strategy s)
{
    ASSERT((unsigned)s < SPEC_NSTRATEGIES);
    return strategy_names[s];
}

const char *spec_until_name(enum spec_until u)
{
    ASSERT((unsigned)u < SPEC_NUNTIL);
    return until_names[u];
}

const char *spec_mode_name(enum spec_mode m)
{
    ASSERT((unsigned)m < SPEC_NMODES);
    return mode_names[m];
}

const char *spec_unit_name(enum judge_unit u)
{
    ASSERT((unsigned)u < JUDGE_NUNITS);
    return unit_names[u];
}

const char *spec_undecided_name(enum spec_undecided u)
{
    ASSERT((unsigned)u < SPEC_NUNDECIDED);
    return undecided_names[u];
}

static const struct unit {
    const char *name;
    uint64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

bool spec_duration(const char *text, uint64_t *ms)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t n;

    if (!str_to_u64((struct str){text, digits}, SPEC_DURATION_MAX, &n))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        *ms = n * units[i].ms;
        return n <= SPEC_DURATION_MAX / units[i].ms;
    }
    return false;
}

const char *spec_duration_text(char buf[SPEC_DURATION_TEXT], uint64_t ms)
{
    size_t i = 0;

    while (ms % units[i].ms != 0 || (ms == 0 && units[i].ms > 1000))
        i++; /* zero is "0s" */
    snprintf(buf, SPEC_DURATION_TEXT, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
    return buf;
}

static int read_until(struct spec_reader *rd, const char *pointer, const json_t *v,
                      void *target)
{
    return spec_read_choice(rd, pointer, v, until_names, SPEC_NUNTIL, target);
}

static int read_mode(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    return spec_read_choice(rd, pointer, v, mode_names, SPEC_NMODES, target);
}

static int read_undecided(struct spec_reader *rd, const char *pointer, const json_t *v,
                          void *target)
{
    return spec_read_choice(rd, pointer, v, undecided_names, SPEC_NUNDECIDED, target);
}

static int read_strategy(struct spec_reader *rd, const char *pointer, const json_t *v,
                         void *target)
{
    return spec_read_choice(rd, pointer, v, strategy_names, SPEC_NSTRATEGIES, target);
}

static int read_supersede(struct spec_reader *rd, const char *pointer, const json_t *v,
                          void *target)
{
    return spec_read_choice(rd, pointer, v, supersede_names, SPEC_NSUPERSEDES, target);
}

static int read_unit(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    return spec_read_choice(rd, pointer, v, unit_names, JUDGE_NUNITS, target);
}

static int read_chance(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    return spec_read_number(rd, pointer, v, 1e-6, 0.5, target);
}

static int read_tolerance(struct spec_reader *rd, const char *pointer, const json_t *v,
                          void *target)
{
    return spec_read_number(rd, pointer, v, 1, 10, target);
}

static int read_max_error_rate(struct spec_reader *rd, const char *pointer, const json_t *v,
                               void *target)
{
    struct judge_config *judge = target;

    judge->ceiling = 1; /* an explicit limit is also one that aborts */
    return spec_read_number(rd, pointer, v, 1e-5, 0.9, &judge->max_error_rate);
}

static int read_judge(struct spec_reader *rd, const char *pointer, const json_t *v,
                      void *target)
{
    struct spec *s = target;
    const struct spec_field fields[] = {
        {"mode", read_mode, &s->mode},
        {"alpha", read_chance, &s->judge.alpha},
        {"certify", read_chance, &s->judge.certify},
        {"on_undecided", read_undecided, &s->on_undecided},
        {"tolerance", read_tolerance, &s->judge.tolerance},
        {"max_error_rate", read_max_error_rate, &s->judge},
        {"unit", read_unit, &s->judge.clients},
    };

    return spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields));
}

/* {"for": DURATION} */
static int read_for(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    const struct spec_field fields[] = {{"for", spec_read_duration, target}};

    return spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields));
}

/* 5, 0.5, 12.34: per cent in steps of 0.01. */
static int read_weight(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    double bp = json_number_value(v) * 100;
    uint32_t *out = target;

    if (!json_is_number(v) || !(bp >= 0.999 && bp <= 10000.001))
        return spec_fail(rd, pointer, "must be a number from 0.01 to 100");
    if (fabs(bp - round(bp)) > 1e-6)
        return spec_fail(rd, pointer, "has more than two decimals");
    *out = (uint32_t)round(bp);
    return 0;
}

static int read_hold(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    struct spec_step *step = target;
    const struct spec_field fields[] = {
        {"min", spec_read_duration, &step->min_ms},
        {"max", spec_read_duration, &step->max_ms},
        {"until", read_until, &step->until},
    };

    if (json_is_string(v)) {
        step->until = SPEC_TIME;
        step->max_ms = 0;
        return spec_read_duration(rd, pointer, v, &step->min_ms);
    }
    step->min_ms = 0;
    step->max_ms = 0;
    if (spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    if (step->max_ms > 0 && step->max_ms < step->min_ms)
        return spec_fail(rd, pointer, "max is shorter than min");
    if (step->until != SPEC_EVIDENCE && step->max_ms > 0)
        return spec_fail(rd, pointer, "max is for \"until\": \"evidence\"");
    return 0;
}

/* The weight that the steps so far lead to; 0: none yet. */
static uint32_t weight_so_far(const struct spec *s)
{
    return s->nsteps > 0 ? s->steps[s->nsteps - 1].weight : 0;
}

static int read_weight_step(struct spec_reader *rd, const char *pointer, const json_t *v)
{
    uint32_t before = weight_so_far(rd->out);
    struct spec_step step = {.until = SPEC_EVIDENCE, .min_ms = 30000, .max_ms = 900000};
    const struct spec_field fields[] = {
        {"weight", read_weight, &step.weight},
        {"hold", read_hold, &step},
    };
    char where[SPEC_POINTER_MAX];

    if (spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    spec_at(where, pointer, "weight");
    if (step.weight == 0)
        return spec_fail(rd, where, "is missing");
    if (step.weight <= before)
        return spec_fail(rd, where, "must be above the step before (%g)", before / 100.0);
    if (step.weight == 10000 && json_object_get(v, "hold")) {
        spec_at(where, pointer, "hold");
        return spec_fail(rd, where, "the last step has no hold; \"bake\" is the wait at 100");
    }
    if (step.weight == 10000)
        step = (struct spec_step){.weight = 10000, .until = SPEC_TIME};
    return spec_add_step(rd, pointer, step);
}

static int read_steps(struct spec_reader *rd, const char *pointer, const json_t *v,
                      void *target)
{
    char where[SPEC_POINTER_MAX], last[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);
    int rc = 0;

    (void)target;
    if (!json_is_array(v) || n < 1 || n > SPEC_STEPS)
        return spec_fail(rd, pointer, "must be an array of 1 to %d steps", SPEC_STEPS);
    for (size_t i = 0; i < n; i++) {
        const json_t *step = json_array_get(v, i);

        spec_at_index(where, pointer, i);
        if ((spec_is_task_step(step) ? spec_read_task_step(rd, where, step, SPEC_OF_STEPS)
                                     : read_weight_step(rd, where, step)) < 0)
            rc = -1;
    }
    spec_at(last, where, "weight");
    if (rc == 0 && weight_so_far(rd->out) != 10000)
        return spec_fail(rd, last, "the last step must have weight 100");
    return rc;
}

static const struct preset {
    const char *name;
    uint64_t min_ms, max_ms;
    uint32_t weights[6]; /* ends with 10000 */
} presets[] = {
    {"cautious", 300000, 3600000, {100, 500, 1000, 2500, 5000, 10000}},
    {"normal", 120000, 900000, {500, 2500, 5000, 10000}},
    {"fast", 30000, 300000, {1000, 5000, 10000}},
};

static int read_preset(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    const char *const names[] = {presets[0].name, presets[1].name, presets[2].name};
    unsigned which;

    (void)target;
    if (spec_read_choice(rd, pointer, v, names, ARRAY_LEN(names), &which) < 0)
        return -1;
    for (const uint32_t *w = presets[which].weights;; w++) {
        struct spec_step step = {.weight = *w,
                                 .until = *w == 10000 ? SPEC_TIME : SPEC_EVIDENCE,
                                 .min_ms = *w == 10000 ? 0 : presets[which].min_ms,
                                 .max_ms = *w == 10000 ? 0 : presets[which].max_ms};
        if (spec_add_step(rd, pointer, step) < 0)
            return -1;
        if (*w == 10000)
            return 0;
    }
}

/* Letters, digits and "-_.", not starting with a dot: fits a path, a label and a metric. */
static int read_version(struct spec_reader *rd, const char *pointer, const json_t *v,
                        void *target)
{
    const char *text = json_string_value(v);
    size_t n = text ? strlen(text) : 0;

    if (n < 1 || n > SPEC_NAME_MAX || text[0] == '.' ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != n)
        return spec_fail(rd, pointer,
                         "must be a name of 1 to %d letters, digits, '-', '_' or '.'",
                         SPEC_NAME_MAX);
    memcpy(target, text, n + 1);
    return 0;
}

static bool endpoint_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (strlen(text) >= SPEC_ENDPOINT_MAX || !colon || colon == text)
        return false;
    if (str_starts(str_of(text), STR("unix:/")))
        return true;
    return str_to_u64(str_of(colon + 1), 65535, &port) && port > 0;
}

static int read_endpoints(struct spec_reader *rd, const char *pointer, const json_t *v,
                          void *target)
{
    struct spec *s = target;
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);

    if (!json_is_array(v) || n < 1 || n > SPEC_ENDPOINTS)
        return spec_fail(rd, pointer, "must be an array of 1 to %d \"host:port\"",
                         SPEC_ENDPOINTS);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(v, i));

        spec_at_index(where, pointer, i);
        if (!text || !endpoint_valid(text))
            return spec_fail(rd, where, "must be \"host:port\"");
        for (uint32_t k = 0; k < s->nendpoints; k++)
            if (strcmp(s->endpoints[k], text) == 0)
                return spec_fail(rd, where, "is there twice");
        str_copy(s->endpoints[s->nendpoints++], SPEC_ENDPOINT_MAX, str_of(text));
    }
    return 0;
}

static int read_owners(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    char where[SPEC_POINTER_MAX];

    if (!json_is_array(v))
        return spec_fail(rd, pointer, "must be an array of names");
    for (size_t i = 0; i < json_array_size(v); i++) {
        spec_at_index(where, pointer, i);
        if (!json_is_string(json_array_get(v, i)))
            return spec_fail(rd, where, "must be a name");
    }
    return spec_keep_json(rd, pointer, v, target);
}

static int read_links(struct spec_reader *rd, const char *pointer, const json_t *v,
                      void *target)
{
    char where[SPEC_POINTER_MAX];
    const char *name;
    json_t *url;

    if (!json_is_object(v))
        return spec_fail(rd, pointer, "must be an object of names and URLs");
    json_object_foreach((json_t *)v, name, url)
    {
        spec_at(where, pointer, name);
        if (!json_is_string(url) || strncmp(json_string_value(url), "http", 4) != 0)
            return spec_fail(rd, where, "must be a URL, \"http://...\" or \"https://...\"");
    }
    return spec_keep_json(rd, pointer, v, target);
}

/* The smoke checks once more, at 100. */
static int repeat_smoke(struct spec_reader *rd)
{
    const struct spec *s = rd->out;

    for (uint32_t i = 0; i < s->nsteps && s->steps[i].weight == 0; i++)
        if (s->steps[i].list == SPEC_OF_SMOKE && spec_add_step(rd, "/smoke", s->steps[i]) < 0)
            return -1;
    return 0;
}

/* What follows from the fields that were read. */
static int complete(struct spec_reader *rd)
{
    struct spec *s = rd->out;
    uint32_t weights = 0;

    if (s->strategy == SPEC_BLUEGREEN && weight_so_far(s) == 0 &&
        spec_add_step(rd, "/strategy",
                      (struct spec_step){.weight = 10000, .until = SPEC_TIME}) < 0)
        return -1;
    if (weight_so_far(s) == 0)
        return spec_fail(rd, "/steps", "is missing; or \"preset\": \"normal\"");
    if (repeat_smoke(rd) < 0)
        return -1;
    for (uint32_t i = 0; i < s->nsteps; i++)
        weights += s->steps[i].kind == SPEC_WEIGHT;
    if (s->strategy == SPEC_BLUEGREEN && weights != 1)
        return spec_fail(rd, "/steps", "a blue-green rollout has one weight, 100");
    s->judge.epochs = weights < JUDGE_EPOCHS ? weights : JUDGE_EPOCHS;
    return 0;
}

/* A preset beside steps. */
static int read_preset_too(struct spec_reader *rd, const char *pointer, const json_t *v,
                           void *target)
{
    (void)target;
    (void)v;
    return spec_fail(rd, pointer, "stands for steps: give one of the two");
}

/* What must be there, whatever else is wrong. */
static void require(struct spec_reader *rd, const json_t *doc)
{
    if (!json_object_get(doc, "version"))
        (void)spec_fail(rd, "/version", "is missing");
    if (!json_object_get(doc, "steps") && !json_object_get(doc, "preset") &&
        rd->out->strategy != SPEC_BLUEGREEN)
        (void)spec_fail(rd, "/steps", "is missing; or \"preset\": \"normal\"");
}

int spec_read_all(const struct json_t *doc, struct spec *out, struct spec_errors *errs)
{
    bool both = json_object_get(doc, "preset") && json_object_get(doc, "steps");
    struct spec_reader rd = {out, errs};
    const struct spec_field fields[] = {
        {"version", read_version, out->version},
        {"endpoints", read_endpoints, out},
        {"strategy", read_strategy, &out->strategy},
        {"warmup", spec_read_duration, &out->warmup_ms},
        {"gates", spec_read_gates, NULL},
        {"smoke", spec_read_smoke, NULL},
        {"preset", both ? read_preset_too : read_preset, NULL},
        {"steps", read_steps, NULL},
        {"judge", read_judge, out},
        {"bake", read_for, &out->bake_ms},
        {"retain", read_for, &out->retain_ms},
        {"owners", read_owners, &out->owners},
        {"links", read_links, &out->links},
        {"supersede", read_supersede, &out->supersede},
        {"notify", spec_read_notify, &out->notify},
        {"escalation", spec_read_escalation, &out->escalation},
    };

    memset(out, 0, sizeof(*out));
    memset(errs, 0, sizeof(*errs));
    out->warmup_ms = 30000;
    out->retain_ms = 1800000;
    judge_defaults(&out->judge);
    out->judge.clients = JUDGE_CLIENT;
    if (spec_read_object(&rd, "", doc, fields, ARRAY_LEN(fields)) < 0 && !json_is_object(doc))
        return -1;
    require(&rd, doc);
    return errs->n ? -1 : complete(&rd);
}

int spec_read(const struct json_t *doc, struct spec *out, struct spec_error *err)
{
    struct spec_errors errs;
    int rc = spec_read_all(doc, out, &errs);

    *err = errs.v[0];
    return rc;
}

static json_t *duration_json(uint64_t ms)
{
    char buf[SPEC_DURATION_TEXT];

    return json_string(spec_duration_text(buf, ms));
}

static json_t *step_json(const struct spec *s, const struct spec_step *step)
{
    json_t *doc, *hold;

    if (step->kind != SPEC_WEIGHT)
        return spec_task_step_json(s, step);
    doc = json_pack("{s:f}", "weight", step->weight / 100.0);
    if (step->weight == 10000)
        return doc;
    hold = json_pack("{s:o}", "min", duration_json(step->min_ms));
    if (step->max_ms > 0)
        json_object_set_new(hold, "max", duration_json(step->max_ms));
    json_object_set_new(hold, "until", json_string(spec_until_name(step->until)));
    json_object_set_new(doc, "hold", hold);
    return doc;
}

/* Each step goes back into the list that it came from; repeated ones are there once. */
static void put_steps(json_t *doc, const struct spec *s)
{
    json_t *lists[] = {
        [SPEC_OF_STEPS] = json_array(),
        [SPEC_OF_GATES] = json_array(),
        [SPEC_OF_SMOKE] = json_array(),
    };

    for (uint32_t i = 0; i < s->nsteps; i++) {
        const struct spec_step *step = &s->steps[i];

        if (step->list == SPEC_OF_SMOKE && step->weight == 0)
            json_array_append_new(lists[SPEC_OF_SMOKE], spec_smoke_json(s, step));
        else if (step->list != SPEC_OF_SMOKE)
            json_array_append_new(lists[step->list], step_json(s, step));
    }
    json_object_set(doc, "steps", lists[SPEC_OF_STEPS]);
    if (json_array_size(lists[SPEC_OF_GATES]) > 0)
        json_object_set(doc, "gates", lists[SPEC_OF_GATES]);
    if (json_array_size(lists[SPEC_OF_SMOKE]) > 0)
        json_object_set(doc, "smoke", lists[SPEC_OF_SMOKE]);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        json_decref(lists[i]);
}

static json_t *judge_json(const struct spec *s)
{
    json_t *doc = json_pack("{s:s, s:f, s:f, s:s, s:f, s:s}", "mode", spec_mode_name(s->mode),
                            "alpha", s->judge.alpha, "certify", s->judge.certify,
                            "on_undecided", spec_undecided_name(s->on_undecided), "tolerance",
                            s->judge.tolerance, "unit", spec_unit_name(s->judge.clients));

    if (s->judge.ceiling)
        json_object_set_new(doc, "max_error_rate", json_real(s->judge.max_error_rate));
    return doc;
}

struct json_t *spec_write(const struct spec *s)
{
    json_t *doc =
        json_pack("{s:s, s:s, s:o}", "version", s->version, "strategy",
                  spec_strategy_name(s->strategy), "warmup", duration_json(s->warmup_ms));
    json_t *endpoints = json_array();

    for (uint32_t i = 0; i < s->nendpoints; i++)
        json_array_append_new(endpoints, json_string(s->endpoints[i]));
    put_steps(doc, s);
    if (s->nendpoints > 0)
        json_object_set(doc, "endpoints", endpoints);
    json_decref(endpoints);
    json_object_set_new(doc, "judge", judge_json(s));
    json_object_set_new(doc, "bake", json_pack("{s:o}", "for", duration_json(s->bake_ms)));
    json_object_set_new(doc, "retain", json_pack("{s:o}", "for", duration_json(s->retain_ms)));
    if (s->supersede != SPEC_REJECT)
        json_object_set_new(doc, "supersede", json_string(supersede_names[s->supersede]));
    spec_put_json(doc, "owners", s, s->owners);
    spec_put_json(doc, "links", s, s->links);
    spec_put_json(doc, "notify", s, s->notify);
    spec_put_json(doc, "escalation", s, s->escalation);
    return doc;
}

/*
 * spec.c - a rollout's specification, from JSON and back.
 *
 * Everything that is not known is an error: a misspelt safety setting must not be ignored. The
 * reader carries the JSON pointer along, so that every message says where. The first error
 * ends the reading.
 */
#include "control/rollout/spec.h"
#include "proxy/base/str.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct reader { /* where we are in the document */
    struct spec *out;
    struct spec_error *err;
};

static const char *const until_names[] = {"evidence", "time", "approval"};
static const char *const mode_names[] = {"enforce", "observe"};
static const char *const undecided_names[] = {"hold", "advance", "abort"};

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

static int PRINTF_LIKE(3, 4) fail(struct reader *rd, const char *pointer, const char *fmt, ...)
{
    va_list ap;

    snprintf(rd->err->pointer, sizeof(rd->err->pointer), "%s", pointer);
    va_start(ap, fmt);
    vsnprintf(rd->err->message, sizeof(rd->err->message), fmt, ap);
    va_end(ap);
    return -1;
}

typedef int field_fn(struct reader *rd, const char *pointer, const json_t *value, void *target);
struct field {
    const char *name;
    field_fn *read;
    void *target;
};

/* PARENT/NAME, cut to its room. */
static void at(char pointer[SPEC_POINTER_MAX], const char *parent, const char *name)
{
    size_t n = str_copy(pointer, SPEC_POINTER_MAX, str_of(parent));

    n += str_copy(pointer + n, SPEC_POINTER_MAX - n, STR("/"));
    str_copy(pointer + n, SPEC_POINTER_MAX - n, str_of(name));
}

/* Every member of OBJ must be one of FIELDS; those present are read, in the table's order. */
static int read_object(struct reader *rd, const char *pointer, const json_t *obj,
                       const struct field *fields, size_t n)
{
    char where[SPEC_POINTER_MAX];
    const char *key;
    json_t *value;

    if (!json_is_object(obj))
        return fail(rd, pointer, "must be an object");
    json_object_foreach((json_t *)obj, key, value)
    {
        size_t i = 0;

        while (i < n && strcmp(fields[i].name, key) != 0)
            i++;
        if (i < n)
            continue;
        at(where, pointer, key);
        return fail(rd, where, "unknown field");
    }
    for (size_t i = 0; i < n; i++) {
        if (!(value = json_object_get(obj, fields[i].name)))
            continue;
        at(where, pointer, fields[i].name);
        if (fields[i].read(rd, where, value, fields[i].target) < 0)
            return -1;
    }
    return 0;
}

static int read_duration(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    if (!json_is_string(v) || !spec_duration(json_string_value(v), target))
        return fail(rd, pointer, "must be a duration such as \"30s\", \"5m\" or \"2h\"");
    return 0;
}

/* One of NAMES; its index goes to *OUT. */
static int read_choice(struct reader *rd, const char *pointer, const json_t *v,
                       const char *const *names, size_t n, unsigned *out)
{
    char all[96] = "";

    for (size_t i = 0; i < n; i++) {
        if (json_is_string(v) && strcmp(json_string_value(v), names[i]) == 0) {
            *out = (unsigned)i;
            return 0;
        }
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s\"%s\"", i ? ", " : "",
                 names[i]);
    }
    return fail(rd, pointer, n > 1 ? "must be one of %s" : "must be %s", all);
}

static int read_until(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    unsigned got;

    if (read_choice(rd, pointer, v, until_names, SPEC_NUNTIL, &got) < 0)
        return -1;
    *(enum spec_until *)target = got;
    return 0;
}

static int read_mode(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    unsigned got;

    if (read_choice(rd, pointer, v, mode_names, SPEC_NMODES, &got) < 0)
        return -1;
    *(enum spec_mode *)target = got;
    return 0;
}

static int read_undecided(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    unsigned got;

    if (read_choice(rd, pointer, v, undecided_names, SPEC_NUNDECIDED, &got) < 0)
        return -1;
    *(enum spec_undecided *)target = got;
    return 0;
}

static int read_strategy(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    static const char *const names[] = {"canary"};
    unsigned got;

    (void)target;
    return read_choice(rd, pointer, v, names, ARRAY_LEN(names), &got);
}

static int read_unit(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    static const char *const names[] = {"request"};
    unsigned got;

    (void)target;
    return read_choice(rd, pointer, v, names, ARRAY_LEN(names), &got);
}

static int read_number(struct reader *rd, const char *pointer, const json_t *v, double min,
                       double max, double *out)
{
    double x = json_number_value(v);

    if (!json_is_number(v) || !(x >= min && x <= max))
        return fail(rd, pointer, "must be a number from %g to %g", min, max);
    *out = x;
    return 0;
}

static int read_chance(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    return read_number(rd, pointer, v, 1e-6, 0.5, target);
}

static int read_tolerance(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    return read_number(rd, pointer, v, 1, 10, target);
}

static int read_max_error_rate(struct reader *rd, const char *pointer, const json_t *v,
                               void *target)
{
    struct judge_config *judge = target;

    judge->ceiling = 1; /* an explicit limit is also one that aborts */
    return read_number(rd, pointer, v, 1e-5, 0.9, &judge->max_error_rate);
}

static int read_judge(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    struct spec *s = target;
    const struct field fields[] = {
        {"mode", read_mode, &s->mode},
        {"alpha", read_chance, &s->judge.alpha},
        {"certify", read_chance, &s->judge.certify},
        {"on_undecided", read_undecided, &s->on_undecided},
        {"tolerance", read_tolerance, &s->judge.tolerance},
        {"max_error_rate", read_max_error_rate, &s->judge},
        {"unit", read_unit, NULL},
    };

    return read_object(rd, pointer, v, fields, ARRAY_LEN(fields));
}

/* {"for": DURATION} */
static int read_for(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    const struct field fields[] = {{"for", read_duration, target}};

    return read_object(rd, pointer, v, fields, ARRAY_LEN(fields));
}

/* 5, 0.5, 12.34: per cent in steps of 0.01. */
static int read_weight(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    double bp = json_number_value(v) * 100;
    uint32_t *out = target;

    if (!json_is_number(v) || !(bp >= 0.999 && bp <= 10000.001))
        return fail(rd, pointer, "must be a number from 0.01 to 100");
    if (fabs(bp - round(bp)) > 1e-6)
        return fail(rd, pointer, "has more than two decimals");
    *out = (uint32_t)round(bp);
    return 0;
}

static int read_hold(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    struct spec_step *step = target;
    const struct field fields[] = {
        {"min", read_duration, &step->min_ms},
        {"max", read_duration, &step->max_ms},
        {"until", read_until, &step->until},
    };

    if (json_is_string(v)) {
        step->until = SPEC_TIME;
        step->max_ms = 0;
        return read_duration(rd, pointer, v, &step->min_ms);
    }
    step->min_ms = 0;
    step->max_ms = 0;
    if (read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    if (step->max_ms > 0 && step->max_ms < step->min_ms)
        return fail(rd, pointer, "max is shorter than min");
    if (step->until != SPEC_EVIDENCE && step->max_ms > 0)
        return fail(rd, pointer, "max is for \"until\": \"evidence\"");
    return 0;
}

static int read_step(struct reader *rd, const char *pointer, const json_t *v, bool last)
{
    struct spec *s = rd->out;
    struct spec_step *step = &s->steps[s->nsteps];
    uint32_t before = s->nsteps > 0 ? step[-1].weight : 0;
    const struct field fields[] = {
        {"weight", read_weight, &step->weight},
        {"hold", read_hold, step},
    };
    char where[SPEC_POINTER_MAX];

    *step = (struct spec_step){.until = SPEC_EVIDENCE, .min_ms = 30000, .max_ms = 900000};
    if (read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    at(where, pointer, "weight");
    if (step->weight == 0)
        return fail(rd, where, "is missing");
    if (step->weight <= before)
        return fail(rd, where, "must be above the step before (%g)", before / 100.0);
    if (last && step->weight != 10000)
        return fail(rd, where, "the last step must have weight 100");
    if (last && json_object_get(v, "hold")) {
        at(where, pointer, "hold");
        return fail(rd, where, "the last step has no hold; \"bake\" is the wait at 100");
    }
    if (last)
        *step = (struct spec_step){.weight = 10000, .until = SPEC_TIME};
    s->nsteps++;
    return 0;
}

static int read_steps(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX], index[24];
    size_t n = json_array_size(v);

    (void)target;
    if (!json_is_array(v) || n < 1 || n > SPEC_STEPS)
        return fail(rd, pointer, "must be an array of 1 to %d steps", SPEC_STEPS);
    for (size_t i = 0; i < n; i++) {
        snprintf(index, sizeof(index), "%zu", i);
        at(where, pointer, index);
        if (read_step(rd, where, json_array_get(v, i), i + 1 == n) < 0)
            return -1;
    }
    return 0;
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

static int read_preset(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *const names[] = {presets[0].name, presets[1].name, presets[2].name};
    struct spec *s = target;
    unsigned which;

    if (read_choice(rd, pointer, v, names, ARRAY_LEN(names), &which) < 0)
        return -1;
    do {
        s->steps[s->nsteps] = (struct spec_step){.weight = presets[which].weights[s->nsteps],
                                                 .until = SPEC_EVIDENCE,
                                                 .min_ms = presets[which].min_ms,
                                                 .max_ms = presets[which].max_ms};
    } while (s->steps[s->nsteps++].weight != 10000);
    s->steps[s->nsteps - 1] = (struct spec_step){.weight = 10000, .until = SPEC_TIME};
    return 0;
}

/* Letters, digits and "-_.", not starting with a dot: fits a path, a label and a metric. */
static int read_version(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *text = json_string_value(v);
    size_t n = text ? strlen(text) : 0;

    if (n < 1 || n > SPEC_NAME_MAX || text[0] == '.' ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != n)
        return fail(rd, pointer, "must be a name of 1 to %d letters, digits, '-', '_' or '.'",
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

static int read_endpoints(struct reader *rd, const char *pointer, const json_t *v, void *target)
{
    struct spec *s = target;
    char where[SPEC_POINTER_MAX], index[24];
    size_t n = json_array_size(v);

    if (!json_is_array(v) || n < 1 || n > SPEC_ENDPOINTS)
        return fail(rd, pointer, "must be an array of 1 to %d \"host:port\"", SPEC_ENDPOINTS);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(v, i));

        snprintf(index, sizeof(index), "%zu", i);
        at(where, pointer, index);
        if (!text || !endpoint_valid(text))
            return fail(rd, where, "must be \"host:port\"");
        for (uint32_t k = 0; k < s->nendpoints; k++)
            if (strcmp(s->endpoints[k], text) == 0)
                return fail(rd, where, "is there twice");
        str_copy(s->endpoints[s->nendpoints++], SPEC_ENDPOINT_MAX, str_of(text));
    }
    return 0;
}

int spec_read(const struct json_t *doc, struct spec *out, struct spec_error *err)
{
    struct reader rd = {out, err};
    const struct field fields[] = {
        {"version", read_version, out->version},
        {"endpoints", read_endpoints, out},
        {"strategy", read_strategy, NULL},
        {"warmup", read_duration, &out->warmup_ms},
        {"preset", read_preset, out},
        {"steps", read_steps, out},
        {"judge", read_judge, out},
        {"bake", read_for, &out->bake_ms},
        {"retain", read_for, &out->retain_ms},
    };

    memset(out, 0, sizeof(*out));
    memset(err, 0, sizeof(*err));
    out->warmup_ms = 30000;
    out->retain_ms = 1800000;
    judge_defaults(&out->judge);
    if (json_object_get(doc, "preset") && json_object_get(doc, "steps"))
        return fail(&rd, "/preset", "stands for steps: give one of the two");
    if (read_object(&rd, "", doc, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    if (out->version[0] == '\0')
        return fail(&rd, "/version", "is missing");
    if (out->nsteps == 0)
        return fail(&rd, "/steps", "is missing; or \"preset\": \"normal\"");
    out->judge.epochs = out->nsteps < JUDGE_EPOCHS ? out->nsteps : JUDGE_EPOCHS;
    return 0;
}

static json_t *duration_json(uint64_t ms)
{
    char buf[SPEC_DURATION_TEXT];

    return json_string(spec_duration_text(buf, ms));
}

static json_t *step_json(const struct spec_step *step, bool last)
{
    json_t *doc = json_pack("{s:f}", "weight", step->weight / 100.0), *hold;

    if (last)
        return doc;
    hold = json_pack("{s:o}", "min", duration_json(step->min_ms));
    if (step->max_ms > 0)
        json_object_set_new(hold, "max", duration_json(step->max_ms));
    json_object_set_new(hold, "until", json_string(spec_until_name(step->until)));
    json_object_set_new(doc, "hold", hold);
    return doc;
}

static json_t *judge_json(const struct spec *s)
{
    json_t *doc = json_pack("{s:s, s:f, s:f, s:s, s:f, s:s}", "mode", spec_mode_name(s->mode),
                            "alpha", s->judge.alpha, "certify", s->judge.certify,
                            "on_undecided", spec_undecided_name(s->on_undecided), "tolerance",
                            s->judge.tolerance, "unit", "request");

    if (s->judge.ceiling)
        json_object_set_new(doc, "max_error_rate", json_real(s->judge.max_error_rate));
    return doc;
}

struct json_t *spec_write(const struct spec *s)
{
    json_t *doc = json_pack("{s:s, s:s, s:o}", "version", s->version, "strategy", "canary",
                            "warmup", duration_json(s->warmup_ms));
    json_t *steps = json_array(), *endpoints = json_array();

    for (uint32_t i = 0; i < s->nsteps; i++)
        json_array_append_new(steps, step_json(&s->steps[i], i + 1 == s->nsteps));
    for (uint32_t i = 0; i < s->nendpoints; i++)
        json_array_append_new(endpoints, json_string(s->endpoints[i]));
    json_object_set_new(doc, "steps", steps);
    if (s->nendpoints > 0)
        json_object_set(doc, "endpoints", endpoints);
    json_decref(endpoints);
    json_object_set_new(doc, "judge", judge_json(s));
    json_object_set_new(doc, "bake", json_pack("{s:o}", "for", duration_json(s->bake_ms)));
    json_object_set_new(doc, "retain", json_pack("{s:o}", "for", duration_json(s->retain_ms)));
    return doc;
}

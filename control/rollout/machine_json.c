/*
 * machine_json.c - a rollout as the store keeps it.
 *
 * Numbers and flags are listed once, in the tables below; states and reasons go by their names,
 * so that a reader of the database understands it; the judge's evidence is hex.
 */
#include "control/rollout/machine_json.h"
#include "proxy/base/str.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1

#define NUMBERS(X)                                                                             \
    X(step)                                                                                    \
    X(weight)                                                                                  \
    X(index)                                                                                   \
    X(generation)                                                                              \
    X(mono_ms)                                                                                 \
    X(phase_ms)                                                                                \
    X(observed_ms)                                                                             \
    X(exposed_ms)                                                                              \
    X(down_ms)                                                                                 \
    X(created_ms)                                                                              \
    X(updated_ms)                                                                              \
    X(finished_ms)                                                                             \
    X(first_request_ms)                                                                        \
    X(step_n)                                                                                  \
    X(result.verdict_at_ms)                                                                    \
    X(result.reverted_at_ms)                                                                   \
    X(result.exposed)                                                                          \
    X(result.bad)                                                                              \
    X(result.last_request_ms)
#define FLAGS(X) X(applied) X(level) X(ready) X(skip) X(warned) X(failed) X(result.by_judge)
#define REALS(X) X(result.evalue) X(result.limit) X(result.excess)
#define TEXTS(X) X(id) X(service) X(stable) X(author) X(checked) X(result.reason)
#define ENUMS(X)                                                                               \
    X(state, ROLLOUT_NSTATES, rollout_state_name)                                              \
    X(back, ROLLOUT_NSTATES, rollout_state_name)                                               \
    X(reason, ROLLOUT_NREASONS, rollout_reason_name)                                           \
    X(check, ROLLOUT_NCHECKS, rollout_check_name)                                              \
    X(verdict, JUDGE_NVERDICTS, judge_verdict_name)                                            \
    X(result.outcome, ROLLOUT_NOUTCOMES, rollout_outcome_name)                                 \
    X(result.class, JUDGE_NCLASSES, judge_class_name)

static json_t *times_json(const uint64_t *ms, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer((json_int_t)ms[i]));
    return list;
}

static json_t *approvals_json(const struct rollout *r)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < r->napprovals; i++)
        json_array_append_new(list, json_string(r->approvals[i]));
    return list;
}

static json_t *judge_hex(const struct judge *j)
{
    unsigned char bytes[JUDGE_SAVED_MAX];
    char hex[2 * JUDGE_SAVED_MAX];
    size_t n = judge_save(j, bytes);

    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return json_stringn(hex, 2 * n);
}

struct json_t *rollout_write(const struct rollout *r)
{
    json_t *doc = json_pack("{s:i}", "format", FORMAT);
    const char *name;

#define X(field) json_object_set_new(doc, #field, json_integer((json_int_t)r->field));
    NUMBERS(X)
#undef X
#define X(field) json_object_set_new(doc, #field, json_boolean(r->field));
    FLAGS(X)
#undef X
#define X(field) json_object_set_new(doc, #field, json_real(r->field));
    REALS(X)
#undef X
#define X(field) json_object_set_new(doc, #field, json_string(r->field));
    TEXTS(X)
#undef X
#define X(field, count, to_name)                                                               \
    name = to_name(r->field);                                                                  \
    json_object_set_new(doc, #field, name ? json_string(name) : json_null());
    ENUMS(X)
#undef X
    json_object_set_new(doc, "step_started_ms", times_json(r->step_started_ms, r->spec.nsteps));
    json_object_set_new(doc, "step_ended_ms", times_json(r->step_ended_ms, r->spec.nsteps));
    json_object_set_new(doc, "approvals", approvals_json(r));
    json_object_set_new(doc, "spec", spec_write(&r->spec));
    json_object_set_new(doc, "judge", judge_hex(&r->judge));
    return doc;
}

static int fail(struct spec_error *err, const char *field, const char *message)
{
    snprintf(err->pointer, sizeof(err->pointer), "/%s", field);
    snprintf(err->message, sizeof(err->message), "%s", message);
    return -1;
}

/* The value below COUNT whose name DOC is; -1: none. Null is the value without a name. */
#define ENUM_OF(doc, count, to_name, out)                                                      \
    do {                                                                                       \
        const char *text_ = json_string_value(doc);                                            \
        (out) = -1;                                                                            \
        for (int i_ = 0; i_ < (int)(count); i_++) {                                            \
            const char *name_ = to_name(i_);                                                   \
            if (name_ && text_ ? strcmp(name_, text_) == 0                                     \
                               : !name_ && (doc) && json_is_null(doc))                         \
                (out) = i_;                                                                    \
        }                                                                                      \
    } while (0)

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int judge_unhex(const json_t *doc, struct judge *j)
{
    const char *hex = json_string_value(doc);
    unsigned char bytes[JUDGE_SAVED_MAX];
    size_t n = json_string_length(doc) / 2;

    if (!hex || n > sizeof(bytes) || json_string_length(doc) % 2 != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return -1;
        bytes[i] = (unsigned char)(hi << 4 | lo);
    }
    return judge_load(j, bytes, n);
}

static int times_read(const json_t *list, uint64_t *ms, uint32_t n)
{
    if (json_array_size(list) != n)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        ms[i] = (uint64_t)json_integer_value(json_array_get(list, i));
    return 0;
}

static int text_read(const json_t *doc, char *out, size_t cap)
{
    if (!json_is_string(doc) || json_string_length(doc) >= cap)
        return -1;
    str_copy(out, cap, (struct str){json_string_value(doc), json_string_length(doc)});
    return 0;
}

static int approvals_read(const json_t *list, struct rollout *r)
{
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n > SPEC_APPROVERS)
        return -1;
    for (; r->napprovals < n; r->napprovals++)
        if (text_read(json_array_get(list, r->napprovals), r->approvals[r->napprovals],
                      ROLLOUT_AUTHOR_MAX) < 0)
            return -1;
    return 0;
}

/* What the tables list; a missing one is damage. */
static int fields_read(const json_t *doc, struct rollout *r, struct spec_error *err)
{
    const json_t *v;
    int value;

#define X(field)                                                                               \
    if (!json_is_integer(v = json_object_get(doc, #field)))                                    \
        return fail(err, #field, "must be an integer");                                        \
    r->field = (__typeof__(r->field))json_integer_value(v);
    NUMBERS(X)
#undef X
#define X(field)                                                                               \
    if (!json_is_boolean(v = json_object_get(doc, #field)))                                    \
        return fail(err, #field, "must be true or false");                                     \
    r->field = json_is_true(v);
    FLAGS(X)
#undef X
#define X(field)                                                                               \
    if (!json_is_number(v = json_object_get(doc, #field)))                                     \
        return fail(err, #field, "must be a number");                                          \
    r->field = json_number_value(v);
    REALS(X)
#undef X
#define X(field)                                                                               \
    if (text_read(json_object_get(doc, #field), r->field, sizeof(r->field)) < 0)               \
        return fail(err, #field, "must be a text that fits");
    TEXTS(X)
#undef X
#define X(field, count, to_name)                                                               \
    v = json_object_get(doc, #field);                                                          \
    ENUM_OF(v, count, to_name, value);                                                         \
    if (value < 0)                                                                             \
        return fail(err, #field, "is not a known name");                                       \
    r->field = (__typeof__(r->field))value;
    ENUMS(X)
#undef X
    return 0;
}

int rollout_read(const struct json_t *doc, struct rollout *r, struct spec_error *err)
{
    memset(r, 0, sizeof(*r));
    if (json_integer_value(json_object_get(doc, "format")) != FORMAT)
        return fail(err, "format", "is not a rollout of this version");
    if (spec_read(json_object_get(doc, "spec"), &r->spec, err) < 0)
        return -1;
    if (fields_read(doc, r, err) < 0)
        return -1;
    if (r->step >= r->spec.nsteps || r->weight > 10000)
        return fail(err, "step", "is out of range");
    if (times_read(json_object_get(doc, "step_started_ms"), r->step_started_ms,
                   r->spec.nsteps) < 0 ||
        times_read(json_object_get(doc, "step_ended_ms"), r->step_ended_ms, r->spec.nsteps) < 0)
        return fail(err, "step_started_ms", "does not match the steps");
    if (approvals_read(json_object_get(doc, "approvals"), r) < 0)
        return fail(err, "approvals", "must be an array of names that fit");
    if (judge_unhex(json_object_get(doc, "judge"), &r->judge) < 0)
        return fail(err, "judge", "is damaged");
    return 0;
}

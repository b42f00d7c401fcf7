/* spec_task.c - checks and approvals of a specification, from JSON and back. */
#include "control/rollout/spec_task.h"
#include "control/rollout/expect.h"
#include "proxy/base/str.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 10000

static const char *const kind_names[SPEC_NKINDS] = {"weight", "smoke", "http", "approve"};
static const char *const failure_names[SPEC_NFAILURES] = {"hold", "abort"};

const char *spec_kind_name(enum spec_kind k)
{
    ASSERT((unsigned)k < SPEC_NKINDS);
    return kind_names[k];
}

/* --- fields --- */

static int read_name(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *text = json_string_value(v);
    size_t n = text ? strlen(text) : 0;

    if (n < 1 || n > SPEC_NAME_MAX)
        return spec_fail(rd, pointer, "must be a name of 1 to %d bytes", SPEC_NAME_MAX);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return spec_fail(rd, pointer, "has a control character");
    memcpy(target, text, n + 1);
    return 0;
}

/* No white space and no control characters: fits a request line. */
static bool is_word(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p <= ' ' || *p == 0x7f)
            return false;
    return *text != '\0';
}

static bool is_method(const char *text, size_t n)
{
    return n >= 1 && n <= 16 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= n;
}

static int read_method(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    const char *text = json_string_value(v);

    if (!text || !is_method(text, strlen(text)))
        return spec_fail(rd, pointer, "must be a method such as \"GET\"");
    return spec_keep(rd, pointer, text, target);
}

static int read_url(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *text = json_string_value(v);

    if (!text || !is_word(text) ||
        (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0))
        return spec_fail(rd, pointer, "must be a URL, \"http://...\" or \"https://...\"");
    return spec_keep(rd, pointer, text, target);
}

/* "GET /path": the task's method and url. */
static int read_request(struct spec_reader *rd, const char *pointer, const json_t *v,
                        void *target)
{
    struct spec_task *task = target;
    const char *text = json_string_value(v), *path = text ? strchr(text, ' ') : NULL;
    char method[17];

    if (!path || !is_method(text, (size_t)(path - text)) || path[1] != '/' ||
        !is_word(path + 1))
        return spec_fail(rd, pointer, "must be a method and a path: \"GET /health\"");
    str_copy(method, sizeof(method), (struct str){text, (size_t)(path - text)});
    if (spec_keep(rd, pointer, method, &task->method) < 0)
        return -1;
    return spec_keep(rd, pointer, path + 1, &task->url);
}

static int read_headers(struct spec_reader *rd, const char *pointer, const json_t *v,
                        void *target)
{
    char where[SPEC_POINTER_MAX];
    const char *name;
    json_t *value;

    if (!json_is_object(v))
        return spec_fail(rd, pointer, "must be an object of names and values");
    json_object_foreach((json_t *)v, name, value)
    {
        const char *text = json_string_value(value);

        spec_at(where, pointer, name);
        if (!is_word(name) || strpbrk(name, ":\"(),/;<=>?@[]{}\\"))
            return spec_fail(rd, where, "is not the name of a field");
        if (!text || strpbrk(text, "\r\n"))
            return spec_fail(rd, where, "must be a text of one line");
    }
    return spec_keep_json(rd, pointer, v, target);
}

/* A text is sent as it is, anything else as JSON. */
static int read_body(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    if (json_is_string(v))
        return spec_keep(rd, pointer, json_string_value(v), target);
    return spec_keep_json(rd, pointer, v, target);
}

static int read_expect(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    char field[64], why[EXPECT_WHY], where[SPEC_POINTER_MAX];

    if (expect_check(v, field, why) == 0)
        return spec_keep_json(rd, pointer, v, target);
    str_copy(where, sizeof(where), str_of(pointer));
    if (field[0])
        spec_at(where, pointer, field);
    return spec_fail(rd, where, "%s", why);
}

static int read_whole(struct spec_reader *rd, const char *pointer, const json_t *v,
                      uint32_t min, uint32_t max, uint32_t *out)
{
    json_int_t n = json_integer_value(v);

    if (!json_is_integer(v) || n < min || n > max)
        return spec_fail(rd, pointer, "must be a whole number from %u to %u", min, max);
    *out = (uint32_t)n;
    return 0;
}

static int read_retries(struct spec_reader *rd, const char *pointer, const json_t *v,
                        void *target)
{
    return read_whole(rd, pointer, v, 0, SPEC_RETRIES, target);
}

static int read_need(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    return read_whole(rd, pointer, v, 1, SPEC_APPROVERS, target);
}

static int read_failure(struct spec_reader *rd, const char *pointer, const json_t *v,
                        void *target)
{
    return spec_read_choice(rd, pointer, v, failure_names, SPEC_NFAILURES, target);
}

static int read_of(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];

    if (!json_is_array(v) || json_array_size(v) == 0)
        return spec_fail(rd, pointer, "must be an array of names");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *text = json_string_value(json_array_get(v, i));

        spec_at_index(where, pointer, i);
        if (!text || !is_word(text) || strpbrk(text, "\"\\") || strlen(text) > SPEC_NAME_MAX)
            return spec_fail(rd, where, "must be a user's name of 1 to %d bytes",
                             SPEC_NAME_MAX);
    }
    return spec_keep_json(rd, pointer, v, target);
}

/* --- tasks --- */

static int missing(struct spec_reader *rd, const char *pointer, const char *field)
{
    char where[SPEC_POINTER_MAX];

    spec_at(where, pointer, field);
    return spec_fail(rd, where, "is missing");
}

static int read_smoke_task(struct spec_reader *rd, const char *pointer, const json_t *v,
                           struct spec_task *task)
{
    const struct spec_field fields[] = {
        {"name", read_name, task->name},
        {"request", read_request, task},
        {"headers", read_headers, &task->headers},
        {"body", read_body, &task->body},
        {"expect", read_expect, &task->expect},
        {"timeout", spec_read_duration, &task->timeout_ms},
        {"retries", read_retries, &task->retries},
        {"on_failure", read_failure, &task->on_failure},
    };

    task->on_failure = SPEC_FAIL_ABORT;
    task->idempotent = true;
    if (spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    return task->url ? 0 : missing(rd, pointer, "request");
}

static int read_http_task(struct spec_reader *rd, const char *pointer, const json_t *v,
                          struct spec_task *task)
{
    const struct spec_field fields[] = {
        {"name", read_name, task->name},
        {"method", read_method, &task->method},
        {"url", read_url, &task->url},
        {"headers", read_headers, &task->headers},
        {"body", read_body, &task->body},
        {"expect", read_expect, &task->expect},
        {"timeout", spec_read_duration, &task->timeout_ms},
        {"retries", read_retries, &task->retries},
        {"idempotent", spec_read_flag, &task->idempotent},
        {"on_failure", read_failure, &task->on_failure},
    };

    if (!json_object_get(v, "method") && spec_keep(rd, pointer, "POST", &task->method) < 0)
        return -1;
    if (spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    if (!task->url)
        return missing(rd, pointer, "url");
    if (strcmp(spec_text(rd->out, task->method), "GET") == 0)
        task->idempotent = true;
    return 0;
}

static int read_approve_task(struct spec_reader *rd, const char *pointer, const json_t *v,
                             struct spec_task *task)
{
    const struct spec_field fields[] = {
        {"name", read_name, task->name},
        {"need", read_need, &task->need},
        {"of", read_of, &task->of},
        {"not_author", spec_read_flag, &task->not_author},
        {"expires", spec_read_duration, &task->expires_ms},
    };

    task->need = 1;
    return spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields));
}

static int add_task(struct spec_reader *rd, const char *pointer, const json_t *v,
                    enum spec_kind kind, uint32_t *index)
{
    static int (*const readers[SPEC_NKINDS])(struct spec_reader *, const char *, const json_t *,
                                             struct spec_task *) = {
        [SPEC_SMOKE] = read_smoke_task,
        [SPEC_HTTP] = read_http_task,
        [SPEC_APPROVE] = read_approve_task,
    };
    struct spec *s = rd->out;

    if (s->ntasks == SPEC_TASKS)
        return spec_fail(rd, pointer, "there are more than %d checks and approvals",
                         SPEC_TASKS);
    struct spec_task *task = &s->tasks[s->ntasks];
    task->timeout_ms = TIMEOUT_MS; /* the rest is zero, as everything in a new spec */
    if (readers[kind](rd, pointer, v, task) < 0)
        return -1;
    if (task->timeout_ms == 0)
        return spec_fail(rd, pointer, "timeout must be above 0");
    if (!task->name[0])
        snprintf(task->name, sizeof(task->name), "%s %u", kind_names[kind], s->ntasks + 1);
    *index = s->ntasks++;
    return 0;
}

int spec_add_step(struct spec_reader *rd, const char *pointer, struct spec_step step)
{
    struct spec *s = rd->out;

    if (s->nsteps == SPEC_STEPS)
        return spec_fail(rd, pointer, "there are more than %d steps, gates and smoke checks",
                         SPEC_STEPS);
    struct spec_step *to = &s->steps[s->nsteps]; /* field by field: its padding stays zero */
    to->kind = step.kind;
    to->list = step.list;
    to->task = step.task;
    to->weight = step.weight;
    to->until = step.until;
    to->min_ms = step.min_ms;
    to->max_ms = step.max_ms;
    if (step.kind != SPEC_WEIGHT)
        to->weight = s->nsteps ? to[-1].weight : 0;
    s->nsteps++;
    return 0;
}

bool spec_is_task_step(const json_t *v)
{
    for (int k = SPEC_WEIGHT + 1; k < SPEC_NKINDS; k++)
        if (json_object_get(v, kind_names[k]))
            return true;
    return false;
}

int spec_read_task_step(struct spec_reader *rd, const char *pointer, const json_t *v,
                        enum spec_list list)
{
    char where[SPEC_POINTER_MAX];
    struct spec_step step = {.list = list};

    if (!spec_is_task_step(v) || json_object_size(v) != 1)
        return spec_fail(rd, pointer,
                         "must have one field: \"smoke\", \"http\" or \"approve\"");
    for (int k = SPEC_WEIGHT + 1; k < SPEC_NKINDS; k++) {
        const json_t *body = json_object_get(v, kind_names[k]);

        if (!body)
            continue;
        step.kind = (enum spec_kind)k;
        spec_at(where, pointer, kind_names[k]);
        if (add_task(rd, where, body, step.kind, &step.task) < 0)
            return -1;
    }
    return spec_add_step(rd, pointer, step);
}

int spec_read_gates(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];
    int rc = 0;

    (void)target;
    if (!json_is_array(v))
        return spec_fail(rd, pointer, "must be an array");
    for (size_t i = 0; i < json_array_size(v); i++) {
        spec_at_index(where, pointer, i);
        if (spec_read_task_step(rd, where, json_array_get(v, i), SPEC_OF_GATES) < 0)
            rc = -1;
    }
    return rc;
}

int spec_read_smoke(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];
    int rc = 0;
    struct spec_step step = {.kind = SPEC_SMOKE, .list = SPEC_OF_SMOKE};

    (void)target;
    if (!json_is_array(v))
        return spec_fail(rd, pointer, "must be an array");
    for (size_t i = 0; i < json_array_size(v); i++) {
        spec_at_index(where, pointer, i);
        if (add_task(rd, where, json_array_get(v, i), SPEC_SMOKE, &step.task) < 0 ||
            spec_add_step(rd, where, step) < 0)
            rc = -1;
    }
    return rc;
}

/* --- and back --- */

static void put_duration(json_t *doc, const char *name, uint64_t ms)
{
    char text[SPEC_DURATION_TEXT];

    if (ms)
        json_object_set_new(doc, name, json_string(spec_duration_text(text, ms)));
}

static void put_request(json_t *doc, const struct spec *s, const struct spec_task *task)
{
    spec_put_json(doc, "headers", s, task->headers);
    if (task->body)
        json_object_set_new(doc, "body", json_string(spec_text(s, task->body)));
    spec_put_json(doc, "expect", s, task->expect);
    put_duration(doc, "timeout", task->timeout_ms);
    json_object_set_new(doc, "retries", json_integer(task->retries));
    json_object_set_new(doc, "on_failure", json_string(failure_names[task->on_failure]));
}

json_t *spec_smoke_json(const struct spec *s, const struct spec_step *step)
{
    const struct spec_task *task = &s->tasks[step->task];
    json_t *doc = json_pack("{s:s}", "name", task->name);

    json_object_set_new(
        doc, "request",
        json_sprintf("%s %s", spec_text(s, task->method), spec_text(s, task->url)));
    put_request(doc, s, task);
    return doc;
}

static json_t *http_json(const struct spec *s, const struct spec_task *task)
{
    json_t *doc =
        json_pack("{s:s,s:s,s:s,s:b}", "name", task->name, "url", spec_text(s, task->url),
                  "method", spec_text(s, task->method), "idempotent", task->idempotent);

    put_request(doc, s, task);
    return doc;
}

static json_t *approve_json(const struct spec *s, const struct spec_task *task)
{
    json_t *doc = json_pack("{s:s,s:i,s:b}", "name", task->name, "need", (int)task->need,
                            "not_author", task->not_author);

    spec_put_json(doc, "of", s, task->of);
    put_duration(doc, "expires", task->expires_ms);
    return doc;
}

json_t *spec_task_step_json(const struct spec *s, const struct spec_step *step)
{
    const struct spec_task *task = &s->tasks[step->task];
    json_t *body = step->kind == SPEC_SMOKE  ? spec_smoke_json(s, step)
                   : step->kind == SPEC_HTTP ? http_json(s, task)
                                             : approve_json(s, task);

    return json_pack("{s:o}", kind_names[step->kind], body);
}

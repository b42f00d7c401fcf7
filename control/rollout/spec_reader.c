/* spec_reader.c - tables of fields, pointers, messages. */
#include "control/rollout/spec_reader.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int spec_fail(struct spec_reader *rd, const char *pointer, const char *fmt, ...)
{
    struct spec_error *err = &rd->errs->v[rd->errs->n];
    va_list ap;

    if (rd->errs->n == SPEC_ERRORS)
        return -1;
    rd->errs->n++;
    snprintf(err->pointer, sizeof(err->pointer), "%s", pointer);
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    return -1;
}

void spec_at(char pointer[SPEC_POINTER_MAX], const char *parent, const char *name)
{
    size_t n = str_copy(pointer, SPEC_POINTER_MAX, str_of(parent));

    n += str_copy(pointer + n, SPEC_POINTER_MAX - n, STR("/"));
    str_copy(pointer + n, SPEC_POINTER_MAX - n, str_of(name));
}

void spec_at_index(char pointer[SPEC_POINTER_MAX], const char *parent, size_t index)
{
    char text[24];

    snprintf(text, sizeof(text), "%zu", index);
    spec_at(pointer, parent, text);
}

int spec_read_object(struct spec_reader *rd, const char *pointer, const json_t *obj,
                     const struct spec_field *fields, size_t n)
{
    char where[SPEC_POINTER_MAX];
    const char *key;
    json_t *value;
    int rc = 0;

    if (!json_is_object(obj))
        return spec_fail(rd, pointer, "must be an object");
    json_object_foreach((json_t *)obj, key, value)
    {
        size_t i = 0;

        while (i < n && strcmp(fields[i].name, key) != 0)
            i++;
        if (i < n)
            continue;
        spec_at(where, pointer, key);
        rc = spec_fail(rd, where, "unknown field");
    }
    for (size_t i = 0; i < n; i++) {
        if (!(value = json_object_get(obj, fields[i].name)))
            continue;
        spec_at(where, pointer, fields[i].name);
        if (fields[i].read(rd, where, value, fields[i].target) < 0)
            rc = -1;
    }
    return rc;
}

int spec_read_duration(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    if (!json_is_string(v) || !spec_duration(json_string_value(v), target))
        return spec_fail(rd, pointer, "must be a duration such as \"30s\", \"5m\" or \"2h\"");
    return 0;
}

int spec_read_flag(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    if (!json_is_boolean(v))
        return spec_fail(rd, pointer, "must be true or false");
    *(bool *)target = json_is_true(v);
    return 0;
}

int spec_read_choice(struct spec_reader *rd, const char *pointer, const json_t *v,
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
    return spec_fail(rd, pointer, n > 1 ? "must be one of %s" : "must be %s", all);
}

int spec_read_number(struct spec_reader *rd, const char *pointer, const json_t *v, double min,
                     double max, double *out)
{
    double x = json_number_value(v);

    if (!json_is_number(v) || !(x >= min && x <= max))
        return spec_fail(rd, pointer, "must be a number from %g to %g", min, max);
    *out = x;
    return 0;
}

int spec_keep(struct spec_reader *rd, const char *pointer, const char *text, uint32_t *offset)
{
    struct spec *s = rd->out;
    size_t n = strlen(text) + 1;

    if (n == 1) {
        *offset = 0;
        return 0;
    }
    if (s->text_used == 0)
        s->text_used = 1; /* offset 0 is the empty text */
    if (n > sizeof(s->text) - s->text_used)
        return spec_fail(rd, pointer, "the texts of this rollout need more than %zu bytes",
                         sizeof(s->text));
    memcpy(s->text + s->text_used, text, n);
    *offset = s->text_used;
    s->text_used += (uint32_t)n;
    return 0;
}

int spec_keep_json(struct spec_reader *rd, const char *pointer, const json_t *v,
                   uint32_t *offset)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    int rc = text ? spec_keep(rd, pointer, text, offset)
                  : spec_fail(rd, pointer, "cannot be written as JSON");

    xfree(text);
    return rc;
}

void spec_put_json(json_t *doc, const char *name, const struct spec *s, uint32_t offset)
{
    if (offset)
        json_object_set_new(doc, name, json_loads(spec_text(s, offset), 0, NULL));
}

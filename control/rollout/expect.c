/*
 * expect.c - comparing an answer with what was asked for.
 *
 * One table of members: each has a check of its form and a test of an answer. Patterns have a
 * bounded cost (proxy/base/regex.h); one that reaches its limit has not matched.
 */
#include "control/rollout/expect.h"
#include "control/rollout/spec.h"
#include "proxy/base/mem.h"
#include "proxy/base/regex.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

static bool PRINTF_LIKE(2, 3) no(char why[EXPECT_WHY], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, EXPECT_WHY, fmt, ap);
    va_end(ap);
    return false;
}

/* --- status --- */

/* "2xx" is 2; 0: not a class. */
static int class_of(const json_t *v)
{
    const char *s = json_string_value(v);

    return s && s[0] >= '1' && s[0] <= '5' && strcmp(s + 1, "xx") == 0 ? s[0] - '0' : 0;
}

static bool is_status(const json_t *v)
{
    json_int_t n = json_integer_value(v);

    return json_is_integer(v) ? n >= 100 && n <= 599 : class_of(v) > 0;
}

static bool status_form(const json_t *v, char why[EXPECT_WHY])
{
    bool good = json_is_array(v) ? json_array_size(v) > 0 : is_status(v);

    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++)
        good = good && is_status(json_array_get(v, i));
    return good || no(why, "must be a status (200), a class (\"2xx\") or a list of them");
}

static bool is_of(const json_t *v, int status)
{
    return json_is_integer(v) ? json_integer_value(v) == status : class_of(v) == status / 100;
}

static bool status_met(const json_t *v, const struct expect_answer *a, char why[EXPECT_WHY])
{
    if (!json_is_array(v) && is_of(v, a->status))
        return true;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (is_of(json_array_get(v, i), a->status))
            return true;
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    no(why, "status %d, not %.80s", a->status, text ? text : "?");
    xfree(text);
    return false;
}

/* --- patterns --- */

static struct regex *compile(const json_t *v, char why[EXPECT_WHY])
{
    struct regex_error e;
    struct regex *re;

    if (!json_is_string(v)) {
        no(why, "must be a regular expression");
        return NULL;
    }
    re = regex_new((struct str){json_string_value(v), json_string_length(v)}, &e);
    if (!re)
        no(why, "at %zu of the regular expression: %s", e.at, e.text);
    return re;
}

static bool pattern_form(const json_t *v, char why[EXPECT_WHY])
{
    struct regex *re = compile(v, why);

    regex_free(re);
    return re != NULL;
}

static bool matches(const json_t *v, struct str text)
{
    char why[EXPECT_WHY];
    struct regex *re = compile(v, why);
    bool yes = re && regex_match(re, text) == REGEX_YES;

    regex_free(re);
    return yes;
}

static bool body_met(const json_t *v, const struct expect_answer *a, char why[EXPECT_WHY])
{
    return matches(v, a->body) ||
           no(why, "the body does not match \"%.80s\": %.40s", json_string_value(v),
              a->body.n ? a->body.p : "it is empty");
}

static bool header_form(const json_t *v, char why[EXPECT_WHY])
{
    const char *name;
    json_t *pattern;

    if (!json_is_object(v))
        return no(why, "must be an object of names and regular expressions");
    json_object_foreach((json_t *)v, name,
                        pattern) if (!pattern_form(pattern, why)) return false;
    return true;
}

/* The value of the next line called NAME in *REST, which moves on. */
static bool next_value(struct str *rest, struct str name, struct str *value)
{
    while (rest->n > 0) {
        const char *end = memchr(rest->p, '\n', rest->n);
        struct str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
        *rest = str_skip(*rest, line.n + (end != NULL));
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n <= name.n || line.p[name.n] != ':' ||
            !str_ieq((struct str){line.p, name.n}, name))
            continue;
        *value = str_trim(str_skip(line, name.n + 1));
        return true;
    }
    return false;
}

static bool header_met(const json_t *v, const struct expect_answer *a, char why[EXPECT_WHY])
{
    const char *name;
    json_t *pattern;

    json_object_foreach((json_t *)v, name, pattern)
    {
        struct str rest = a->headers, value;
        bool found = false;

        while (!found && next_value(&rest, str_of(name), &value))
            found = matches(pattern, value);
        if (!found)
            return no(why, "no header %.40s matches \"%.60s\"", name,
                      json_string_value(pattern));
    }
    return true;
}

/* --- JSON --- */

/* The next part of *PATH: its name, or its index (*NAME empty). False: not a path. */
static bool next_part(const char **path, struct str *name, uint64_t *index)
{
    const char *p = *path;

    if (*p == '.') {
        *name = (struct str){p + 1, strcspn(p + 1, ".[")};
        *path = p + 1 + name->n;
        return name->n > 0;
    }
    if (*p != '[')
        return false;
    *name = STR_NONE;
    size_t digits = strcspn(p + 1, "]");
    *path = p + 1 + digits + 1;
    return p[1 + digits] == ']' && str_to_u64((struct str){p + 1, digits}, UINT32_MAX, index);
}

static bool is_path(const char *path)
{
    struct str name;
    uint64_t index;

    if (*path++ != '$')
        return false;
    while (*path)
        if (!next_part(&path, &name, &index))
            return false;
    return true;
}

static const json_t *value_at(const json_t *doc, const char *path)
{
    struct str name;
    uint64_t index;

    path++;
    while (doc && *path && next_part(&path, &name, &index))
        doc = name.n ? json_object_getn(doc, name.p, name.n) : json_array_get(doc, index);
    return doc;
}

static bool json_form(const json_t *v, char why[EXPECT_WHY])
{
    const char *path;
    json_t *want;

    if (!json_is_object(v))
        return no(why, "must be an object of paths and values");
    json_object_foreach((json_t *)v, path, want) if (!is_path(path)) return no(
        why, "\"%.60s\" is not a path such as \"$.items[0].id\"", path);
    return true;
}

static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static bool json_met(const json_t *v, const struct expect_answer *a, char why[EXPECT_WHY])
{
    json_t *doc = a->truncated ? NULL : json_loadb(a->body.p, a->body.n, JSON_DECODE_ANY, NULL);
    const char *path;
    json_t *want;
    bool good =
        doc || no(why, a->truncated ? "the body is too long for JSON" : "the body is not JSON");

    json_object_foreach((json_t *)v, path, want)
    {
        const json_t *got = good ? value_at(doc, path) : NULL;
        char *text;

        if (!good || (got && same(got, want)))
            continue;
        text = got ? json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        good = no(why, "%.60s is %.60s", path, text ? text : "not there");
        xfree(text);
    }
    json_decref(doc);
    return good;
}

/* --- time --- */

static bool within_form(const json_t *v, char why[EXPECT_WHY])
{
    uint64_t ms;

    return (json_is_string(v) && spec_duration(json_string_value(v), &ms) && ms > 0) ||
           no(why, "must be a duration such as \"800ms\"");
}

static bool within_met(const json_t *v, const struct expect_answer *a, char why[EXPECT_WHY])
{
    uint64_t ms = 0;

    spec_duration(json_string_value(v), &ms);
    return a->took_ms <= ms || no(why, "took %llu ms, not %s", (unsigned long long)a->took_ms,
                                  json_string_value(v));
}

static const struct member {
    const char *name;
    bool (*form)(const json_t *v, char why[EXPECT_WHY]);
    bool (*met)(const json_t *v, const struct expect_answer *a, char why[EXPECT_WHY]);
} members[] = {
    {"status", status_form, status_met}, {"header", header_form, header_met},
    {"body", pattern_form, body_met},    {"json", json_form, json_met},
    {"within", within_form, within_met},
};

int expect_check(const struct json_t *doc, char field[64], char why[EXPECT_WHY])
{
    const char *key;
    json_t *v;

    field[0] = '\0';
    if (!json_is_object(doc)) {
        no(why, "must be an object");
        return -1;
    }
    json_object_foreach((json_t *)doc, key, v)
    {
        size_t i = 0;

        while (i < ARRAY_LEN(members) && strcmp(members[i].name, key) != 0)
            i++;
        str_copy(field, 64, str_of(key));
        if (i == ARRAY_LEN(members))
            no(why, "unknown field");
        if (i == ARRAY_LEN(members) || !members[i].form(v, why))
            return -1;
    }
    return 0;
}

bool expect_met(const struct json_t *doc, const struct expect_answer *a, char why[EXPECT_WHY])
{
    if (!json_object_get(doc, "status") && a->status / 100 != 2)
        return no(why, "status %d, not 2xx", a->status);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const json_t *v = json_object_get(doc, members[i].name);

        if (v && !members[i].met(v, a, why))
            return false;
    }
    return true;
}

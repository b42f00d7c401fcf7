/* cmd_flag_tools.c - feature flags: review, try, publish many, look back. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/table.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <stdlib.h>

/* The JSON object in FILE ("-": stdin), or NULL and a complaint. */
static json_t *read_file(struct ctl *c, const char *file)
{
    json_error_t e = {0};
    json_t *j = strcmp(file, "-") == 0 ? json_loadf(stdin, 0, &e) : json_load_file(file, 0, &e);

    if (!j)
        ctl_complain(c, CTL_USAGE, "%s:%d:%d: %s", file, e.line, e.column, e.text);
    return j;
}

/* --context, or an empty object; NULL and a complaint. */
static json_t *read_context(struct ctl *c)
{
    const char *text = ctl_option(c, "--context");
    json_t *j = json_loads(text ? text : "{}", 0, NULL);

    if (json_is_object(j))
        return j;
    json_decref(j);
    ctl_complain(c, CTL_USAGE, "--context takes a JSON object");
    return NULL;
}

/* POST BODY (stolen) to the first argument's flag with VERB. */
static int post_flag(struct ctl *c, const char *verb, json_t *body, json_t **doc)
{
    char *key = ctl_path("/v1/flags/%s", c->args[0]), *path = xasprintf("%s%s", key, verb);
    int code = client_json(c, "POST", path, body, doc);

    xfree(path);
    xfree(key);
    json_decref(body);
    return code;
}

/* --- validate --- */

static void print_findings(struct ctl *c, const char *what, const json_t *list)
{
    const json_t *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        const char *code = ctl_text(row, "code");

        fprintf(c->out, "%s %s: %s%s%s%s\n", what, ctl_text(row, "flag"),
                ctl_text(row, "message"), code[0] ? " (" : "", code, code[0] ? ")" : "");
    }
}

int cmd_flag_validate(struct ctl *c)
{
    json_t *flags = read_file(c, c->args[0]), *doc;
    int code;

    if (!flags)
        return CTL_USAGE;
    code = client_json(c, "POST", "/v1/flags:validate", flags, &doc);
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK) {
        print_findings(c, "error", json_object_get(doc, "errors"));
        print_findings(c, "warning", json_object_get(doc, "warnings"));
    }
    if (code == CTL_OK && !json_is_true(json_object_get(doc, "valid")))
        code = CTL_FAILED;
    json_decref(flags);
    json_decref(doc);
    return code;
}

/* --- explain --- */

static void print_step(struct ctl *c, const json_t *s)
{
    char *value = json_dumps(json_object_get(s, "value"), JSON_ENCODE_ANY | JSON_COMPACT);
    const char *name = ctl_text(s, "name");

    fprintf(c->out, "%*s%s%s%s", 2 + 2 * (int)ctl_number(s, "depth"), "", ctl_text(s, "op"),
            name[0] ? " " : "", name);
    if (json_is_true(json_object_get(s, "each")))
        fputs("  (for each element)\n", c->out);
    else if (json_object_get(s, "hash"))
        fprintf(c->out, " = %s  (hash %.0f)\n", value ? value : "null", ctl_number(s, "hash"));
    else
        fprintf(c->out, " = %s\n", value ? value : "null");
    xfree(value);
}

static void print_explanation(struct ctl *c, const json_t *doc)
{
    const char *variant = ctl_text(doc, "variant"), *error = ctl_text(doc, "errorCode");
    const json_t *row;
    size_t i;

    fprintf(c->out, "%s: variant %s, reason %s%s%s, decided by %s\n", ctl_text(doc, "key"),
            variant[0] ? variant : "-", ctl_text(doc, "reason"), error[0] ? " " : "", error,
            ctl_text(doc, "decided_by"));
    json_array_foreach(json_object_get(doc, "needs"), i, row)
    {
        const char *not = ctl_text(row, "not");

        fprintf(c->out, "  needs %s%s%s, gets %s\n", ctl_text(row, "flag"),
                not [0] ? "!=" : "=", not [0] ? not : ctl_text(row, "wants"),
                ctl_text(row, "gets")[0] ? ctl_text(row, "gets") : "-");
    }
    json_array_foreach(json_object_get(doc, "steps"), i, row) print_step(c, row);
}

int cmd_flag_explain(struct ctl *c)
{
    json_t *context = read_context(c), *doc;
    int code;

    if (!context)
        return CTL_USAGE;
    code = post_flag(c, ":explain", json_pack("{s:o}", "context", context), &doc);
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        print_explanation(c, doc);
    json_decref(doc);
    return code;
}

/* --- simulate --- */

static void print_simulation(struct ctl *c, const json_t *doc)
{
    struct table *t = table_new("VARIANT|NOW|THEN");
    json_t *before = json_object_get(doc, "before"), *after = json_object_get(doc, "after");
    double users = ctl_number(doc, "users");
    json_t *all = json_copy(before), *n;
    const char *name;

    json_object_update_missing(all, after);
    json_object_foreach(all, name, n)
    {
        table_cell(t, "%s", name[0] ? name : "-");
        table_cell(t, "%.2f%%", 100 * ctl_number(before, name) / users);
        table_cell(t, "%.2f%%", 100 * ctl_number(after, name) / users);
    }
    table_print(t, c->out);
    fprintf(c->out, "%.2f%% of %.0f users move\n", 100 * ctl_number(doc, "moved") / users,
            users);
    json_decref(all);
}

int cmd_flag_simulate(struct ctl *c)
{
    const char *file = ctl_option(c, "-f"), *count = ctl_option(c, "--users");
    json_t *context, *body, *flag = NULL, *doc;
    uint64_t users = 10000;
    int code;

    if (count && !str_to_u64(str_of(count), UINT32_MAX, &users))
        return ctl_complain(c, CTL_USAGE, "--users takes a number, not \"%s\"", count);
    if (file && !(flag = read_file(c, file)))
        return CTL_USAGE;
    context = read_context(c);
    if (!context) {
        json_decref(flag);
        return CTL_USAGE;
    }
    body = json_pack("{s:o,s:I}", "context", context, "users", (json_int_t)users);
    if (flag)
        json_object_set_new(body, "flag", flag);
    code = post_flag(c, ":simulate", body, &doc);
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        print_simulation(c, doc);
    json_decref(doc);
    return code;
}

/* --- override --- */

int cmd_flag_override(struct ctl *c)
{
    const char *variant = ctl_option(c, "--variant"), *attr = ctl_option(c, "--attr");
    const char *list = ctl_option(c, "--values");
    json_t *values, *body, *doc;
    struct str rest;
    uint64_t ms = 0;
    int code;

    if (!variant || !list)
        return ctl_complain(c, CTL_USAGE, "flag override wants --variant and --values");
    if (!ctl_option_ms(c, "--for", &ms))
        return CTL_USAGE;
    values = json_array();
    for (rest = str_of(list); rest.n;) {
        struct str one = str_cut(&rest, ',');

        json_array_append_new(values, json_stringn(one.p, one.n));
    }
    body = json_pack("{s:s,s:{s:s,s:o}}", "variant", variant, "targets", "attr",
                     attr ? attr : "targetingKey", "values", values);
    if (ms)
        json_object_set_new(body, "until",
                            json_integer((json_int_t)((clock_wall_ms() + ms + 999) / 1000)));
    code = post_flag(c, ":override", body, &doc);
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        fputs("overridden\n", c->out);
    json_decref(doc);
    return code;
}

/* --- publish --- */

/* The version that the flags of a batch are for. */
static int list_tag(struct ctl *c, char *field, size_t cap)
{
    struct call get = {.path = "/v1/flags"};
    struct answer r;
    int code = CTL_OK;

    if (!client_call(c, &get, &r) || answer_exit(&r) != CTL_OK)
        code = answer_complain(c, &r);
    snprintf(field, cap, "If-Match: %s", r.etag);
    answer_release(&r);
    return code;
}

int cmd_flag_publish(struct ctl *c)
{
    json_t *doc = read_file(c, c->args[0]), *flags = json_object_get(doc, "flags");
    struct call call = {.method = "POST", .path = "/v1/flags:publish"};
    char field[160];
    struct answer r;
    int code;

    if (!doc)
        return CTL_USAGE;
    if (!json_is_object(flags)) {
        json_decref(doc);
        return ctl_complain(c, CTL_USAGE, "%s: \"flags\" must be an object", c->args[0]);
    }
    flags = json_pack("{s:O}", "flags", flags);
    code = list_tag(c, field, sizeof(field));
    call.body = flags;
    call.headers[0] = field;
    if (code == CTL_OK) {
        if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK)
            code = answer_complain(c, &r);
        else if (c->json && r.json)
            ctl_print_json(c, r.json);
        else
            fprintf(c->out, "%.0f flags published\n", ctl_number(r.json, "changed"));
        answer_release(&r);
    }
    json_decref(flags);
    json_decref(doc);
    return code;
}

/* --- log, export --- */

static void print_log(struct ctl *c, const json_t *list)
{
    const json_t *r;
    size_t i;

    json_array_foreach(list, i, r)
    {
        const char *why = ctl_text(r, "why");

        fprintf(c->out, "%s  %-16s %-14s %s%s%s\n", ctl_text(r, "ts"), ctl_text(r, "who"),
                ctl_text(r, "what"), ctl_text(r, "flag"), why[0] ? ": " : "", why);
    }
}

int cmd_flag_log(struct ctl *c)
{
    const char *since = ctl_option(c, "--since");
    char *path = ctl_path("/v1/flags:log?limit=1000&since=%s", since ? since : "0");
    json_t *doc;
    int code = client_json(c, "GET", path, NULL, &doc);

    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        print_log(c, json_object_get(doc, "log"));
    json_decref(doc);
    xfree(path);
    return code;
}

int cmd_flag_export(struct ctl *c)
{
    bool apply = ctl_option(c, "--apply-overrides") != NULL;
    json_t *doc;
    int code =
        client_json(c, "GET", apply ? "/v1/flags:export?apply_overrides=1" : "/v1/flags:export",
                    NULL, &doc);

    if (code == CTL_OK)
        ctl_print_json(c, doc);
    json_decref(doc);
    return code;
}

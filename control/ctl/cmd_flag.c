/* cmd_flag.c - feature flags: look, change, switch off, evaluate. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/flag_offline.h"
#include "control/ctl/table.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <stdlib.h>

static void print_flags(struct ctl *c, const json_t *doc)
{
    struct table *t = table_new("FLAG|STATE|DEFAULT|VARIANTS|OVERRIDE|QUARANTINE");
    const json_t *f, *v;
    size_t i, j;

    json_array_foreach(json_object_get(doc, "flags"), i, f)
    {
        const json_t *override = json_object_get(f, "override");
        char list[128];
        size_t n = 0;

        list[0] = '\0';
        json_array_foreach(json_object_get(f, "variants"), j, v) if (n < sizeof(list) - 1) n +=
            (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? "," : "",
                             json_string_value(v));
        table_cell(t, "%s", ctl_text(f, "key"));
        table_cell(t, "%s", ctl_text(f, "state"));
        table_cell(t, "%s", ctl_text(f, "defaultVariant"));
        table_cell(t, "%s", list);
        table_cell(t, "%s", json_is_object(override) ? ctl_text(override, "variant") : "-");
        table_cell(t, "%s", ctl_text(f, "quarantine"));
    }
    table_print(t, c->out);
    fprintf(c->out, "env %s, source %s, version %.0f\n", ctl_text(doc, "env"),
            ctl_text(doc, "source"), ctl_number(doc, "version"));
}

int cmd_flag_list(struct ctl *c)
{
    json_t *doc;
    int code = client_json(c, "GET", "/v1/flags", NULL, &doc);

    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        print_flags(c, doc);
    json_decref(doc);
    return code;
}

int cmd_flag_show(struct ctl *c)
{
    char *path = ctl_path("/v1/flags/%s", c->args[0]);
    json_t *doc;
    int code = client_json(c, "GET", path, NULL, &doc);

    if (code == CTL_OK) /* a definition is JSON for people, too */
        ctl_print_json(c, doc);
    json_decref(doc);
    xfree(path);
    return code;
}

/* --- set --- */

/* The definition that the line asks for, from a file or from what is there. NULL: complaint. */
static json_t *new_definition(struct ctl *c, const struct answer *now)
{
    const char *file = ctl_option(c, "-f"), *state = ctl_option(c, "--state"),
               *variant = ctl_option(c, "--default");
    json_error_t e = {0};
    json_t *flag;

    if (file) {
        flag = strcmp(file, "-") == 0 ? json_loadf(stdin, 0, &e) : json_load_file(file, 0, &e);
        if (!flag)
            ctl_complain(c, CTL_USAGE, "%s:%d:%d: %s", file, e.line, e.column, e.text);
    } else {
        flag = json_deep_copy(json_object_get(now->json, "flag"));
        if (!flag)
            ctl_complain(c, CTL_USAGE, "there is no flag %s: give its definition with -f",
                         c->args[0]);
    }
    if (flag && state)
        json_object_set_new(flag, "state", json_string(state));
    if (flag && variant)
        json_object_set_new(flag, "defaultVariant", json_string(variant));
    return flag;
}

static int put_flag(struct ctl *c, const char *path, const json_t *flag, const char *etag)
{
    struct call call = {.method = "PUT", .path = path, .body = flag};
    char field[160];
    struct answer r;
    int code = CTL_OK;

    snprintf(field, sizeof(field), etag[0] ? "If-Match: %s" : "If-None-Match: *%s", etag);
    call.headers[0] = field;
    if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK)
        code = answer_complain(c, &r);
    else if (c->json && r.json)
        ctl_print_json(c, r.json);
    else
        fprintf(c->out, "%s\n", r.status == 201 ? "created" : "changed");
    answer_release(&r);
    return code;
}

int cmd_flag_set(struct ctl *c)
{
    char *path = ctl_path("/v1/flags/%s", c->args[0]);
    struct call get = {.path = path};
    struct answer now;
    json_t *flag = NULL;
    int code = CTL_USAGE;

    if (!ctl_option(c, "-f") && !ctl_option(c, "--state") && !ctl_option(c, "--default"))
        code = ctl_complain(c, CTL_USAGE, "flag set wants -f, --state or --default");
    else if (!client_call(c, &get, &now) || (now.status != 200 && now.status != 404)) {
        code = answer_complain(c, &now);
        answer_release(&now);
    } else {
        flag = new_definition(c, &now);
        if (flag)
            code = put_flag(c, path, flag, now.status == 200 ? now.etag : "");
        answer_release(&now);
    }
    json_decref(flag);
    xfree(path);
    return code;
}

/* --- kill, restore, rm --- */

static int post(struct ctl *c, const char *verb, json_t *body, const char *done)
{
    char *key = ctl_path("/v1/flags/%s", c->args[0]), *path = xasprintf("%s%s", key, verb);
    json_t *doc;
    int code = client_json(c, body ? "POST" : "DELETE", path, body, &doc);

    if (code == CTL_OK && c->json && doc)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        fprintf(c->out, "%s\n", done);
    xfree(path);
    xfree(key);
    json_decref(body);
    json_decref(doc);
    return code;
}

/* Is there a variant "off" to kill with? */
static int find_off(struct ctl *c, bool *found)
{
    char *path = ctl_path("/v1/flags/%s", c->args[0]);
    json_t *doc;
    int code = client_json(c, "GET", path, NULL, &doc);

    *found = json_object_get(json_object_get(json_object_get(doc, "flag"), "variants"), "off");
    json_decref(doc);
    xfree(path);
    return code;
}

int cmd_flag_kill(struct ctl *c)
{
    const char *variant = ctl_option(c, "--variant");
    uint64_t ms = 0;
    json_t *body;
    bool off = false;
    int code;

    if (!ctl_option_ms(c, "--for", &ms))
        return CTL_USAGE;
    if (!variant && (code = find_off(c, &off)) != CTL_OK)
        return code;
    if (!variant && !off)
        return ctl_complain(c, CTL_USAGE, "%s has no variant \"off\": give --variant",
                            c->args[0]);
    body = json_pack("{s:s}", "variant", variant ? variant : "off");
    if (ms)
        json_object_set_new(body, "until",
                            json_integer((json_int_t)((clock_wall_ms() + ms + 999) / 1000)));
    return post(c, ":kill", body, "killed");
}

int cmd_flag_restore(struct ctl *c)
{
    return post(c, ":restore", json_object(), "restored");
}

int cmd_flag_rm(struct ctl *c)
{
    char *path = ctl_path("/v1/flags/%s", c->args[0]), field[160];
    struct call call = {.path = path};
    struct answer r;
    int code = CTL_OK;

    if (!ctl_confirm(c, "remove flag %s?", c->args[0])) {
        xfree(path);
        return ctl_complain(c, CTL_FAILED, "not removed");
    }
    if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK)
        code = answer_complain(c, &r);
    snprintf(field, sizeof(field), "If-Match: %s", r.etag);
    answer_release(&r);
    call.method = "DELETE";
    call.headers[0] = field;
    if (code == CTL_OK) {
        if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK)
            code = answer_complain(c, &r);
        else
            fputs("removed\n", c->out);
        answer_release(&r);
    }
    xfree(path);
    return code;
}

/* --- eval --- */

static int eval_offline(struct ctl *c)
{
    const char *now = ctl_option(c, "--now");
    uint64_t seconds = clock_wall_ms() / 1000;
    char *why = NULL;
    int code = CTL_OK;

    if (now && !str_to_u64(str_of(now), UINT64_MAX, &seconds))
        return ctl_complain(c, CTL_USAGE, "--now takes Unix seconds, not \"%s\"", now);
    if (flag_offline(ctl_option(c, "--flags"), ctl_option(c, "--contexts"), seconds, c->out,
                     &why) < 0)
        code = ctl_complain(c, CTL_FAILED, "%s", why);
    xfree(why);
    return code;
}

static void print_evaluation(struct ctl *c, const json_t *e)
{
    char *value = json_dumps(json_object_get(e, "value"), JSON_ENCODE_ANY | JSON_COMPACT);

    fprintf(c->out, "%s = %s  variant %s  reason %s%s%s\n", ctl_text(e, "key"),
            value ? value : "null", ctl_text(e, "variant")[0] ? ctl_text(e, "variant") : "-",
            ctl_text(e, "reason"), ctl_text(e, "errorCode")[0] ? "  error " : "",
            ctl_text(e, "errorCode"));
    xfree(value);
}

static int eval_online(struct ctl *c, json_t *context)
{
    char *path = c->nargs ? ctl_path("/ofrep/v1/evaluate/flags/%s", c->args[0])
                          : ctl_path("/ofrep/v1/evaluate/flags");
    json_t *body = json_pack("{s:o}", "context", context), *doc;
    const json_t *e;
    size_t i;
    int code = client_json(c, "POST", path, body, &doc);

    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK && c->nargs)
        print_evaluation(c, doc);
    else if (code == CTL_OK)
        json_array_foreach(json_object_get(doc, "flags"), i, e) print_evaluation(c, e);
    xfree(path);
    json_decref(body);
    json_decref(doc);
    return code;
}

int cmd_flag_eval(struct ctl *c)
{
    const char *text = ctl_option(c, "--context");
    json_error_t e;
    json_t *context;

    if (ctl_option(c, "--flags"))
        return eval_offline(c);
    context = json_loads(text ? text : "{}", 0, &e);
    if (!json_is_object(context)) {
        json_decref(context);
        return ctl_complain(c, CTL_USAGE, "--context takes a JSON object");
    }
    return eval_online(c, context);
}

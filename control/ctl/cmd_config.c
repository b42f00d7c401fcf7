/* cmd_config.c - the config file: checked and shown here, reloaded there. */
#include "config/conf.h"
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "proxy/base/mem.h"

/* Load PATH; complain about all of it. NULL: it is bad. */
static struct conf *load(struct ctl *c, const char *path)
{
    struct conf_diags d;
    struct conf *conf;
    struct arena a;
    struct str text;

    conf_diags_init(&d);
    conf = conf_load(path, &d);
    if (!conf || d.list.n) {
        arena_init(&a, NULL, 0);
        text = c->json ? conf_diags_json(&a, &d) : conf_diags_text(&a, &d);
        fprintf(c->json ? c->out : c->err, "%.*s", STR_ARG(text));
        arena_release(&a);
    }
    conf_diags_release(&d);
    return conf;
}

int cmd_config_check(struct ctl *c)
{
    struct conf *conf = load(c, c->args[0]);

    if (!conf)
        return CTL_BAD_CONFIG;
    if (!c->json)
        fprintf(c->out, "%s is good\n", c->args[0]);
    conf_free(conf);
    return CTL_OK;
}

int cmd_config_show(struct ctl *c)
{
    struct conf *conf;
    json_t *doc = NULL;
    const char *path = c->args[0];
    char *text;
    int code;

    if (c->nargs == 0) {
        code = client_json(c, "GET", "/v1/status", NULL, &doc);
        if (code != CTL_OK)
            return code;
        path = ctl_text(json_object_get(doc, "config"), "path");
    }
    conf = load(c, path);
    json_decref(doc);
    if (!conf)
        return CTL_BAD_CONFIG;
    text = conf_dump(conf, true);
    fprintf(c->out, "%s\n", text);
    xfree(text);
    conf_free(conf);
    return CTL_OK;
}

int cmd_config_schema(struct ctl *c)
{
    char *text = conf_schema();

    fprintf(c->out, "%s\n", text);
    xfree(text);
    return CTL_OK;
}

static void print_diagnostics(struct ctl *c, const json_t *list)
{
    const json_t *d;
    size_t i;

    json_array_foreach(list, i, d)
    {
        fprintf(c->err, "%s:%.0f:%.0f: ", ctl_text(d, "file"), ctl_number(d, "line"),
                ctl_number(d, "column"));
        if (ctl_text(d, "pointer")[0])
            fprintf(c->err, "%s: ", ctl_text(d, "pointer"));
        fprintf(c->err, "%s%s%s\n", ctl_text(d, "message"), ctl_text(d, "hint")[0] ? "; " : "",
                ctl_text(d, "hint"));
    }
}

int cmd_config_reload(struct ctl *c)
{
    json_t *body = json_object();
    struct call call = {.method = "POST", .path = "/v1/config:reload", .body = body};
    struct answer r;
    int code = CTL_OK;

    if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK) {
        print_diagnostics(c, json_object_get(r.json, "diagnostics"));
        code = answer_complain(c, &r);
    } else if (c->json) {
        ctl_print_json(c, r.json);
    } else {
        fprintf(c->out, "reloaded, revision %s\n", ctl_text(r.json, "revision"));
    }
    answer_release(&r);
    json_decref(body);
    return code;
}

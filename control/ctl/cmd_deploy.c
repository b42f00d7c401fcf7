/* cmd_deploy.c - start a rollout, and wait for it when asked. */
#include "config/jsonc.h"
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/show.h"
#include "control/ctl/show_plan.h"
#include "control/ctl/wait.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <stdlib.h>

#define FILE_MAX (1u << 20)

/* The rollout file as an object, or NULL after a complaint. */
static json_t *read_file(struct ctl *c, const char *path, int *code)
{
    struct source src = {.file = str_of(path)};
    struct conf_diags diags;
    struct arena a;
    json_t *doc = NULL;

    arena_init(&a, NULL, 0);
    conf_diags_init(&diags);
    if (sys_read_file(&a, path, FILE_MAX, &src.text) < 0)
        *code = ctl_complain(c, CTL_USAGE, "%s: %s", path, strerror(errno));
    else if (jsonc_parse(&a, &src, &diags))
        doc = json_loadb(src.plain.p, src.plain.n, JSON_DECODE_ANY, NULL);
    if (diags.list.n || (doc && !json_is_object(doc))) {
        struct str text = conf_diags_text(&a, &diags);

        fprintf(c->err, "%.*s", STR_ARG(text));
        *code = ctl_complain(c, CTL_USAGE, "%s is not a rollout file", path);
        json_decref(doc);
        doc = NULL;
    }
    conf_diags_release(&diags);
    arena_release(&a);
    return doc;
}

static json_t *hold_of(struct ctl *c)
{
    const char *hold = ctl_option(c, "--hold"), *until = ctl_option(c, "--until"),
               *max = ctl_option(c, "--max");
    json_t *h = json_pack("{s:s,s:s}", "min", hold ? hold : "1m", "until",
                          until ? until
                          : max ? "evidence"
                                : "time");

    if (max)
        json_object_set_new(h, "max", json_string(max));
    return h;
}

/* "5,25,50,100" -> steps. The last one is 100 and holds nothing. NULL: a bad word. */
static json_t *steps_of(struct ctl *c, const char *list)
{
    json_t *steps = json_array();
    const char *p = list;
    double w = 0;

    while (*p) {
        char *end;

        w = strtod(p, &end);
        if (end == p || (*end != ',' && *end != '\0' && *end != '%') || w <= 0 || w > 100) {
            json_decref(steps);
            return NULL;
        }
        json_array_append_new(steps,
                              w < 100 ? json_pack("{s:f,s:o}", "weight", w, "hold", hold_of(c))
                                      : json_pack("{s:i}", "weight", 100));
        p = *end == '%' ? end + 1 : end;
        p += *p == ',';
    }
    if (w < 100)
        json_array_append_new(steps, json_pack("{s:i}", "weight", 100));
    return steps;
}

static int add_options(struct ctl *c, json_t *body)
{
    static const char *const copied[][2] = {
        {"--version", "version"},
        {"--strategy", "strategy"},
        {"--warmup", "warmup"},
        {"--supersede", "supersede"},
    };
    const char *steps = ctl_option(c, "--steps"), *x;

    for (size_t i = 0; i < ARRAY_LEN(copied); i++)
        if ((x = ctl_option(c, copied[i][0])))
            json_object_set_new(body, copied[i][1], json_string(x));
    if (ctl_option(c, "--endpoint")) {
        json_t *list = json_array();

        for (int i = 0; (x = ctl_option_at(c, "--endpoint", i)); i++)
            json_array_append_new(list, json_string(x));
        json_object_set_new(body, "endpoints", list);
    }
    if (steps) {
        json_t *list = steps_of(c, steps);

        if (!list)
            return ctl_complain(c, CTL_USAGE, "--steps takes weights like 5,25,50,100");
        json_object_set_new(body, "steps", list);
    }
    if (!json_object_get(body, "version"))
        return ctl_complain(c, CTL_USAGE, "deploy wants --version");
    if (!json_object_get(body, "steps") && !json_object_get(body, "preset") &&
        strcmp(ctl_text(body, "strategy"), "bluegreen") != 0)
        return ctl_complain(c, CTL_USAGE,
                            "deploy wants --steps, --strategy bluegreen or a file (-f)");
    return CTL_OK;
}

/* The request that the line asks for. *CODE: why it is NULL. */
static json_t *body_of(struct ctl *c, int *code)
{
    const char *file = ctl_option(c, "-f");
    json_t *body;

    *code = CTL_OK;
    body = file ? read_file(c, file, code) : json_object();
    if (body && (*code = add_options(c, body)) != CTL_OK) {
        json_decref(body);
        body = NULL;
    }
    return body;
}

static int wait_for(struct ctl *c, const json_t *r, enum wait_mode mode, uint64_t timeout_ms)
{
    json_t *last;
    int code = wait_rollout(c, ctl_text(r, "id"), mode, timeout_ms, c->err, &last);

    if (last && c->json)
        ctl_print_json(c, last);
    else if (last && code != CTL_DETACHED)
        show_result(c->out, last);
    json_decref(last);
    return code;
}

int cmd_rollout_plan(struct ctl *c)
{
    int code;
    json_t *body = body_of(c, &code), *doc;

    if (!body)
        return code;
    char *path = ctl_path("/v1/services/%s/rollouts:plan", c->args[0]);
    code = client_json(c, "POST", path, body, &doc);
    xfree(path);
    json_decref(body);
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        show_plan(c->out, doc);
    json_decref(doc);
    return code;
}

int cmd_deploy(struct ctl *c)
{
    const char *wait = ctl_option(c, "--wait");
    bool dry = ctl_option(c, "--dry-run"), waits = wait && strcmp(wait, "none") != 0;
    enum wait_mode mode = WAIT_COMPLETE;
    uint64_t timeout_ms = 0;
    json_t *body, *doc;
    char *path;
    int code;

    if (!ctl_option_ms(c, "--timeout", &timeout_ms))
        return CTL_USAGE;
    if (waits && !wait_mode_parse(wait, &mode))
        return ctl_complain(c, CTL_USAGE, "--wait takes complete, paused or none");
    body = body_of(c, &code);
    if (!body)
        return code;
    path = ctl_path(dry ? "/v1/services/%s/rollouts?dry_run=1" : "/v1/services/%s/rollouts",
                    c->args[0]);
    code = client_json(c, "POST", path, body, &doc);
    xfree(path);
    json_decref(body);
    if (code != CTL_OK)
        return code;
    if (c->json && (dry || !waits))
        ctl_print_json(c, doc);
    else if (!dry && !waits)
        show_line(c->out, doc);
    else if (dry)
        show_plan(c->out, doc);
    code = dry ? CTL_CHANGES : waits ? wait_for(c, doc, mode, timeout_ms) : CTL_OK;
    json_decref(doc);
    return code;
}

/* cmd_rollout.c - look at rollouts, wait for them, decide about them. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/show.h"
#include "control/ctl/table.h"
#include "control/ctl/wait.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

/* One word; how an ended one ended is too long for a table. */
static const char *why_it_holds(const json_t *r)
{
    return !show_is_final(r) && ctl_text(r, "reason")[0] ? ctl_text(r, "reason") : "-";
}

int cmd_rollout_list(struct ctl *c)
{
    struct table *t;
    json_t *doc;
    const json_t *r;
    size_t i;
    int code = client_json(c, "GET", "/v1/rollouts", NULL, &doc);

    if (code != CTL_OK)
        return code;
    if (c->json) {
        ctl_print_json(c, doc);
        json_decref(doc);
        return CTL_OK;
    }
    t = table_new("ROLLOUT|SERVICE|VERSION|STABLE|STATE|REASON|STEP>|WEIGHT %>|CREATED");
    json_array_foreach(json_object_get(doc, "rollouts"), i, r)
    {
        table_cell(t, "%s", ctl_text(r, "id"));
        table_cell(t, "%s", ctl_text(r, "service"));
        table_cell(t, "%s", ctl_text(r, "version"));
        table_cell(t, "%s", ctl_text(r, "stable"));
        table_cell(t, "%s", ctl_text(r, "state"));
        table_cell(t, "%s", why_it_holds(r));
        table_cell(t, "%.0f/%zu", ctl_number(r, "step"),
                   json_array_size(json_object_get(r, "steps")));
        table_cell(t, "%g", ctl_number(json_object_get(r, "weight"), "set"));
        table_cell(t, "%s", ctl_text(r, "created"));
    }
    table_print(t, c->out);
    json_decref(doc);
    return CTL_OK;
}

static int get_rollout(struct ctl *c, json_t **doc)
{
    char *path = ctl_path("/v1/rollouts/%s", c->args[0]);
    int code = client_json(c, "GET", path, NULL, doc);

    xfree(path);
    return code;
}

int cmd_rollout_show(struct ctl *c)
{
    struct shown v = {.now_ms = clock_wall_ms(), .color = c->color};
    json_t *doc;
    int code = get_rollout(c, &doc);

    if (code != CTL_OK)
        return code;
    v.rollout = doc;
    if (c->json)
        ctl_print_json(c, doc);
    else
        show_rollout(c->out, &v);
    if (!c->json && show_is_final(doc))
        show_outcome(c->out, doc);
    json_decref(doc);
    return CTL_OK;
}

int cmd_rollout_watch(struct ctl *c)
{
    return wait_rollout(c, c->args[0], WAIT_FOLLOW, 0, c->out, NULL);
}

int cmd_rollout_wait(struct ctl *c)
{
    const char *what = ctl_option(c, "--for");
    enum wait_mode mode = WAIT_COMPLETE;
    uint64_t timeout_ms = 0;
    json_t *last;
    int code;

    if (what && !wait_mode_parse(what, &mode))
        return ctl_complain(c, CTL_USAGE, "--for takes complete or paused");
    if (!ctl_option_ms(c, "--timeout", &timeout_ms))
        return CTL_USAGE;
    code = wait_rollout(c, c->args[0], mode, timeout_ms, c->err, &last);
    if (last && c->json)
        ctl_print_json(c, last);
    else if (last && code != CTL_DETACHED)
        show_result(c->out, last);
    json_decref(last);
    return code;
}

static int decide(struct ctl *c, const char *verb)
{
    char *id = ctl_path("/v1/rollouts/%s", c->args[0]), *path = xasprintf("%s:%s", id, verb);
    json_t *body = json_object(), *doc;
    int code = client_json(c, "POST", path, body, &doc);

    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        show_line(c->out, doc);
    xfree(path);
    xfree(id);
    json_decref(body);
    json_decref(doc);
    return code;
}

int cmd_rollout_promote(struct ctl *c)
{
    return decide(c, "promote");
}

int cmd_rollout_pause(struct ctl *c)
{
    return decide(c, "pause");
}

int cmd_rollout_resume(struct ctl *c)
{
    return decide(c, "resume");
}

int cmd_rollout_abort(struct ctl *c)
{
    return decide(c, "abort");
}

int cmd_rollout_approve(struct ctl *c)
{
    return decide(c, "approve");
}

int cmd_rollout_retry(struct ctl *c)
{
    return decide(c, "retry");
}

static int print_report(struct ctl *c, const char *rollout)
{
    char *path = ctl_path("/v1/rollouts/%s/report", rollout);
    struct call call = {.path = path};
    struct answer r;
    int code = CTL_OK;

    call.headers[0] = c->json                    ? "Accept: application/json"
                      : ctl_option(c, "--junit") ? "Accept: application/xml"
                                                 : "Accept: text/markdown";
    if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK)
        code = answer_complain(c, &r);
    else
        fwrite(r.body, 1, r.n, c->out);
    answer_release(&r);
    xfree(path);
    return code;
}

int cmd_rollout_report(struct ctl *c)
{
    return print_report(c, c->args[0]);
}

int cmd_handover(struct ctl *c)
{
    char *path = c->nargs > 0 ? ctl_path("/v1/rollouts?service=%s", c->args[0])
                              : xasprintf("/v1/rollouts");
    const char *newest;
    json_t *doc;
    int code = client_json(c, "GET", path, NULL, &doc);

    xfree(path);
    if (code != CTL_OK)
        return code;
    newest = ctl_text(json_array_get(json_object_get(doc, "rollouts"), 0), "id");
    code = newest[0] ? print_report(c, newest)
                     : ctl_complain(c, CTL_FAILED, "there was no rollout yet");
    json_decref(doc);
    return code;
}

int cmd_rollout_decisions(struct ctl *c)
{
    char *path = ctl_path("/v1/rollouts/%s/decisions", c->args[0]);
    json_t *doc;
    const json_t *d;
    size_t i;
    int code = client_json(c, "GET", path, NULL, &doc);

    xfree(path);
    if (code != CTL_OK)
        return code;
    if (c->json)
        ctl_print_json(c, doc);
    json_array_foreach(json_object_get(doc, "decisions"), i, d) if (!c->json)
        fprintf(c->out, "%s %s %s e-value %.3g of %.3g: %s\n", ctl_text(d, "ts"),
                ctl_text(d, "verdict"), ctl_text(d, "class"), ctl_number(d, "evalue"),
                ctl_number(d, "limit"), ctl_text(d, "reason"));
    json_decref(doc);
    return CTL_OK;
}

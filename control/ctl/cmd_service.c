/* cmd_service.c - services, versions, endpoints, weights, undo. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/table.h"
#include "proxy/base/mem.h"

#include <stdlib.h>

/* Ask for PATH (taken over); then print it as JSON or by PRINT. */
static int get_and_print(struct ctl *c, char *path,
                         void (*print)(struct ctl *c, const json_t *doc))
{
    json_t *doc;
    int code = client_json(c, "GET", path, NULL, &doc);

    xfree(path);
    if (code != CTL_OK)
        return code;
    if (c->json)
        ctl_print_json(c, doc);
    else
        print(c, doc);
    json_decref(doc);
    return CTL_OK;
}

/* Change something at PATH (taken over) with BODY (stolen, may be NULL); say what came of it.
 */
static int change(struct ctl *c, const char *method, char *path, json_t *body, const char *done)
{
    json_t *doc;
    int code = client_json(c, method, path, body, &doc);

    xfree(path);
    json_decref(body);
    if (code == CTL_OK && c->json && doc)
        ctl_print_json(c, doc);
    else if (code == CTL_OK && !c->json)
        fprintf(c->out, "%s\n", done);
    json_decref(doc);
    return code;
}

/* --- services and versions --- */

static void actual_cell(struct table *t, const json_t *v)
{
    if (json_is_number(json_object_get(v, "actual")))
        table_cell(t, "%.2f", ctl_number(v, "actual"));
    else
        table_cell(t, "-");
}

static void print_services(struct ctl *c, const json_t *doc)
{
    struct table *t = table_new("SERVICE|HEALTH|BALANCE|ROLLOUT|VERSIONS");
    const json_t *s, *v;
    size_t i, j;

    json_array_foreach(json_object_get(doc, "services"), i, s)
    {
        char list[256];
        size_t n = 0;

        list[0] = '\0';
        json_array_foreach(json_object_get(s, "versions"), j, v) if (n < sizeof(list) - 1) n +=
            (size_t)snprintf(list + n, sizeof(list) - n, "%s%s=%g", n ? " " : "",
                             ctl_text(v, "name"), ctl_number(v, "weight"));
        table_cell(t, "%s", ctl_text(s, "name"));
        table_cell(t, "%s", ctl_text(s, "health"));
        table_cell(t, "%s", ctl_text(s, "balance"));
        table_cell(t, "%s", ctl_text(s, "rollout")[0] ? ctl_text(s, "rollout") : "-");
        table_cell(t, "%s", list);
    }
    table_print(t, c->out);
}

static void print_versions(struct ctl *c, const json_t *s)
{
    struct table *t = table_new("VERSION|SET %>|ACTUAL %>|FROM|ENDPOINTS>|UP>");
    const json_t *v, *e;
    size_t i, j;

    json_array_foreach(json_object_get(s, "versions"), i, v)
    {
        size_t up = 0;

        json_array_foreach(json_object_get(v, "endpoints"), j, e) up +=
            json_is_true(json_object_get(e, "up"));
        table_cell(t, "%s", ctl_text(v, "name"));
        table_cell(t, "%g", ctl_number(v, "weight"));
        actual_cell(t, v);
        table_cell(t, "%s", ctl_text(v, "origin"));
        table_cell(t, "%zu", json_array_size(json_object_get(v, "endpoints")));
        table_cell(t, "%zu", up);
    }
    table_print(t, c->out);
}

static void print_endpoints(struct ctl *c, const json_t *s)
{
    struct table *t = table_new("VERSION|ENDPOINT|NAME|UP|DRAIN|LAST ERROR");
    const json_t *v, *e;
    size_t i, j;

    json_array_foreach(json_object_get(s, "versions"), i, v)
    {
        if (c->nargs > 1 && strcmp(ctl_text(v, "name"), c->args[1]) != 0)
            continue;
        json_array_foreach(json_object_get(v, "endpoints"), j, e)
        {
            table_cell(t, "%s", ctl_text(v, "name"));
            table_cell(t, "%s", ctl_text(e, "address"));
            table_cell(t, "%s", ctl_text(e, "name"));
            table_cell(t, "%s", ctl_text(e, "up"));
            table_cell(t, "%s", ctl_text(e, "drain"));
            table_cell(t, "%s", ctl_text(e, "last_error"));
        }
    }
    table_print(t, c->out);
}

static void print_service(struct ctl *c, const json_t *s)
{
    fprintf(c->out, "%s is %s, balance %s", ctl_text(s, "name"), ctl_text(s, "health"),
            ctl_text(s, "balance"));
    if (ctl_text(s, "rollout")[0])
        fprintf(c->out, ", rollout %s", ctl_text(s, "rollout"));
    fputs("\n\n", c->out);
    print_versions(c, s);
    fputc('\n', c->out);
    print_endpoints(c, s);
}

int cmd_service_list(struct ctl *c)
{
    return get_and_print(c, ctl_path("/v1/services"), print_services);
}

int cmd_service_show(struct ctl *c)
{
    return get_and_print(c, ctl_path("/v1/services/%s", c->args[0]), print_service);
}

int cmd_version_list(struct ctl *c)
{
    return get_and_print(c, ctl_path("/v1/services/%s", c->args[0]), print_versions);
}

int cmd_endpoint_list(struct ctl *c)
{
    return get_and_print(c, ctl_path("/v1/services/%s", c->args[0]), print_endpoints);
}

int cmd_version_register(struct ctl *c)
{
    json_t *endpoints = json_array(), *labels = json_object();
    const char *x;

    for (int i = 0; (x = ctl_option_at(c, "--endpoint", i)); i++)
        json_array_append_new(endpoints, json_string(x));
    for (int i = 0; (x = ctl_option_at(c, "--label", i)); i++) {
        struct str value = str_of(x), name = str_cut(&value, '=');

        json_object_setn_new(labels, name.p, name.n, json_stringn(value.p, value.n));
    }
    return change(c, "PUT", ctl_path("/v1/services/%s/versions/%s", c->args[0], c->args[1]),
                  json_pack("{s:o,s:o}", "endpoints", endpoints, "labels", labels),
                  "registered");
}

int cmd_version_rm(struct ctl *c)
{
    if (!ctl_confirm(c, "remove version %s of %s?", c->args[1], c->args[0]))
        return ctl_complain(c, CTL_FAILED, "not removed");
    return change(c, "DELETE", ctl_path("/v1/services/%s/versions/%s", c->args[0], c->args[1]),
                  NULL, "removed");
}

/* --- endpoints --- */

static char *endpoint_path(struct ctl *c, const char *verb)
{
    char *path = ctl_path("/v1/services/%s/versions/%s/endpoints/%s", c->args[0], c->args[1],
                          c->args[2]),
         *all = xasprintf("%s%s", path, verb);

    xfree(path);
    return all;
}

int cmd_endpoint_add(struct ctl *c)
{
    return change(c, "PUT", endpoint_path(c, ""), json_object(), "added");
}

int cmd_endpoint_rm(struct ctl *c)
{
    if (!ctl_confirm(c, "remove endpoint %s of %s %s?", c->args[2], c->args[0], c->args[1]))
        return ctl_complain(c, CTL_FAILED, "not removed");
    return change(c, "DELETE", endpoint_path(c, ""), NULL, "removed");
}

int cmd_endpoint_drain(struct ctl *c)
{
    return change(c, "POST", endpoint_path(c, ":drain"), json_object(), "draining");
}

int cmd_endpoint_ready(struct ctl *c)
{
    return change(c, "POST", endpoint_path(c, ":ready"), json_object(), "ready");
}

/* --- weights --- */

static void print_weights(struct ctl *c, const json_t *doc)
{
    struct table *t = table_new("VERSION|WEIGHT %>");
    json_t *weights = json_object_get(doc, "weights");
    const json_t *w;
    const char *name;

    json_object_foreach(weights, name, w)
    {
        table_cell(t, "%s", name);
        table_cell(t, "%g", json_number_value(w));
    }
    table_print(t, c->out);
    fprintf(c->out, "from %s, generation %.0f\n", ctl_text(doc, "origin"),
            ctl_number(doc, "generation"));
}

int cmd_weights_get(struct ctl *c)
{
    return get_and_print(c, ctl_path("/v1/services/%s/weights", c->args[0]), print_weights);
}

/* "v1=90" into WEIGHTS. */
static bool add_weight(json_t *weights, const char *word)
{
    const char *eq = strrchr(word, '=');
    char *end;
    double w;

    if (!eq || eq == word || !eq[1])
        return false;
    w = strtod(eq + 1, &end);
    if (*end == '%')
        end++;
    if (*end || !(w >= 0 && w <= 100) || json_object_getn(weights, word, (size_t)(eq - word)))
        return false;
    return json_object_setn_new(weights, word, (size_t)(eq - word), json_real(w)) == 0;
}

int cmd_weights_set(struct ctl *c)
{
    json_t *weights = json_object(), *doc;
    char *path = ctl_path(ctl_option(c, "--override") ? "/v1/services/%s/weights?override=1"
                                                      : "/v1/services/%s/weights",
                          c->args[0]);
    int code = CTL_OK;

    for (int i = 1; i < c->nargs && code == CTL_OK; i++)
        if (!add_weight(weights, c->args[i]))
            code = ctl_complain(c, CTL_USAGE, "weights are VERSION=PERCENT, not \"%s\"",
                                c->args[i]);
    if (code == CTL_OK)
        code = client_json(c, "PUT", path, weights, &doc);
    else
        doc = NULL;
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        print_weights(c, doc);
    json_decref(weights);
    json_decref(doc);
    xfree(path);
    return code;
}

int cmd_undo(struct ctl *c)
{
    const char *to = ctl_option(c, "--to");
    json_t *body = json_object(), *doc;
    char *path = ctl_path("/v1/services/%s:undo", c->args[0]);
    int code;

    if (to)
        json_object_set_new(body, "to", json_string(to));
    code = client_json(c, "POST", path, body, &doc);
    if (code == CTL_OK && c->json)
        ctl_print_json(c, doc);
    else if (code == CTL_OK)
        print_weights(c, doc);
    xfree(path);
    json_decref(body);
    json_decref(doc);
    return code;
}

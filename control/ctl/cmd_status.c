/* cmd_status.c - status, version, top and stats. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/show.h"
#include "control/ctl/table.h"
#include "proxy/base/mem.h"

#include <poll.h>

/* --- status --- */

static void print_workers(FILE *out, const json_t *workers)
{
    struct table *t = table_new("WORKER>|STATE|PID>|GENERATION>|FLAGS>|RESTARTS>|REASON");
    const json_t *w;
    size_t i;

    json_array_foreach(workers, i, w)
    {
        table_cell(t, "%.0f", ctl_number(w, "slot"));
        table_cell(t, "%s", ctl_text(w, "state"));
        table_cell(t, "%.0f", ctl_number(w, "pid"));
        table_cell(t, "%.0f", ctl_number(w, "generation"));
        table_cell(t, "%.0f", ctl_number(w, "flags_sequence"));
        table_cell(t, "%.0f", ctl_number(w, "restarts"));
        table_cell(t, "%s", ctl_text(w, "reason"));
    }
    table_print(t, out);
}

static void weight_cell(struct table *t, const json_t *version)
{
    if (json_is_number(json_object_get(version, "actual")))
        table_cell(t, "%.2f", ctl_number(version, "actual"));
    else
        table_cell(t, "-");
}

static void print_services(FILE *out, const json_t *services)
{
    struct table *t = table_new("SERVICE|HEALTH|VERSION|SET %>|ACTUAL %>|FROM");
    const json_t *s, *v;
    const char *name;
    size_t i;

    json_array_foreach(services, i, s)
        json_object_foreach((json_t *)(uintptr_t)json_object_get(s, "weights"), name, v)
    {
        table_cell(t, "%s", ctl_text(s, "name"));
        table_cell(t, "%s", ctl_text(s, "health"));
        table_cell(t, "%s", name);
        table_cell(t, "%g", ctl_number(v, "set"));
        weight_cell(t, v);
        table_cell(t, "%s", ctl_text(v, "origin"));
    }
    table_print(t, out);
}

static void print_flags(FILE *out, const json_t *flags)
{
    char buf[32];

    if (!json_is_object(flags) || strcmp(ctl_text(flags, "source"), "none") == 0)
        return;
    fprintf(out, "\nflags: source %s, env %s, version %.0f, redis %s, confirmed %s ago\n",
            ctl_text(flags, "source"), ctl_text(flags, "env"), ctl_number(flags, "version"),
            ctl_text(flags, "redis"),
            show_duration(buf, (uint64_t)ctl_number(flags, "stale_ms")));
}

static void print_status(FILE *out, const json_t *doc)
{
    const json_t *config = json_object_get(doc, "config"), *x,
                 *controller = json_object_get(doc, "controller");
    char buf[32];
    size_t i;

    fprintf(out, "sluice %s, up %s, generation %.0f\nconfig %s, revision %s, loaded %s\n",
            ctl_text(doc, "version"),
            show_duration(buf, (uint64_t)ctl_number(doc, "uptime_ms")),
            ctl_number(doc, "generation"), ctl_text(config, "path"),
            ctl_text(config, "revision"), ctl_text(config, "loaded_at"));
    fprintf(out, "controller pid %.0f, %.0f restarts\n\n", ctl_number(controller, "pid"),
            ctl_number(controller, "restarts"));
    print_workers(out, json_object_get(doc, "workers"));
    fputc('\n', out);
    print_services(out, json_object_get(doc, "services"));
    json_array_foreach(json_object_get(doc, "rollouts"), i, x)
    {
        fputs(i ? "" : "\nrollouts:\n", out);
        fputs("  ", out);
        show_line(out, x);
    }
    print_flags(out, json_object_get(doc, "flags"));
    json_array_foreach(json_object_get(doc, "warnings"), i, x)
        fprintf(out, "%swarning: %s\n", i ? "" : "\n", json_string_value(x));
}

int cmd_status(struct ctl *c)
{
    json_t *doc;
    int code = client_json(c, "GET", "/v1/status", NULL, &doc);

    if (code != CTL_OK)
        return code;
    if (c->json)
        ctl_print_json(c, doc);
    else
        print_status(c->out, doc);
    json_decref(doc);
    return CTL_OK;
}

int cmd_version(struct ctl *c)
{
    const json_t *v;
    json_t *doc, *libraries;
    const char *name;
    int code = client_json(c, "GET", "/v1/version", NULL, &doc);

    if (code != CTL_OK) {
        fprintf(c->out, "sluicectl %s\n", SLUICE_VERSION);
        return code;
    }
    if (c->json) {
        ctl_print_json(c, doc);
    } else {
        fprintf(c->out, "sluice %s\nsluicectl %s\n", ctl_text(doc, "version"), SLUICE_VERSION);
        libraries = json_object_get(doc, "libraries");
        json_object_foreach(libraries, name, v)
            fprintf(c->out, "  %s %s\n", name, json_string_value(v));
    }
    json_decref(doc);
    return CTL_OK;
}

/* --- stats and top --- */

static void stats_row(struct table *t, const char *service, const char *version,
                      const json_t *s)
{
    table_cell(t, "%s", service);
    table_cell(t, "%s", version);
    table_cell(t, "%.1f", ctl_number(s, "rps"));
    table_cell(t, "%.2f", 100 * ctl_number(s, "error_ratio"));
    table_cell(t, "%.1f", ctl_number(s, "p50_ms"));
    table_cell(t, "%.1f", ctl_number(s, "p95_ms"));
    table_cell(t, "%.1f", ctl_number(s, "p99_ms"));
    table_cell(t, "%.0f", ctl_number(s, "in_flight"));
    table_cell(t, "%.0f", ctl_number(s, "requests"));
    table_cell(t, "%.0f", ctl_number(s, "errors"));
}

static void print_stats(FILE *out, const json_t *doc)
{
    struct table *t = table_new("SERVICE|VERSION|RPS>|ERRORS %>|P50 MS>|P95 MS>|P99 MS>|"
                                "IN FLIGHT>|REQUESTS>|ERRORS>");
    const json_t *s, *v;
    size_t i, j;

    json_array_foreach(json_object_get(doc, "services"), i, s)
    {
        stats_row(t, ctl_text(s, "name"), "", s);
        json_array_foreach(json_object_get(s, "versions"), j, v)
            stats_row(t, "", ctl_text(v, "name"), v);
    }
    table_print(t, out);
}

static int get_stats(struct ctl *c, const char *window, json_t **doc)
{
    char *path = ctl_path("/v1/stats?window=%s", window);
    int code = client_json(c, "GET", path, NULL, doc);

    xfree(path);
    return code;
}

int cmd_stats(struct ctl *c)
{
    const char *window = ctl_option(c, "--window");
    json_t *doc;
    int code = get_stats(c, window ? window : "60s", &doc);

    if (code != CTL_OK)
        return code;
    if (c->json)
        ctl_print_json(c, doc);
    else
        print_stats(c->out, doc);
    json_decref(doc);
    return CTL_OK;
}

static void print_rollouts(struct ctl *c, const json_t *stats)
{
    json_t *doc, *list;
    const json_t *r, *s;
    size_t i, j;

    if (client_json(c, "GET", "/v1/status", NULL, &doc) != CTL_OK)
        return;
    list = json_object_get(doc, "rollouts");
    json_array_foreach(list, i, r)
    {
        struct shown v = {.rollout = r, .color = c->color};

        v.now_ms =
            show_time_ms(ctl_text(doc, "started")) + (uint64_t)ctl_number(doc, "uptime_ms");
        json_array_foreach(json_object_get(stats, "services"), j,
                           s) if (strcmp(ctl_text(s, "name"), ctl_text(r, "service")) == 0)
            v.stats = s;
        fputc('\n', c->out);
        show_rollout(c->out, &v);
    }
    json_decref(doc);
}

int cmd_top(struct ctl *c)
{
    const char *window = ctl_option(c, "--window");
    uint64_t interval = 1000;
    json_t *doc;
    int code;

    if (!ctl_option_ms(c, "--interval", &interval))
        return CTL_USAGE;
    for (;;) {
        code = get_stats(c, window ? window : "5s", &doc);
        if (code != CTL_OK)
            return code;
        if (c->tty)
            fputs("\033[H\033[J", c->out);
        if (c->json) {
            ctl_print_json(c, doc);
        } else {
            print_stats(c->out, doc);
            print_rollouts(c, doc);
        }
        fflush(c->out);
        json_decref(doc);
        if (!c->tty)
            return CTL_OK;
        poll(NULL, 0, (int)interval);
    }
}

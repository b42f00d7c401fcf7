/* cmd_doctor.c - one look at everything that can be wrong. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"

#include <stdarg.h>

struct findings {
    struct ctl *c;
    json_t *list; /* owned by cmd_doctor; NULL: they are printed as they come */
    int bad;
};

PRINTF_LIKE(3, 4) static void note(struct findings *f, bool ok, const char *fmt, ...)
{
    va_list ap;

    char text[512];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    f->bad += !ok;
    if (f->list)
        json_array_append_new(f->list, json_pack("{s:b, s:s}", "ok", ok, "text", text));
    else
        fprintf(f->c->out, "%s%s\n", ok ? "ok   " : "BAD  ", text);
}

static void check_workers(struct findings *f, const json_t *doc)
{
    const json_t *workers = json_object_get(doc, "workers"), *w;
    double generation = ctl_number(doc, "generation");
    size_t i, up = 0, current = 0;

    json_array_foreach(workers, i, w)
    {
        bool is_up = strcmp(ctl_text(w, "state"), "up") == 0;

        up += is_up;
        current += ctl_number(w, "generation") == generation;
        if (!is_up)
            note(f, false, "worker %.0f is %s: %s", ctl_number(w, "slot"), ctl_text(w, "state"),
                 ctl_text(w, "reason"));
    }
    note(f, up > 0 && up == json_array_size(workers), "%zu of %zu workers are up", up,
         json_array_size(workers));
    note(f, current == json_array_size(workers), "%zu of %zu workers have generation %.0f",
         current, json_array_size(workers), generation);
}

static void check_services(struct findings *f, const json_t *doc)
{
    const json_t *s;
    size_t i;

    json_array_foreach(json_object_get(doc, "services"), i, s)
    {
        const char *health = ctl_text(s, "health");

        note(f, strcmp(health, "healthy") == 0 || strcmp(health, "unknown") == 0,
             "service %s is %s%s", ctl_text(s, "name"), health,
             strcmp(health, "unknown") == 0 ? " (no health checks)" : "");
    }
}

static void check_flags(struct findings *f, const json_t *flags)
{
    size_t quarantined = json_array_size(json_object_get(flags, "quarantined"));

    if (!json_is_object(flags))
        return;
    note(f, strcmp(ctl_text(flags, "redis"), "down") != 0, "redis is %s, flags come from %s",
         ctl_text(flags, "redis"), ctl_text(flags, "source"));
    note(f, quarantined == 0, "%zu flags in quarantine", quarantined);
}

static void check_all(struct findings *f, const json_t *doc)
{
    const json_t *x;
    size_t i;

    note(f, true, "sluice answers");
    note(f, strcmp(ctl_text(doc, "version"), SLUICE_VERSION) == 0,
         "sluice is %s, sluicectl is %s", ctl_text(doc, "version"), SLUICE_VERSION);
    check_workers(f, doc);
    check_services(f, doc);
    check_flags(f, json_object_get(doc, "flags"));
    json_array_foreach(json_object_get(doc, "rollouts"), i,
                       x) if (strcmp(ctl_text(x, "state"), "revert_stuck") == 0)
        note(f, false, "rollout %s cannot be reverted: %s", ctl_text(x, "id"),
             ctl_text(x, "reason"));
    json_array_foreach(json_object_get(doc, "warnings"), i, x)
        note(f, false, "%s", json_string_value(x));
}

int cmd_doctor(struct ctl *c)
{
    struct findings f = {.c = c};
    json_t *doc;
    int code = client_json(c, "GET", "/v1/status", NULL, &doc);

    if (code != CTL_OK)
        return code;
    f.list = c->json ? json_array() : NULL;
    check_all(&f, doc);
    json_decref(doc);
    if (f.list) {
        doc = json_pack("{s:b, s:o}", "ok", f.bad == 0, "findings", f.list);
        ctl_print_json(c, doc);
        json_decref(doc);
    }
    return f.bad ? CTL_FAILED : CTL_OK;
}

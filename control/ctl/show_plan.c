/* show_plan.c - steps, the least time, and which regression would be noticed when. */
#include "control/ctl/show_plan.h"
#include "control/ctl/ctl.h"

static void show_find(FILE *f, const char *what, const json_t *find)
{
    if (json_is_object(find))
        fprintf(f, "      %s after about %.0f requests, %s\n", what,
                ctl_number(find, "requests"), ctl_text(find, "after"));
    else
        fprintf(f, "      %s: not within this step\n", what);
}

static void show_power(FILE *f, const json_t *step)
{
    const json_t *d;
    size_t i;
    char what[96];

    show_find(f, "good enough is proved", json_object_get(step, "certificate"));
    json_array_foreach(json_object_get(step, "detects"), i, d)
    {
        snprintf(what, sizeof(what), "errors %.3g %% -> %.3g %% are found",
                 ctl_number(d, "errors_from") * 100, ctl_number(d, "errors_to") * 100);
        show_find(f, what, json_object_get(d, "found"));
    }
}

static void show_step(FILE *f, size_t i, const json_t *step, bool traffic)
{
    if (!json_object_get(step, "least")) {
        fprintf(f, "  %2zu  %s \"%s\"\n", i + 1, ctl_text(step, "kind"),
                ctl_text(step, "name"));
        return;
    }
    fprintf(f, "  %2zu  %g %%  at least %s", i + 1, ctl_number(step, "weight"),
            ctl_text(step, "least"));
    if (*ctl_text(step, "until"))
        fprintf(f, ", until %s", ctl_text(step, "until"));
    fprintf(f, "; %.1f requests a second\n", ctl_number(step, "canary_rps"));
    if (traffic && json_object_get(step, "detects"))
        show_power(f, step);
}

void show_plan(FILE *f, const json_t *plan)
{
    const json_t *t = json_object_get(plan, "traffic"), *step;
    bool traffic = ctl_number(t, "rps") > 0;
    size_t i;

    fprintf(f, "would roll %s out: %s from %s to %s, %s\n", ctl_text(plan, "version"),
            ctl_text(plan, "service"), ctl_text(plan, "stable"), ctl_text(plan, "version"),
            ctl_text(plan, "strategy"));
    fprintf(f, "traffic now: %.1f requests a second, %.3g %% errors%s\n", ctl_number(t, "rps"),
            ctl_number(t, "error_ratio") * 100,
            traffic ? "" : "; without traffic nothing can be judged");
    json_array_foreach(json_object_get(plan, "steps"), i, step) show_step(f, i, step, traffic);
    fprintf(f, "least time: %s; undo: sluicectl undo %s, for %s after its end\n",
            ctl_text(plan, "least"), ctl_text(plan, "service"), ctl_text(plan, "undo_for"));
}

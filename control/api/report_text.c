/* report_text.c - a report as Markdown and as JUnit XML. */
#include "control/api/report.h"
#include "proxy/base/mem.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *obj, const char *name)
{
    const char *s = json_string_value(json_object_get(obj, name));

    return s ? s : "-";
}

static double number_of(const json_t *obj, const char *name)
{
    return json_number_value(json_object_get(obj, name));
}

/* --- Markdown --- */

/* In a table's cell: a bar would end it, a line break the table. */
static void put_cell(FILE *f, const char *s)
{
    fputs(" ", f);
    for (; *s; s++)
        if (*s == '|')
            fputs("\\|", f);
        else
            fputc(*s == '\n' || *s == '\r' ? ' ' : *s, f);
    fputs(" |", f);
}

static void put_list(FILE *f, const json_t *list)
{
    const json_t *item;
    size_t i;

    if (json_array_size(list) == 0)
        fputs("- none\n", f);
    json_array_foreach(list, i, item) fprintf(f, "- %s\n", json_string_value(item));
}

static void put_method(FILE *f, const json_t *m)
{
    const json_t *step;
    size_t i;

    fprintf(f,
            "\n## Deployment Method\n\n- %s of %s, %s to %s, judge: %s\n- started %s\n- steps:",
            text_of(m, "strategy"), text_of(m, "service"), text_of(m, "from"), text_of(m, "to"),
            text_of(m, "judge"), text_of(m, "started"));
    json_array_foreach(json_object_get(m, "steps"), i, step)
        fprintf(f, "%s %s", i ? "," : "", json_string_value(step));
    fputc('\n', f);
}

static void put_result(FILE *f, const json_t *v)
{
    const json_t *result = json_object_get(v, "result");

    if (!json_is_object(result))
        return;
    fprintf(f, "\n## Result: %s\n\n", text_of(result, "verdict"));
    if (json_is_string(json_object_get(result, "class")))
        fprintf(f, "- judged by: %s, e-value %.4g of %.4g, excess %.3g points\n",
                text_of(result, "class"), number_of(result, "evalue"),
                number_of(result, "limit"), number_of(result, "excess") * 100);
    if (json_is_integer(json_object_get(result, "detected_ms")))
        fprintf(f, "- first request to verdict: %.1f s\n",
                number_of(result, "detected_ms") / 1000);
    fprintf(f, "- requests exposed to %s: %.0f, of which bad: %.0f\n", text_of(v, "version"),
            number_of(result, "exposed_requests"), number_of(result, "bad_requests"));
    if (json_is_real(json_object_get(result, "revert_ms")))
        fprintf(f, "- verdict to weight 0 on all workers: %.1f ms\n",
                number_of(result, "revert_ms"));
    if (json_is_integer(json_object_get(result, "last_request_ms")))
        fprintf(f, "- verdict to the last request begun on %s: %.0f ms\n",
                text_of(v, "version"), number_of(result, "last_request_ms"));
    if (json_is_string(json_object_get(result, "reason")))
        fprintf(f, "- reason: %s\n", text_of(result, "reason"));
}

static void put_steps(FILE *f, const json_t *steps)
{
    const json_t *s;
    size_t i;

    fputs("\n### Steps\n\n| step | kind | weight | state | started | ended |\n"
          "|---:|---|---:|---|---|---|\n",
          f);
    json_array_foreach(steps, i, s)
        fprintf(f, "| %zu | %s | %g %% | %s | %s | %s |\n", i + 1, text_of(s, "kind"),
                number_of(s, "weight"), text_of(s, "state"), text_of(s, "started"),
                text_of(s, "ended"));
}

static void put_rows(FILE *f, const json_t *list, const char *const *names, size_t n)
{
    const json_t *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        fputc('|', f);
        for (size_t k = 0; k < n; k++)
            put_cell(f, text_of(row, names[k]));
        fputc('\n', f);
    }
}

static void put_log(FILE *f, const json_t *log)
{
    static const char *const names[] = {"ts", "kind",     "message",
                                        "by", "evidence", "alternatives"};

    fputs("\n## Decision Log\n\n| when | kind | choice | by | what was known | instead |\n"
          "|---|---|---|---|---|---|\n",
          f);
    put_rows(f, log, names, ARRAY_LEN(names));
}

static void put_rollback(FILE *f, const json_t *r)
{
    fputs("\n## Rollback Instructions\n\n", f);
    if (json_is_true(json_object_get(r, "possible")))
        fprintf(f, "- `%s`: %s\n", text_of(r, "command"), text_of(r, "effect"));
    else if (json_is_string(json_object_get(r, "command")))
        fprintf(f, "- `%s` is no longer possible: the version before is not retained\n",
                text_of(r, "command"));
    else
        fprintf(f, "- %s\n", text_of(r, "effect"));
    if (json_is_string(json_object_get(r, "until")))
        fprintf(f, "- retained until %s\n", text_of(r, "until"));
}

static void put_next(FILE *f, const json_t *n)
{
    static const struct {
        const char *title, *name;
    } lists[] = {{"Environments completed", "completed"},
                 {"Outstanding", "outstanding"},
                 {"Issues", "issues"}};
    const json_t *step;
    size_t i;

    fputs("\n## Status for Next Session\n", f);
    for (i = 0; i < ARRAY_LEN(lists); i++) {
        fprintf(f, "\n### %s\n\n", lists[i].title);
        put_list(f, json_object_get(n, lists[i].name));
    }
    fputs("\n### Next steps\n\n", f);
    json_array_foreach(json_object_get(n, "next_steps"), i, step)
        fprintf(f, "- %s (guard: %s; owner: %s)\n", text_of(step, "do"), text_of(step, "guard"),
                text_of(step, "owner"));
}

char *report_markdown(const json_t *report)
{
    static const char *const checks[] = {"name", "kind", "result", "detail"};
    const json_t *v = json_object_get(report, "rollout"), *link;
    char *text = NULL;
    size_t n, i;
    FILE *f = open_memstream(&text, &n);

    ASSERT(f);
    fprintf(f, "# %s: %s, %s to %s\n\n- state: %s\n- started: %s by %s\n- ended: %s\n",
            text_of(v, "id"), text_of(v, "service"), text_of(v, "stable"),
            text_of(v, "version"), text_of(v, "state"), text_of(v, "created"),
            text_of(v, "author"), text_of(v, "finished"));
    put_result(f, v);
    put_method(f, json_object_get(report, "deployment_method"));
    put_steps(f, json_object_get(v, "steps"));
    fputs("\n## Infrastructure Changes\n\n", f);
    put_list(f, json_object_get(report, "infrastructure_changes"));
    fputs("\n## Configuration Updates\n\n", f);
    put_list(f, json_object_get(report, "configuration_updates"));
    fputs("\n## Validation Results\n\n| name | kind | result | detail |\n|---|---|---|---|\n",
          f);
    put_rows(f, json_object_get(report, "validation_results"), checks, ARRAY_LEN(checks));
    put_rollback(f, json_object_get(report, "rollback_instructions"));
    fputs("\n## Monitoring Links\n\n", f);
    json_array_foreach(json_object_get(report, "monitoring_links"), i, link)
        fprintf(f, "- %s: %s\n", text_of(link, "name"), text_of(link, "url"));
    put_log(f, json_object_get(report, "decision_log"));
    put_next(f, json_object_get(report, "next_session"));
    fclose(f);
    return text;
}

/* --- JUnit --- */

/* In an attribute: no markup, and no characters that XML 1.0 does not have. */
static void put_xml(FILE *f, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '&')
            fputs("&amp;", f);
        else if (c == '<')
            fputs("&lt;", f);
        else if (c == '>')
            fputs("&gt;", f);
        else if (c == '"')
            fputs("&quot;", f);
        else
            fputc(c < ' ' || c == 0x7f ? ' ' : c, f);
    }
}

static void put_case(FILE *f, const json_t *row)
{
    const char *result = text_of(row, "result");

    fputs("  <testcase classname=\"", f);
    put_xml(f, text_of(row, "kind"));
    fputs("\" name=\"", f);
    put_xml(f, text_of(row, "name"));
    fputs("\">", f);
    if (strcmp(result, "passed") != 0) {
        fprintf(f, "<%s message=\"", strcmp(result, "failed") == 0 ? "failure" : "skipped");
        put_xml(f, strcmp(result, "failed") == 0 ? text_of(row, "detail") : result);
        fputs("\"/>", f);
    }
    fputs("</testcase>\n", f);
}

char *report_junit(const json_t *report)
{
    const json_t *v = json_object_get(report, "rollout"),
                 *result = json_object_get(v, "result"),
                 *list = json_object_get(report, "validation_results"), *row;
    const char *verdict = text_of(result, "verdict");
    unsigned failed = 0, skipped = 0;
    char *text = NULL;
    size_t n, i;
    FILE *f = open_memstream(&text, &n);
    json_t *whole =
        json_pack("{s:s,s:s,s:s,s:s}", "name", text_of(v, "id"), "kind", "rollout", "result",
                  !json_is_object(result)             ? "running"
                  : strcmp(verdict, "succeeded") == 0 ? "passed"
                                                      : "failed",
                  "detail", text_of(result, "reason"));

    ASSERT(f);
    json_array_foreach(list, i, row)
    {
        failed += strcmp(text_of(row, "result"), "failed") == 0;
        skipped += strcmp(text_of(row, "result"), "failed") != 0 &&
                   strcmp(text_of(row, "result"), "passed") != 0;
    }
    failed += strcmp(text_of(whole, "result"), "failed") == 0;
    skipped += strcmp(text_of(whole, "result"), "running") == 0;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"", f);
    put_xml(f, text_of(v, "service"));
    fputs(" ", f);
    put_xml(f, text_of(v, "version"));
    fprintf(f, "\" tests=\"%zu\" failures=\"%u\" skipped=\"%u\">\n", json_array_size(list) + 1,
            failed, skipped);
    put_case(f, whole);
    json_array_foreach(list, i, row) put_case(f, row);
    fputs("</testsuite>\n", f);
    fclose(f);
    json_decref(whole);
    return text;
}

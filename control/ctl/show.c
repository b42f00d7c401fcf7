/* show.c - a rollout for people. Pure. */
#include "control/ctl/show.h"

#include "config/conf.h"
#include "control/ctl/table.h"
#include "proxy/base/mem.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define BAR 40

/* --- small things --- */

uint64_t show_time_ms(const char *s)
{
    struct tm tm = {0};
    const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
    uint64_t ms = 0;

    if (!rest)
        return 0;
    if (*rest == '.')
        for (int i = 0, scale = 100; i < 3 && rest[1 + i] >= '0' && rest[1 + i] <= '9'; i++) {
            ms += (uint64_t)((rest[1 + i] - '0') * scale);
            scale /= 10;
        }
    return (uint64_t)timegm(&tm) * 1000 + ms;
}

const char *show_duration(char buf[32], uint64_t ms)
{
    unsigned long long s = ms / 1000;

    if (ms < 1000)
        snprintf(buf, 32, "%llums", (unsigned long long)ms);
    else if (ms < 10000)
        snprintf(buf, 32, "%.1fs", (double)ms / 1000);
    else if (s < 60)
        snprintf(buf, 32, "%llus", s);
    else if (s < 3600)
        snprintf(buf, 32, "%llum%02llus", s / 60, s % 60);
    else
        snprintf(buf, 32, "%lluh%02llum", s / 3600, s / 60 % 60);
    return buf;
}

const char *show_count(char buf[16], double n)
{
    if (n < 10000)
        snprintf(buf, 16, "%.0f", n);
    else if (n < 1e6)
        snprintf(buf, 16, "%.1fk", n / 1e3);
    else
        snprintf(buf, 16, "%.1fM", n / 1e6);
    return buf;
}

static bool is_any(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

bool show_is_final(const json_t *r)
{
    static const char *const finals[] = {"succeeded",  "reverted", "rolled_back",
                                         "superseded", "rejected", NULL};

    return is_any(ctl_text(r, "state"), finals);
}

int show_exit(const json_t *r, bool waits)
{
    static const char *const for_a_person[] = {"manual",       "approval",     "undecided",
                                               "check_failed", "hook_unknown", NULL};
    const char *state = ctl_text(r, "state");

    if (strcmp(state, "succeeded") == 0)
        return CTL_OK;
    if (strcmp(state, "reverted") == 0)
        return strcmp(ctl_text(json_object_get(r, "result"), "verdict"), "aborted") == 0
                   ? CTL_ABORTED
                   : CTL_ROLLED_BACK;
    if (strcmp(state, "rolled_back") == 0 || strcmp(state, "superseded") == 0)
        return CTL_ABORTED;
    if (strcmp(state, "rejected") == 0)
        return CTL_FAILED;
    if (waits && strcmp(state, "holding") == 0 && is_any(ctl_text(r, "reason"), for_a_person))
        return CTL_DECISION;
    return -1;
}

/* --- one line --- */

void show_line(FILE *out, const json_t *r)
{
    const json_t *weight = json_object_get(r, "weight"), *judge = json_object_get(r, "judge");
    const char *reason = ctl_text(r, "reason"), *verdict = ctl_text(judge, "verdict");

    fprintf(out, "%s %s %s -> %s %s", ctl_text(r, "id"), ctl_text(r, "service"),
            ctl_text(r, "stable"), ctl_text(r, "version"), ctl_text(r, "state"));
    if (reason[0])
        fprintf(out, " (%s)", reason);
    if (!show_is_final(r) && ctl_number(r, "step") > 0)
        fprintf(out, " step %.0f/%zu", ctl_number(r, "step"),
                json_array_size(json_object_get(r, "steps")));
    fprintf(out, " weight %g %%", ctl_number(weight, "set"));
    if (verdict[0] && strcmp(verdict, "undecided") != 0)
        fprintf(out, " judge %s", verdict);
    fputc('\n', out);
}

char *show_key(const json_t *r)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    ASSERT(f);
    show_line(f, r);
    fclose(f);
    return text;
}

/* --- the result --- */

static void put_class(FILE *out, const json_t *k)
{
    const json_t *s = json_object_get(k, "stable"), *c = json_object_get(k, "canary");
    double sn = ctl_number(s, "n"), cn = ctl_number(c, "n");

    fprintf(out,
            "  %s: stable %.2f %% of %.0f, canary %.2f %% of %.0f, e-value %.3g of %.3g: %s\n",
            ctl_text(k, "class"), sn > 0 ? 100 * ctl_number(s, "bad") / sn : 0, sn,
            cn > 0 ? 100 * ctl_number(c, "bad") / cn : 0, cn, ctl_number(k, "evalue"),
            ctl_number(k, "limit"), ctl_text(k, "verdict"));
}

void show_outcome(FILE *out, const json_t *r)
{
    const json_t *result = json_object_get(r, "result");
    const char *reason = ctl_text(result, "reason");
    char buf[32];

    if (!json_is_object(result))
        return;
    if (reason[0] && strcmp(reason, ctl_text(r, "reason")) != 0)
        fprintf(out, "  %s\n", reason);
    fputs("  ", out);
    if (json_is_number(json_object_get(result, "detected_ms")) && show_exit(r, false) > 0)
        fprintf(out, "detected after %s, ",
                show_duration(buf, (uint64_t)ctl_number(result, "detected_ms")));
    fprintf(out, "%.0f requests exposed, %.0f bad", ctl_number(result, "exposed_requests"),
            ctl_number(result, "bad_requests"));
    if (json_is_number(json_object_get(result, "revert_ms")))
        fprintf(out, ", off on all workers %.0f ms after the verdict",
                ctl_number(result, "revert_ms"));
    fputc('\n', out);
}

void show_result(FILE *out, const json_t *r)
{
    uint64_t created = show_time_ms(ctl_text(r, "created")),
             finished = show_time_ms(ctl_text(r, "finished"));
    const json_t *k;
    char buf[32];
    size_t i;

    show_line(out, r);
    if (finished > created && created)
        fprintf(out, "  took %s\n", show_duration(buf, finished - created));
    json_array_foreach(json_object_get(json_object_get(r, "judge"), "classes"), i,
                       k) if (ctl_number(json_object_get(k, "canary"), "n") > 0)
        put_class(out, k);
    show_outcome(out, r);
}

/* --- the live view --- */

static const char *paint(const struct shown *v, const char *code)
{
    return v->color ? code : "";
}

static const char *state_color(const json_t *r)
{
    int code = show_exit(r, true);

    if (code == CTL_OK)
        return "\033[1;32m";
    if (code == -1)
        return "\033[1;36m";
    return code == CTL_DECISION ? "\033[1;33m" : "\033[1;31m";
}

static void put_head(FILE *out, const struct shown *v)
{
    const json_t *r = v->rollout;
    const char *reason = ctl_text(r, "reason"), *p;
    uint64_t created = show_time_ms(ctl_text(r, "created")),
             finished = show_time_ms(ctl_text(r, "finished")),
             end = finished ? finished : v->now_ms;
    char buf[32];

    fprintf(out, "%s  %s  %s  %s → %s    %s", ctl_text(r, "service"), ctl_text(r, "id"),
            ctl_text(r, "strategy"), ctl_text(r, "stable"), ctl_text(r, "version"),
            paint(v, state_color(r)));
    for (p = ctl_text(r, "state"); *p; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, out);
    fputs(paint(v, "\033[0m"), out);
    if (reason[0])
        fprintf(out, " (%s)", reason);
    if (ctl_number(r, "step") > 0)
        fprintf(out, "  step %.0f/%zu", ctl_number(r, "step"),
                json_array_size(json_object_get(r, "steps")));
    if (created && end > created)
        fprintf(out, "  elapsed %s", show_duration(buf, end - created));
    fputc('\n', out);
}

static const json_t *find_named(const json_t *list, const char *name)
{
    const json_t *x;
    size_t i;

    json_array_foreach(list, i, x) if (strcmp(ctl_text(x, "name"), name) == 0) return x;
    return NULL;
}

/* SHARE in per cent; WIDTH: of the widest name. */
static void put_bar(FILE *out, const struct shown *v, const char *name, size_t width,
                    double share, const char *color)
{
    const json_t *stats = find_named(json_object_get(v->stats, "versions"), name);
    int full = (int)lround(share * BAR / 100);

    fprintf(out, "%s%*s %s", name, (int)(width - text_width(name)), "", paint(v, color));
    for (int i = 0; i < BAR; i++)
        fputs(i < full ? "█" : "░", out);
    fprintf(out, "%s %6.2f %%", paint(v, "\033[0m"), share);
    if (stats)
        fprintf(out, "  %8.1f rps", ctl_number(stats, "rps"));
}

static void put_traffic(FILE *out, const struct shown *v)
{
    const json_t *r = v->rollout, *weight = json_object_get(r, "weight");
    const char *stable = ctl_text(r, "stable"), *canary = ctl_text(r, "version");
    size_t a = text_width(stable), b = text_width(canary), width = a > b ? a : b;
    double set = ctl_number(weight, "set");

    fputs("traffic  ", out);
    put_bar(out, v, stable, width, 100 - set, "\033[34m");
    fputs("\n         ", out);
    put_bar(out, v, canary, width, set, "\033[36m");
    fprintf(out, "  (set %g", set);
    if (json_is_number(json_object_get(weight, "actual")) && !show_is_final(r))
        fprintf(out, ", actual %.1f", ctl_number(weight, "actual"));
    fputs(")\n", out);
}

static void put_step(FILE *out, const struct shown *v, const json_t *s)
{
    const char *state = ctl_text(s, "state");
    bool done = strcmp(state, "done") == 0, now = strcmp(state, "current") == 0;
    uint64_t started = show_time_ms(ctl_text(s, "started")),
             ended = show_time_ms(ctl_text(s, "ended")), min = 0;
    const char *until = ctl_text(json_object_get(s, "hold"), "min");
    char buf[32];

    fprintf(out, "%s%s%s %g %%",
            paint(v, done  ? "\033[32m"
                     : now ? "\033[36m"
                           : ""),
            done  ? "✓"
            : now ? "●"
                  : "○",
            paint(v, done || now ? "\033[0m" : ""), ctl_number(s, "weight"));
    if (ctl_text(s, "name")[0])
        fprintf(out, " %s \"%s\"", ctl_text(s, "kind"), ctl_text(s, "name"));
    if (started && (done || now)) {
        uint64_t end = ended ? ended : v->now_ms;

        fprintf(out, " %s", show_duration(buf, end > started ? end - started : 0));
    }
    if (now && conf_duration(str_of(until), &min) && min)
        fprintf(out, "/%s", show_duration(buf, min));
    fputs("   ", out);
}

static void put_check(FILE *out, const struct shown *v, const json_t *k)
{
    const json_t *s = json_object_get(k, "stable"), *c = json_object_get(k, "canary");
    const char *verdict = ctl_text(k, "verdict");
    bool bad = strcmp(verdict, "regressed") == 0, good = strcmp(verdict, "certified") == 0;
    double sn = ctl_number(s, "n"), cn = ctl_number(c, "n"),
           sr = sn > 0 ? ctl_number(s, "bad") / sn : 0,
           cr = cn > 0 ? ctl_number(c, "bad") / cn : 0;
    char a[16], b[16], ratio[24] = "";

    if (sr > 0)
        snprintf(ratio, sizeof(ratio), "×%.1f", cr / sr);
    fprintf(out, "%s%s%s %-12s %6.2f %%  %6.2f %%  %s%*s  e-value %.3g of %.3g  n=%s/%s  %s\n",
            paint(v, bad    ? "\033[31m"
                     : good ? "\033[32m"
                            : ""),
            bad    ? "✗"
            : good ? "✓"
                   : "·",
            paint(v, bad || good ? "\033[0m" : ""), ctl_text(k, "class"), 100 * sr, 100 * cr,
            ratio, text_width(ratio) < 6 ? 6 - (int)text_width(ratio) : 0, "",
            ctl_number(k, "evalue"), ctl_number(k, "limit"), show_count(a, sn),
            show_count(b, cn), verdict);
}

void show_rollout(FILE *out, const struct shown *v)
{
    const json_t *classes = json_object_get(json_object_get(v->rollout, "judge"), "classes"),
                 *x;
    size_t i;

    put_head(out, v);
    put_traffic(out, v);
    fputs("steps    ", out);
    json_array_foreach(json_object_get(v->rollout, "steps"), i, x) put_step(out, v, x);
    fputc('\n', out);
    json_array_foreach(classes, i, x)
    {
        fputs(i ? "         " : "checks   ", out);
        put_check(out, v, x);
    }
}

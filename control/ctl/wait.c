/* wait.c - follow one rollout: long polls, a view of what changed, and an end. */
#include "control/ctl/wait.h"

#include "control/ctl/client.h"
#include "control/ctl/show.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define RETRY_PAUSE_MS 300

struct waiting {
    struct ctl *c;
    const char *id;
    enum wait_mode mode;
    FILE *to;
    bool live;           /* TO is a terminal */
    int lines;           /* of the live view on the screen */
    char *key;           /* of what was said last */
    uint64_t deadline;   /* mono ms; 0: none */
    uint64_t lost_since; /* mono ms; 0: connected */
    uint64_t index;      /* of the last document */
    json_t *last;
};

static uint64_t mono_ms(void)
{
    return clock_mono_us() / 1000;
}

bool wait_mode_parse(const char *s, enum wait_mode *mode)
{
    if (!s[0] || strcmp(s, "complete") == 0)
        *mode = WAIT_COMPLETE;
    else if (strcmp(s, "paused") == 0)
        *mode = WAIT_PAUSED;
    else
        return false;
    return true;
}

/* --- what is shown --- */

static json_t *get_stats(struct waiting *w)
{
    struct call call = {.path = "/v1/stats?window=5s", .timeout_ms = 2000};
    struct answer r;
    json_t *list, *x, *found = NULL;
    size_t i;

    if (client_call(w->c, &call, &r) && answer_exit(&r) == CTL_OK) {
        list = json_object_get(r.json, "services");
        json_array_foreach(
            list, i, x) if (strcmp(ctl_text(x, "name"), ctl_text(w->last, "service")) == 0)
            found = json_incref(x);
    }
    answer_release(&r);
    return found;
}

static void put_live(struct waiting *w)
{
    json_t *stats = get_stats(w);
    struct shown v = {w->last, stats, clock_wall_ms(), w->c->color};
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    ASSERT(f);
    show_rollout(f, &v);
    fclose(f);
    if (w->lines)
        fprintf(w->to, "\033[%dA\033[J", w->lines);
    fputs(text, w->to);
    fflush(w->to);
    w->lines = 0;
    for (const char *p = text; *p; p++)
        w->lines += *p == '\n';
    xfree(text);
    json_decref(stats);
}

static void put_line(struct waiting *w)
{
    char *key = show_key(w->last), stamp[CLOCK_STAMP];

    if (w->key && strcmp(key, w->key) == 0) {
        xfree(key);
        return;
    }
    xfree(w->key);
    w->key = key;
    if (w->c->json && w->to == w->c->out)
        json_dumpf(w->last, w->to, JSON_COMPACT);
    else
        fprintf(w->to, "%s %.*s", clock_stamp(stamp, clock_wall_ms()), (int)strlen(key) - 1,
                key);
    fputc('\n', w->to);
    fflush(w->to);
}

/* --- how it goes on --- */

/* Sleep MS; true when interrupted. */
static bool nap(struct waiting *w, int ms)
{
    struct pollfd p = {.fd = w->c->interrupt, .events = POLLIN};

    return poll(&p, 1, ms) > 0;
}

static int ask(struct waiting *w, struct answer *r)
{
    uint64_t now = mono_ms(), wait = w->live ? 1000 : 20000;
    char *path, query[64];
    struct call call = {0};
    bool got;

    if (w->deadline && w->deadline - now < wait && w->deadline > now)
        wait = w->deadline - now;
    snprintf(query, sizeof(query), "?index=%llu&wait=%llums", (unsigned long long)w->index,
             (unsigned long long)wait);
    path = ctl_path("/v1/rollouts/%s", w->id);
    call.path = xasprintf("%s%s", path, w->last ? query : "");
    call.timeout_ms = (long)wait + 10000;
    got = client_call(w->c, &call, r);
    xfree((char *)(uintptr_t)call.path);
    xfree(path);
    return got ? r->status : 0;
}

/* The exit code for what is known now, or -1: go on. */
static int verdict_of(const struct waiting *w)
{
    int code = show_exit(w->last, w->mode != WAIT_FOLLOW);

    return code == CTL_DECISION && w->mode == WAIT_PAUSED ? CTL_OK : code;
}

static int take(struct waiting *w, struct answer *r)
{
    json_decref(w->last);
    w->last = json_incref(r->json);
    w->index = (uint64_t)json_integer_value(json_object_get(r->json, "index"));
    w->lost_since = 0;
    if (w->live)
        put_live(w);
    else
        put_line(w);
    return verdict_of(w);
}

/* No answer. -1: try again. */
static int lost(struct waiting *w, struct answer *r)
{
    uint64_t now = mono_ms();

    if (!w->lost_since) {
        w->lost_since = now;
        if (w->last)
            ctl_complain(w->c, 0, "connection lost, trying again");
        w->lines = 0;
    }
    if (!w->last || now - w->lost_since > WAIT_RETRY_MS)
        return answer_complain(w->c, r);
    return nap(w, RETRY_PAUSE_MS) ? CTL_DETACHED : -1;
}

static int follow(struct waiting *w)
{
    for (;;) {
        struct answer r;
        int status = ask(w, &r), code;

        if (w->c->interrupt > 0 && nap(w, 0))
            code = CTL_DETACHED;
        else if (status == 0 || status >= 500)
            code = lost(w, &r);
        else if (status != 200 || !json_is_object(r.json))
            code = answer_complain(w->c, &r);
        else
            code = take(w, &r);
        answer_release(&r);
        if (code >= 0)
            return code;
        if (w->deadline && mono_ms() >= w->deadline)
            return ctl_complain(w->c, CTL_TIMED_OUT, "timed out; %s goes on", w->id);
    }
}

int wait_rollout(struct ctl *c, const char *id, enum wait_mode mode, uint64_t timeout_ms,
                 FILE *to, json_t **last)
{
    struct waiting w = {.c = c,
                        .id = id,
                        .mode = mode,
                        .to = to,
                        .live = isatty(fileno(to)) && !c->json,
                        .deadline = timeout_ms ? mono_ms() + timeout_ms : 0};
    sigset_t set, old;
    int code;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, &old);
    c->interrupt = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    code = follow(&w);
    if (c->interrupt > 0)
        close(c->interrupt);
    c->interrupt = 0;
    if (code == CTL_DETACHED)
        ctl_complain(c, code, "detached; %s goes on", id);
    else
        sigprocmask(SIG_SETMASK, &old, NULL);
    if (last)
        *last = json_incref(w.last);
    json_decref(w.last);
    xfree(w.key);
    return code;
}

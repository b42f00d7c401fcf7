/* cmd_events.c - what happened, as a page or as it happens (SSE). */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/base/vec.h"

#include <poll.h>
#include <stdlib.h>

#define DEFAULT_LIMIT  50
#define RETRY_MS       30000 /* a lost connection is tried again for this long */
#define RETRY_PAUSE_MS 300

struct following {
    struct ctl *c;
    uint64_t seq; /* of the last event printed */
    VEC(char) line;
};

static void print_event(struct ctl *c, const json_t *e)
{
    if (c->json) {
        json_dumpf(e, c->out, JSON_COMPACT);
        fputc('\n', c->out);
        return;
    }
    fprintf(c->out, "%6.0f  %s  %-20s %s%s%s%s%s\n", ctl_number(e, "seq"), ctl_text(e, "ts"),
            ctl_text(e, "type"), ctl_text(e, "service"), ctl_text(e, "service")[0] ? " " : "",
            ctl_text(e, "rollout"), ctl_text(e, "rollout")[0] ? " " : "",
            ctl_text(e, "message"));
}

/* --- a page --- */

/* GET and print the page at PATH; *NEXT becomes the sequence number to go on from. */
static int page(struct ctl *c, const char *path, uint64_t *next)
{
    const json_t *e;
    json_t *doc;
    size_t i;
    int code = client_json(c, "GET", path, NULL, &doc);

    if (code != CTL_OK)
        return code;
    json_array_foreach(json_object_get(doc, "events"), i, e)
    {
        print_event(c, e);
        *next = (uint64_t)ctl_number(e, "seq");
    }
    json_decref(doc);
    return CTL_OK;
}

/* --- as it happens --- */

/* One line of the stream (RFC: the HTML standard's server-sent events). */
static void take_line(struct following *f)
{
    struct str line = {f->line.v, f->line.n};
    json_t *e;

    if (!str_starts(line, STR("data:")))
        return;
    line = str_skip(line, 5);
    e = json_loadb(line.p, line.n, 0, NULL);
    if (e && (uint64_t)ctl_number(e, "seq") > f->seq) {
        f->seq = (uint64_t)ctl_number(e, "seq");
        print_event(f->c, e);
        fflush(f->c->out);
    }
    json_decref(e);
}

static bool on_data(void *arg, struct str data)
{
    struct following *f = arg;

    for (size_t i = 0; i < data.n; i++)
        if (data.p[i] == '\n') {
            take_line(f);
            f->line.n = 0;
        } else if (data.p[i] != '\r') {
            *vec_add(&f->line) = data.p[i];
        }
    return true;
}

static int follow(struct ctl *c, uint64_t since)
{
    struct following f = {.c = c, .seq = since};
    uint64_t lost = 0;
    int code = CTL_OK;

    while (code == CTL_OK) {
        char field[64];
        struct call call = {.path = "/v1/events", .on_data = on_data, .arg = &f};
        struct answer r;
        uint64_t before = f.seq, now;

        snprintf(field, sizeof(field), "Last-Event-ID: %llu", (unsigned long long)f.seq);
        call.headers[0] = "Accept: text/event-stream";
        call.headers[1] = field;
        if (client_call(c, &call, &r) && r.status != 200 && r.status < 500)
            code = answer_complain(c, &r);
        now = clock_mono_us() / 1000;
        if (r.status == 200 || f.seq != before || !lost)
            lost = now;
        if (code == CTL_OK && now - lost > RETRY_MS)
            code = answer_complain(c, &r);
        answer_release(&r);
        f.line.n = 0;
        poll(NULL, 0, RETRY_PAUSE_MS);
    }
    vec_release(&f.line);
    return code;
}

int cmd_events(struct ctl *c)
{
    const char *since_text = ctl_option(c, "--since"), *limit_text = ctl_option(c, "--limit");
    uint64_t since = 0, limit = DEFAULT_LIMIT;
    char path[96];
    int code;

    if ((since_text && !str_to_u64(str_of(since_text), UINT64_MAX, &since)) ||
        (limit_text && !str_to_u64(str_of(limit_text), UINT64_MAX, &limit)))
        return ctl_complain(c, CTL_USAGE, "--since and --limit take numbers");
    if (since_text)
        snprintf(path, sizeof(path), "/v1/events?since=%llu&limit=%llu",
                 (unsigned long long)since, (unsigned long long)limit);
    else
        snprintf(path, sizeof(path), "/v1/events?last=%llu", (unsigned long long)limit);
    code = page(c, path, &since);
    if (code == CTL_OK && ctl_option(c, "--follow"))
        code = follow(c, since);
    return code;
}

/*
 * api_events.c - the event log as pages and as a stream (SSE).
 *
 * A stream first sends what is stored after Last-Event-ID (or ?since=), then what comes; the
 * subscription begins before the stored part is read, and numbers that were sent are not sent
 * again, so nothing is missed or doubled between the two.
 */
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/engine/events.h"
#include "proxy/base/mem.h"

#define PAGE         100 /* events of a page that does not say */
#define PAGE_MAX     1000
#define KEEPALIVE_MS 15000

struct stream { /* in the request's memory */
    struct api_request *req;
    struct events_subscriber *subscriber;
    struct timer keepalive;
    uint64_t sent; /* newest number sent */
};

static void stream_end(void *arg)
{
    struct stream *s = arg;

    timer_stop(&s->keepalive);
    events_unsubscribe(api_engine(s->req)->events, s->subscriber);
    api_stream_end(s->req);
}

static void send_event(struct stream *s, uint64_t seq, const json_t *ev)
{
    const char *type = json_string_value(json_object_get(ev, "type"));
    char *data = json_dumps(ev, JSON_COMPACT);
    char *text = xasprintf("id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)seq,
                           type ? type : "message", data);

    s->sent = seq > s->sent ? seq : s->sent;
    api_stream_write(s->req, str_of(text));
    xfree(text);
    xfree(data);
}

static void on_event(void *arg, uint64_t seq, const json_t *ev)
{
    struct stream *s = arg;

    if (seq == 0 || seq > s->sent)
        send_event(s, seq ? seq : s->sent, ev);
}

static void on_keepalive(void *arg)
{
    struct stream *s = arg;

    timer_start(&s->keepalive, KEEPALIVE_MS);
    api_stream_write(s->req, STR(": here\n\n"));
}

/* Everything stored since S->sent, page by page. */
static void send_stored(struct stream *s)
{
    struct events *events = api_engine(s->req)->events;
    size_t n;

    do {
        json_t *page = events_page(events, s->sent, PAGE_MAX), *ev;
        size_t i;
        n = json_array_size(page);
        json_array_foreach(page, i, ev)
            send_event(s, (uint64_t)json_integer_value(json_object_get(ev, "seq")), ev);
        json_decref(page);
    } while (n == PAGE_MAX);
}

static void stream_events(struct api_request *req, uint64_t since)
{
    struct stream *s = api_alloc(req, sizeof(*s));

    s->req = req;
    s->sent = since;
    api_stream_start(req, 200, "text/event-stream");
    api_on_gone(req, stream_end, s);
    send_stored(s);
    s->subscriber = events_subscribe(api_engine(req)->events, on_event, s);
    timer_init(&s->keepalive, api_loop(req), on_keepalive, s);
    timer_start(&s->keepalive, KEEPALIVE_MS);
}

static void reply_page(struct api_request *req, uint64_t since, unsigned limit)
{
    json_t *page = events_page(api_engine(req)->events, since, limit);
    size_t n = json_array_size(page);

    if (!page) {
        api_problem(req, 500, "store_failed", NULL, "the event log cannot be read");
        return;
    }
    json_t *last = n ? json_object_get(json_array_get(page, n - 1), "seq") : NULL;
    json_t *next = last ? json_incref(last) : json_integer((json_int_t)since);
    api_reply(req, 200, json_pack("{s:o,s:o}", "events", page, "next", next));
}

/* ?last=N: the page that ends with the newest event. Numbers have no gaps but in front. */
static bool last_page(struct api_request *req, uint64_t *since, uint64_t *limit)
{
    uint64_t newest = events_last(api_engine(req)->events), n = 0;

    if (!api_query_u64(req, "last", PAGE_MAX, &n))
        return false;
    if (n == 0)
        return true;
    *since = newest > n ? newest - n : 0;
    *limit = n;
    return true;
}

void api_events_list(struct api_request *req)
{
    uint64_t since = 0, limit = PAGE;
    bool stream = api_accepts(req, "text/event-stream");
    const char *last = api_header(req, "Last-Event-ID");

    if (stream)
        since = events_last(api_engine(req)->events);
    if (!api_query_u64(req, "since", INT64_MAX, &since) ||
        !api_query_u64(req, "limit", PAGE_MAX, &limit) || !last_page(req, &since, &limit))
        return;
    if (last && !str_to_u64(str_of(last), INT64_MAX, &since)) {
        api_problem(req, 400, "bad_header", NULL, "Last-Event-ID must be a number");
        return;
    }
    if (stream)
        stream_events(req, since);
    else
        reply_page(req, since, (unsigned)limit);
}

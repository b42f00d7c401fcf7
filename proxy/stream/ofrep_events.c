/*
 * ofrep_events.c - clients that wait to be told that flags changed.
 *
 * The number of an event is that of the flag set, so a client that comes back is told at once
 * if it missed one, whichever worker it finds.
 */
#include "proxy/stream/ofrep_events.h"

#include "proxy/http/head_write.h"

#define PING_MS   20000
#define EVENT_CAP 256

static uint64_t newest(const struct plane *p)
{
    return p->flags ? flagset_sequence(p->flags) : 0;
}

static void send_text(struct stream *s, struct str text)
{
    struct block *b = block_get(&s->plane->ios.blocks, false);

    block_append(b, text);
    s->call->behind = !stream_answer_data(s, b);
}

static void send_event(struct stream *s)
{
    char text[EVENT_CAP];
    struct out o = out_init(text, sizeof(text));

    s->call->told = newest(s->plane);
    out_put(&o, STR("id: "));
    out_u64(&o, s->call->told);
    out_put(&o, STR("\nevent: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"\\\""));
    out_hex(&o, s->call->told, 16);
    out_put(&o, STR("\\\"\",\"lastModified\":"));
    out_u64(&o, loop_wall_ms(s->plane->loop) / 1000);
    out_put(&o, STR("}\n\n"));
    ASSERT(!o.full);
    send_text(s, out_text(&o));
}

static void on_ping(void *arg)
{
    struct plane *p = arg;
    struct ofrep_call *c, *next;

    for (c = LIST_FIRST(&p->event_calls); c; c = next) {
        next = LIST_NEXT(c, link); /* nobody ends inside a call to a connection */
        if (!c->behind)
            send_text(c->stream, STR(": ping\n\n"));
    }
    if (LIST_FIRST(&p->event_calls))
        timer_start(&p->event_timer, PING_MS);
}

void ofrep_events_init(struct plane *p)
{
    LIST_INIT(&p->event_calls);
    timer_init(&p->event_timer, p->loop, on_ping, p);
}

void ofrep_events_open(struct stream *s, struct str fields, struct str last)
{
    struct plane *p = s->plane;
    size_t cap = fields.n + 64;
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);
    uint64_t seen;

    out_put(&o, fields);
    out_put(&o, STR("Content-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n"));
    ASSERT(!o.full);
    if (!LIST_FIRST(&p->event_calls))
        timer_start(&p->event_timer, PING_MS);
    LIST_INSERT_HEAD(&p->event_calls, s->call, link);
    s->call->listening = true;
    s->call->told = newest(p);
    stream_open_answer(s, 200, out_text(&o));
    send_text(s, STR("retry: 3000\n\n"));
    if (last.n && (!str_to_u64(last, UINT64_MAX, &seen) || seen != s->call->told))
        send_event(s);
    if (p->draining)
        stream_answer_end(s, STR_NONE);
}

void ofrep_events_leave(struct stream *s)
{
    struct plane *p = s->plane;

    if (!s->call || !s->call->listening)
        return;
    s->call->listening = false;
    LIST_REMOVE(s->call, link);
    if (!LIST_FIRST(&p->event_calls))
        timer_stop(&p->event_timer);
}

void ofrep_events_resume(struct stream *s)
{
    s->call->behind = false;
    if (s->call->listening && s->call->told != newest(s->plane))
        send_event(s);
}

void ofrep_events_tell(struct plane *p)
{
    struct ofrep_call *c, *next;

    for (c = LIST_FIRST(&p->event_calls); c; c = next) {
        next = LIST_NEXT(c, link);
        if (!c->behind)
            send_event(c->stream);
    }
}

void ofrep_events_close_all(struct plane *p)
{
    struct ofrep_call *c;

    while ((c = LIST_FIRST(&p->event_calls)))
        stream_answer_end(c->stream, STR_NONE); /* leaves the list */
}

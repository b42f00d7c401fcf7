/* reply.c - answers that the proxy makes itself. */
#include "proxy/stream/reply.h"

#include "proxy/http/head_write.h"
#include "proxy/stream/forward.h"

#include <time.h>

#define FIELDS_MAX 768
#define TEXT_MAX   256

/* RFC 9110 5.6.7, "Sun, 06 Nov 1994 08:49:37 GMT". */
static void put_date(struct out *o, uint64_t wall_ms)
{
    time_t t = (time_t)(wall_ms / 1000);
    char date[40];
    struct tm tm;

    gmtime_r(&t, &tm);
    head_write_known(
        o, STR("Date"),
        (struct str){date, strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm)});
}

static void put_fields(struct out *o, struct stream *s)
{
    head_write_known(o, STR("Server"), STR("sluice"));
    put_date(o, loop_wall_ms(s->plane->loop));
    forward_attempts(s, o);
    out_put(o, s->limit_fields);
    if (s->request_id.n)
        head_write_known(o, STR("X-Request-Id"), s->request_id);
}

/* The head with the lines EXTRA, then the body in B, which is given away. */
static void give(struct stream *s, int status, struct str extra, struct block *b, bool last)
{
    bool empty = status == 204 || status == 304;
    struct message m = {
        .status = status,
        .framing = empty ? FRAMING_NONE : FRAMING_LENGTH,
        .length = b->end - b->start,
        .bodyless = empty || s->req.method == METHOD_HEAD,
        .extra = extra,
        .last = last,
    };

    s->to.ops->head(s->to.self, &m);
    if (m.bodyless || m.length == 0)
        block_put(&s->plane->ios.blocks, b);
    else
        (void)s->to.ops->data(s->to.self, b);
    s->to.ops->end(s->to.self, STR_NONE);
}

void reply_fixed(struct stream *s, int status, struct str extra, struct str body)
{
    size_t cap = FIELDS_MAX + extra.n;
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);
    struct block *b = block_get(&s->plane->ios.blocks, false);
    struct out text = out_init(b->data + b->end, CONF_BODY_MAX);

    put_fields(&o, s);
    out_put(&o, extra);
    out_put(&text, body);
    ASSERT(!o.full && !text.full);
    b->end += (uint32_t)text.n;
    give(s, status, out_text(&o), b, false);
}

void reply_send(struct stream *s, int status, struct str what, bool last)
{
    struct block *b = block_get(&s->plane->ios.blocks, false);
    char fields[FIELDS_MAX];
    struct out o = out_init(fields, sizeof(fields));
    struct out text = out_init(b->data + b->end, TEXT_MAX);

    put_fields(&o, s);
    head_write_known(&o, STR("Content-Type"), STR("text/plain"));
    if (status == 503)
        head_write_known(&o, STR("Retry-After"), STR("1"));
    if (status == 405)
        head_write_known(&o, STR("Allow"), STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    out_u64(&text, (uint64_t)status);
    out_char(&text, ' ');
    out_put(&text, what);
    out_char(&text, '\n');
    b->end += (uint32_t)text.n;
    give(s, status, out_text(&o), b, last);
}

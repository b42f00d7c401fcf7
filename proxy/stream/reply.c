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

static void give_head(struct stream *s, int status, struct str extra, uint64_t length,
                      bool last)
{
    bool empty = status == 204 || status == 304;
    struct message m = {
        .status = status,
        .framing = empty ? FRAMING_NONE : FRAMING_LENGTH,
        .length = length,
        .bodyless = empty || s->req.method == METHOD_HEAD,
        .extra = extra,
        .last = last,
    };

    s->to.ops->head(s->to.self, &m);
}

static void give_body(struct stream *s, struct str body)
{
    while (body.n && s->state != STREAM_DONE) {
        struct block *b = block_get(&s->plane->ios.blocks, body.n > BLOCK_SMALL);
        size_t n = body.n < block_room(b) ? body.n : block_room(b);

        block_append(b, (struct str){body.p, n});
        body = str_skip(body, n);
        s->bytes_out += n;
        (void)s->to.ops->data(s->to.self, b); /* bounded by whoever made it */
    }
}

static void give(struct stream *s, int status, struct str extra, struct str body, bool last)
{
    give_head(s, status, extra, body.n, last);
    if (status != 204 && status != 304 && s->req.method != METHOD_HEAD)
        give_body(s, body);
    if (s->state != STREAM_DONE)
        s->to.ops->end(s->to.self, STR_NONE);
}

static struct str fixed_fields(struct stream *s, struct str extra)
{
    size_t cap = FIELDS_MAX + extra.n;
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);

    put_fields(&o, s);
    out_put(&o, extra);
    ASSERT(!o.full);
    return out_text(&o);
}

void reply_grpc(struct stream *s, enum grpc_status status, struct str what)
{
    char fields[FIELDS_MAX];
    struct out o = out_init(fields, sizeof(fields));
    struct message m = {
        .status = 200,
        .framing = s->to.http2 ? FRAMING_NONE : FRAMING_LENGTH,
        .bodyless = s->to.http2, /* no frame after the head: the status is in it */
        .last = true,
    };

    put_fields(&o, s);
    head_write_known(&o, STR("Content-Type"), GRPC_TYPE);
    head_write_u64(&o, STR("grpc-status"), status);
    out_put(&o, STR("grpc-message: "));
    grpc_message_write(&o, what);
    out_put(&o, STR("\r\n"));
    ASSERT(!o.full);
    m.extra = out_text(&o);
    s->to.ops->head(s->to.self, &m);
    s->to.ops->end(s->to.self, STR_NONE);
}

void reply_fixed(struct stream *s, int status, struct str extra, struct str body)
{
    give(s, status, fixed_fields(s, extra), body, false);
}

void reply_open(struct stream *s, int status, struct str extra)
{
    struct message m = {
        .status = status, .framing = FRAMING_CHUNKED, .extra = fixed_fields(s, extra)};

    s->to.ops->head(s->to.self, &m);
}

void reply_send(struct stream *s, int status, struct str what, bool last)
{
    char fields[FIELDS_MAX], room[TEXT_MAX];
    struct out o = out_init(fields, sizeof(fields)), text = out_init(room, sizeof(room));

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
    give(s, status, out_text(&o), out_text(&text), last);
}

/*
 * h2_session.c - nghttp2 behind our own contract.
 *
 * Invariant: nghttp2's send and receive functions run only from h2_session_send and
 * h2_session_recv, which no event calls.
 */
#include "proxy/http/h2_session.h"

#include "proxy/base/mem.h"
#include "proxy/http/h2_budget.h"
#include "proxy/http/h2_memory.h"
#include "proxy/http/h2_out.h"
#include "proxy/http/h2_version.h"
#include "proxy/http/head_write.h"

#include <nghttp2/nghttp2.h>

#define ACKS_MAX 64 /* of PING and SETTINGS that wait to be sent */

static const uint8_t warning[8] = "warning"; /* in the PING behind it */

struct h2_session {
    nghttp2_session *ng;
    const struct h2_events *ev;
    void *self;
    struct blocks *blocks;
    size_t *memory;
    struct h2_budget budget;
    struct h2_fields fields; /* of the block that is being read */
    struct h2_out out;       /* room for heads that go out */
    bool dead;               /* nothing is read any more */
};

/* ---- what comes in ---- */

static bool wanted(const nghttp2_frame *f)
{
    return f->hd.type == NGHTTP2_HEADERS &&
           (f->headers.cat == NGHTTP2_HCAT_REQUEST || f->headers.cat == NGHTTP2_HCAT_HEADERS);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_session *s = arg;

    (void)ng;
    if (wanted(f))
        h2_fields_begin(&s->fields, s->blocks, f->headers.cat == NGHTTP2_HCAT_HEADERS);
    return 0;
}

static struct str text_of(nghttp2_rcbuf *b)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(b);

    return (struct str){(const char *)v.base, v.len};
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    struct h2_session *s = arg;

    (void)ng;
    (void)flags;
    if (!wanted(f) || h2_fields_add(&s->fields, text_of(name), text_of(value)))
        return 0;
    s->budget.why = "a header block out of all proportion";
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* By default nghttp2 forgets the field; now the frame is invalid with it. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *f, nghttp2_rcbuf *name,
                             nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    (void)ng;
    (void)f;
    (void)name;
    (void)value;
    (void)flags;
    (void)arg;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void on_request(struct h2_session *s, const nghttp2_frame *f)
{
    bool last = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    void *stream = s->ev->head(s->self, f->hd.stream_id, &s->fields, last);

    h2_fields_release(&s->fields);
    nghttp2_session_set_stream_user_data(s->ng, f->hd.stream_id, stream);
}

static void on_trailers(struct h2_session *s, const nghttp2_frame *f, void *stream)
{
    struct str lines;

    if (!h2_fields_trailers(&s->fields, &lines)) {
        s->ev->violation(s->self);
        nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, f->hd.stream_id,
                                  NGHTTP2_PROTOCOL_ERROR);
    } else {
        s->ev->end(s->self, stream, lines);
    }
    h2_fields_release(&s->fields);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_session *s = arg;
    void *stream =
        f->hd.stream_id ? nghttp2_session_get_stream_user_data(ng, f->hd.stream_id) : NULL;

    if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST)
        on_request(s, f);
    else if (f->hd.type == NGHTTP2_HEADERS && stream)
        on_trailers(s, f, stream);
    else if (f->hd.type == NGHTTP2_DATA && stream && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
        s->ev->end(s->self, stream, STR_NONE);
    else if (f->hd.type == NGHTTP2_PING && (f->hd.flags & NGHTTP2_FLAG_ACK) &&
             memcmp(f->ping.opaque_data, warning, sizeof(warning)) == 0)
        s->ev->pong(s->self);
    return s->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *arg)
{
    struct h2_session *s = arg;
    void *stream = nghttp2_session_get_stream_user_data(ng, id);

    (void)flags;
    nghttp2_session_consume_connection(ng, n);
    if (stream)
        s->ev->data(s->self, stream, (struct str){(const char *)data, n});
    return s->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *f, int error, void *arg)
{
    struct h2_session *s = arg;

    (void)ng;
    (void)f;
    (void)error;
    s->ev->violation(s->self);
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_session *s = arg;
    void *stream = nghttp2_session_get_stream_user_data(ng, id);

    if (code == NGHTTP2_NO_ERROR)
        h2_budget_done(&s->budget);
    if (stream)
        s->ev->closed(s->self, stream);
    return 0;
}

/* ---- what went out ---- */

/* An early answer is complete: no more of the request is wanted (RFC 9113 8.1). */
static void end_request(struct h2_session *s, int32_t id)
{
    void *stream = nghttp2_session_get_stream_user_data(s->ng, id);

    if (nghttp2_session_get_stream_remote_close(s->ng, id) == 0 &&
        !(stream && s->ev->wants(s->self, stream)))
        nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
}

static int on_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_session *s = arg;
    bool last = f->hd.flags & NGHTTP2_FLAG_END_STREAM;

    (void)ng;
    if (f->hd.type == NGHTTP2_DATA)
        h2_budget_sent(&s->budget);
    if (f->hd.type == NGHTTP2_RST_STREAM && f->rst_stream.error_code != NGHTTP2_NO_ERROR)
        (void)h2_budget_reset(&s->budget);
    if (last && (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS))
        end_request(s, f->hd.stream_id);
    return 0;
}

/* ---- heads that go out ---- */

static void put_fields(struct h2_out *o, const struct message *m)
{
    const struct head *h = m->from;

    for (size_t i = 0; h && i < h->nfields; i++) {
        const struct field *f = &h->fields[i];

        if (!f->hop && !(m->skip && m->skip[f->id]) && !h2_out_of_http1(f->id) &&
            !(m->status == 101 && f->id == FIELD_SEC_WEBSOCKET_ACCEPT))
            h2_out_add(o, head_name(h, f), head_value(h, f));
    }
}

/* The length of a body is told where it is known; of one that is not sent, only by an answer of
 * our own: that of an upstream is among its fields. */
static bool tells_length(const struct message *m)
{
    return m->framing == FRAMING_LENGTH && (!m->bodyless || !m->from);
}

static ssize_t on_pull(nghttp2_session *ng, int32_t id, uint8_t *to, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_session *s = arg;
    struct h2_piece piece;

    (void)source;
    piece = s->ev->pull(s->self, nghttp2_session_get_stream_user_data(ng, id), (char *)to, cap);
    if (!piece.last)
        return piece.n ? (ssize_t)piece.n : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (piece.trailers.n) {
        h2_out_begin(&s->out, h2_out_count(piece.trailers));
        h2_out_lines(&s->out, piece.trailers);
        if (s->out.n && nghttp2_submit_trailer(ng, id, s->out.nv, s->out.n) == 0)
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)piece.n;
}

void h2_session_head(struct h2_session *s, int32_t id, const struct message *m)
{
    nghttp2_data_provider body = {.read_callback = on_pull};
    char digits[2][24];
    struct out status = out_init(digits[0], sizeof(digits[0]));
    struct out length = out_init(digits[1], sizeof(digits[1]));
    bool tunnel = m->status == 101;
    struct h2_out *o = &s->out;

    h2_out_begin(o, 2 + (m->from ? m->from->nfields : 0) + h2_out_count(m->extra));
    out_u64(&status, tunnel ? 200 : (uint64_t)m->status);
    h2_out_add(o, STR(":status"), out_text(&status));
    put_fields(o, m);
    h2_out_lines(o, m->extra);
    if (m->status < 200 && !tunnel) {
        nghttp2_submit_headers(s->ng, NGHTTP2_FLAG_NONE, id, NULL, o->nv, o->n, NULL);
        return;
    }
    if (tells_length(m)) {
        out_u64(&length, m->length);
        h2_out_add(o, STR("content-length"), out_text(&length));
    }
    nghttp2_submit_response(s->ng, id, o->nv, o->n, m->bodyless && !tunnel ? NULL : &body);
}

void h2_session_more(struct h2_session *s, int32_t id)
{
    (void)nghttp2_session_resume_data(s->ng, id); /* an error: it was not waiting */
}

void h2_session_consume(struct h2_session *s, int32_t id, size_t n)
{
    (void)nghttp2_session_consume_stream(s->ng, id, n);
}

void h2_session_reset(struct h2_session *s, int32_t id, enum h2_code code)
{
    nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, id, code);
}

void h2_session_warn(struct h2_session *s)
{
    nghttp2_submit_shutdown_notice(s->ng);
    nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, warning);
}

void h2_session_ping(struct h2_session *s)
{
    nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL);
}

void h2_session_goaway(struct h2_session *s, enum h2_code code)
{
    if (code != H2_NO_ERROR)
        nghttp2_session_terminate_session(s->ng, code);
    else
        nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(s->ng), NGHTTP2_NO_ERROR,
                              NULL, 0);
}

/* ---- bytes ---- */

static void die(struct h2_session *s)
{
    if (s->dead)
        return;
    s->dead = true;
    if (s->budget.why) {
        s->ev->violation(s->self);
        nghttp2_session_terminate_session(s->ng, s->budget.lies ? NGHTTP2_PROTOCOL_ERROR
                                                                : NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

void h2_session_recv(struct h2_session *s, struct str in, uint64_t now_us)
{
    ssize_t done;
    size_t n;

    if (s->dead)
        return;
    n = h2_budget_look(&s->budget, in, now_us);
    done = nghttp2_session_mem_recv(s->ng, (const uint8_t *)in.p, n);
    if (done == NGHTTP2_ERR_FLOODED)
        s->budget.why = "too many frames that ask for an answer";
    if (done != (ssize_t)n || s->budget.why)
        die(s);
}

struct str h2_session_send(struct h2_session *s)
{
    const uint8_t *p;
    ssize_t n = nghttp2_session_mem_send(s->ng, &p);

    if (n < 0)
        s->dead = true;
    if (s->budget.why)
        die(s);
    return n > 0 ? (struct str){(const char *)p, (size_t)n} : STR_NONE;
}

bool h2_session_over(const struct h2_session *s)
{
    return s->dead || (!nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng));
}

uint32_t h2_session_in_head(const struct h2_session *s)
{
    return h2_budget_in_block(&s->budget);
}

/* ---- life ---- */

static void set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
}

static void set_options(nghttp2_option *o)
{
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
}

static void announce(struct h2_session *s, uint32_t streams)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };

    nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
}

struct h2_session *h2_session_new(const struct h2_events *ev, void *self, struct blocks *blocks,
                                  size_t *memory, uint32_t streams, uint64_t now_us)
{
    struct h2_session *s = xcalloc(1, sizeof(*s));
    nghttp2_session_callbacks *cb;
    nghttp2_option *o;
    nghttp2_mem mem = h2_memory(memory);

    *memory += sizeof(*s);
    s->memory = memory;
    s->ev = ev;
    s->self = self;
    s->blocks = blocks;
    h2_budget_init(&s->budget, now_us);
    ASSERT(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&o) == 0);
    set_callbacks(cb);
    set_options(o);
    ASSERT(nghttp2_session_server_new3(&s->ng, cb, s, o, &mem) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(cb);
    announce(s, streams);
    return s;
}

void h2_session_free(struct h2_session *s)
{
    if (!s)
        return;
    nghttp2_session_del(s->ng);
    h2_fields_release(&s->fields);
    h2_out_release(&s->out);
    *s->memory -= sizeof(*s);
    xfree(s);
}

const char *h2_library(void)
{
    return nghttp2_version(0)->version_str;
}

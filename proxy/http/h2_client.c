/*
 * h2_client.c - nghttp2's client behind our own contract.
 *
 * Invariant: an exchange with an id is the user data of its stream, and `reading` is NULL or
 * the exchange whose header block is on its way in.
 */
#include "proxy/http/h2_client.h"

#include "proxy/base/mem.h"
#include "proxy/http/h2_budget.h"
#include "proxy/http/h2_out.h"

#define ACKS_MAX    64      /* of PING and SETTINGS that wait to be sent */
#define CONN_WINDOW 4194304 /* given back at once: no stream stalls the others */

struct h2_client {
    nghttp2_session *ng;
    const struct h2_client_events *ev;
    void *self;
    struct blocks *blocks;
    struct h2_budget budget;
    struct h2_fields fields;
    struct h2_exchange *reading;
    struct h2_out out;
    bool secure;
    bool settled; /* the server's settings came */
    bool dead;    /* nothing is read any more */
};

static struct h2_exchange *exchange(const struct h2_client *s, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(s->ng, id) : NULL;
}

/* Its end is not waited for, or has come. */
static void forget(struct h2_client *s, struct h2_exchange *x)
{
    nghttp2_session_set_stream_user_data(s->ng, x->id, NULL);
    if (s->reading == x)
        s->reading = NULL;
    x->id = 0;
}

static void refuse(struct h2_client *s, struct h2_exchange *x)
{
    if (!x->id)
        return; /* it was left meanwhile */
    x->bad = true;
    nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, x->id, NGHTTP2_PROTOCOL_ERROR);
}

/* ---- what comes in ---- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_client *s = arg;

    (void)ng;
    s->reading = f->hd.type == NGHTTP2_HEADERS ? exchange(s, f->hd.stream_id) : NULL;
    if (s->reading && s->reading->answered)
        h2_fields_begin(&s->fields, s->blocks, true);
    else if (s->reading)
        h2_fields_begin_answer(&s->fields, s->blocks);
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
    struct h2_client *s = arg;

    (void)ng;
    (void)f;
    (void)flags;
    if (!s->reading || h2_fields_add(&s->fields, text_of(name), text_of(value)))
        return 0;
    s->budget.why = "a header block out of all proportion";
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Ours to decide: by default nghttp2 forgets the field. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *f, nghttp2_rcbuf *name,
                             nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x = exchange(s, f->hd.stream_id);

    (void)ng;
    (void)name;
    (void)value;
    (void)flags;
    if (x)
        x->bad = true;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void on_trailers(struct h2_client *s, struct h2_exchange *x, bool last)
{
    struct str lines;

    if (last && h2_fields_trailers(&s->fields, &lines))
        s->ev->end(s->self, x, lines);
    else
        refuse(s, x);
    h2_fields_release(&s->fields);
}

static void on_headers(struct h2_client *s, const nghttp2_frame *f)
{
    struct h2_exchange *x = s->reading;
    bool last = f->hd.flags & NGHTTP2_FLAG_END_STREAM;

    s->reading = NULL;
    if (!x)
        return;
    if (x->bad) {
        h2_fields_release(&s->fields);
        return;
    }
    if (x->answered) {
        on_trailers(s, x, last);
        return;
    }
    if (!s->ev->head(s->self, x, &s->fields, last))
        refuse(s, x);
    h2_fields_release(&s->fields);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x;

    (void)ng;
    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(s, f);
        break;
    case NGHTTP2_DATA:
        x = exchange(s, f->hd.stream_id);
        if (x && !x->bad && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
            s->ev->end(s->self, x, STR_NONE);
        break;
    case NGHTTP2_SETTINGS:
        if (!(f->hd.flags & NGHTTP2_FLAG_ACK)) {
            s->settled = true;
            s->ev->settled(s->self);
        }
        break;
    case NGHTTP2_GOAWAY:
        s->ev->leaving(s->self);
        break;
    case NGHTTP2_PING:
        if (f->hd.flags & NGHTTP2_FLAG_ACK)
            s->ev->pong(s->self);
        break;
    default:
        break;
    }
    return s->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x = exchange(s, id);

    (void)flags;
    nghttp2_session_consume_connection(ng, n);
    if (x && !x->bad && !s->ev->data(s->self, x, (struct str){(const char *)data, n}))
        refuse(s, x);
    return s->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *f, int error, void *arg)
{
    struct h2_exchange *x = exchange(arg, f->hd.stream_id);

    (void)ng;
    (void)error;
    if (x)
        x->bad = true;
    return 0;
}

static void closed(struct h2_client *s, struct h2_exchange *x, enum h2_close how)
{
    forget(s, x);
    s->ev->closed(s->self, x, how);
}

static enum h2_close close_of(const struct h2_exchange *x, uint32_t code)
{
    if (x->bad)
        return H2_CLOSE_BAD;
    if (code == NGHTTP2_NO_ERROR)
        return H2_CLOSE_DONE;
    /* Whoever answered it did process it, whatever they say then. */
    return code == NGHTTP2_REFUSED_STREAM && !x->answered ? H2_CLOSE_UNTOUCHED : H2_CLOSE_RESET;
}

/* A stream that a server resets is one that we asked for: that costs it nothing. */
static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x = exchange(s, id);

    (void)ng;
    h2_budget_done(&s->budget);
    if (x)
        closed(s, x, close_of(x, code));
    return 0;
}

/* ---- what goes out ---- */

static int on_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x;

    (void)ng;
    if (f->hd.type == NGHTTP2_DATA)
        h2_budget_sent(&s->budget);
    if (f->hd.type == NGHTTP2_RST_STREAM && (x = exchange(s, f->hd.stream_id)))
        x->bad = true; /* nobody resets it here but for what came */
    return 0;
}

/* It was asked for, but there is no way any more. */
static int on_not_sent(nghttp2_session *ng, const nghttp2_frame *f, int error, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x = exchange(s, f->hd.stream_id);

    (void)ng;
    (void)error;
    if (x && f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST)
        closed(s, x, H2_CLOSE_UNTOUCHED);
    return 0;
}

static ssize_t on_pull(nghttp2_session *ng, int32_t id, uint8_t *to, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_client *s = arg;
    struct h2_exchange *x = exchange(s, id);
    struct h2_piece piece;

    (void)source;
    if (!x)
        return NGHTTP2_ERR_DEFERRED;
    piece = s->ev->pull(s->self, x, (char *)to, cap);
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

/* The lines behind the request line, Host as the authority it is. */
static void put_lines(struct h2_out *o, struct str lines)
{
    struct str host = STR_NONE, rest = lines;

    while (rest.n && !host.n) {
        struct str line = str_cut(&rest, '\n');
        struct str name = str_cut(&line, ':');

        if (field_id(name) == FIELD_HOST)
            host = str_trim((struct str){line.p, line.n - (line.n > 0)});
        if (host.n) {
            h2_out_add(o, STR(":authority"), host);
            h2_out_lines(o, (struct str){lines.p, (size_t)(name.p - lines.p)});
            h2_out_lines(o, rest);
        }
    }
    if (!host.n)
        h2_out_lines(o, lines);
}

bool h2_client_request(struct h2_client *s, struct h2_exchange *x, struct str text, bool last)
{
    nghttp2_data_provider body = {.read_callback = on_pull};
    struct str line = str_cut(&text, '\n');
    struct str lines = {text.p, text.n - 2}; /* without the empty one */
    struct str method = str_cut(&line, ' '), path = str_cut(&line, ' ');
    struct h2_out *o = &s->out;
    int32_t id;

    h2_out_begin(o, 4 + h2_out_count(lines));
    h2_out_add(o, STR(":method"), method);
    h2_out_add(o, STR(":scheme"), s->secure ? STR("https") : STR("http"));
    h2_out_add(o, STR(":path"), path);
    put_lines(o, lines);
    id = nghttp2_submit_request(s->ng, NULL, o->nv, o->n, last ? NULL : &body, x);
    x->id = id > 0 ? id : 0;
    return id > 0;
}

void h2_client_more(struct h2_client *s, struct h2_exchange *x)
{
    if (x->id)
        (void)nghttp2_session_resume_data(s->ng, x->id); /* an error: it was not waiting */
}

void h2_client_consume(struct h2_client *s, struct h2_exchange *x, size_t n)
{
    if (x->id)
        (void)nghttp2_session_consume_stream(s->ng, x->id, n);
}

void h2_client_leave(struct h2_client *s, struct h2_exchange *x)
{
    int32_t id = x->id;

    if (!id)
        return;
    forget(s, x);
    nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

void h2_client_ping(struct h2_client *s)
{
    nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL);
}

void h2_client_goaway(struct h2_client *s)
{
    nghttp2_session_terminate_session(s->ng, NGHTTP2_NO_ERROR);
}

/* ---- bytes ---- */

static void die(struct h2_client *s)
{
    if (!s->dead && s->budget.why)
        nghttp2_session_terminate_session(s->ng, NGHTTP2_ENHANCE_YOUR_CALM);
    s->dead = true;
}

void h2_client_recv(struct h2_client *s, struct str in, uint64_t now_us)
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

struct str h2_client_send(struct h2_client *s)
{
    const uint8_t *p;
    ssize_t n = nghttp2_session_mem_send(s->ng, &p);

    if (n < 0)
        s->dead = true;
    return n > 0 ? (struct str){(const char *)p, (size_t)n} : STR_NONE;
}

bool h2_client_over(const struct h2_client *s)
{
    return s->dead || (!nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng));
}

uint32_t h2_client_room(const struct h2_client *s)
{
    uint32_t n =
        nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    if (!s->settled)
        return 0;
    return n < H2_CLIENT_STREAMS ? n : H2_CLIENT_STREAMS;
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
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
}

static void announce(struct h2_client *s)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_CLIENT_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX_BYTES},
    };

    nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
}

struct h2_client *h2_client_new(const struct h2_client_events *ev, void *self,
                                struct blocks *blocks, bool secure, uint64_t now_us)
{
    struct h2_client *s = xcalloc(1, sizeof(*s));
    nghttp2_session_callbacks *cb;
    nghttp2_option *o;

    s->ev = ev;
    s->self = self;
    s->blocks = blocks;
    s->secure = secure;
    h2_budget_init_server(&s->budget, now_us);
    ASSERT(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&o) == 0);
    set_callbacks(cb);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_max_reserved_remote_streams(o, 0); /* nothing is pushed */
    ASSERT(nghttp2_session_client_new2(&s->ng, cb, s, o) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(cb);
    announce(s);
    return s;
}

void h2_client_free(struct h2_client *s)
{
    if (!s)
        return;
    nghttp2_session_del(s->ng);
    h2_fields_release(&s->fields);
    h2_out_release(&s->out);
    xfree(s);
}

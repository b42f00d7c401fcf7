/*
 * ofrep_call.c - requests of OpenFeature clients: what is asked, who may ask, the answer.
 */
#include "proxy/stream/ofrep_call.h"

#include "proxy/base/hash.h"
#include "proxy/http/head_write.h"
#include "proxy/http/uri.h"
#include "proxy/stream/admit.h"
#include "proxy/stream/flag_context.h"
#include "proxy/stream/ofrep_events.h"
#include "proxy/stream/reply.h"

#define BASE       "/ofrep/v1/"
#define FLAGS      "evaluate/flags"
#define FIELDS_CAP 640
#define KEY_ENOUGH 3073 /* of a key as it is sent; it has at most 1024 bytes */
#define BODY_FIRST 32768
#define RATE_SEED  0x6f66726570u /* apart from the rates of routes */

enum resource { RESOURCE_NONE, RESOURCE_ONE, RESOURCE_ALL, RESOURCE_EVENTS };

static const struct conf_ofrep *settings(const struct stream *s)
{
    return &s->to.listener->conf->ofrep;
}

bool ofrep_call_begin(struct stream *s)
{
    const struct listener *l = s->to.listener;

    if (!l || !l->conf || !l->conf->ofrep.enabled || !str_starts(s->path, STR(BASE)))
        return false;
    s->call = arena_zalloc(&s->arena, sizeof(*s->call));
    s->call->stream = s;
    return true;
}

/* ---- who asks ---- */

/* However much of it is right, it takes as long. */
static bool same_secret(struct str a, struct str b)
{
    unsigned char differ = a.n != b.n;

    for (size_t i = 0; i < a.n && i < b.n; i++)
        differ |= (unsigned char)(a.p[i] ^ b.p[i]);
    return differ == 0;
}

static struct str field_value(struct stream *s, struct str name)
{
    const struct field *f = head_find(&s->req, name, 0);

    return f ? head_value(&s->req, f) : STR_NONE;
}

static struct str shown_key(struct stream *s)
{
    struct str auth = field_value(s, STR("authorization")), scheme = str_cut(&auth, ' ');

    return str_ieq(scheme, STR("bearer")) ? str_trim(auth) : field_value(s, STR("x-api-key"));
}

static bool may_ask(struct stream *s)
{
    const struct conf_ofrep *c = settings(s);
    struct str key = shown_key(s);
    bool known = c->nkeys == 0;

    for (size_t i = 0; i < c->nkeys; i++)
        known |= same_secret(c->keys[i], key);
    return known;
}

/* ---- fields of answers ---- */

/* "*", the origin of the page, or STR_NONE: its scripts learn nothing. */
static struct str allowed_origin(struct stream *s)
{
    const struct conf_ofrep *c = settings(s);
    struct str origin = field_value(s, STR("origin"));

    for (size_t i = 0; i < c->norigins; i++) {
        if (str_eq(c->origins[i], STR("*")))
            return STR("*");
        if (str_eq(c->origins[i], origin))
            return origin;
    }
    return STR_NONE;
}

/* Fetch standard, 3.3.3. */
static void put_cors(struct stream *s, struct out *o)
{
    struct str origin = allowed_origin(s);

    if (settings(s)->norigins && !str_eq(origin, STR("*")))
        out_put(o, STR("Vary: Origin\r\n"));
    if (!origin.n)
        return;
    head_write_known(o, STR("Access-Control-Allow-Origin"), origin);
    if (s->req.method != METHOD_OPTIONS) {
        out_put(o, STR("Access-Control-Expose-Headers: ETag, Retry-After\r\n"));
        return;
    }
    out_put(o, STR("Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                   "Access-Control-Allow-Headers: Content-Type, Authorization, X-API-Key, "
                   "If-None-Match, Flagd-Selector, Last-Event-ID\r\n"
                   "Access-Control-Max-Age: 86400\r\n"));
}

static struct out fields_of(struct stream *s)
{
    size_t cap = FIELDS_CAP + field_value(s, STR("origin")).n;
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);

    put_cors(s, &o);
    out_put(&o, STR("Cache-Control: no-store\r\n"));
    return o;
}

/* {"errorDetails":WHAT}, which needs no quoting. */
static void refuse(struct stream *s, enum ending why, int status, struct str extra,
                   struct str what)
{
    struct out o = fields_of(s);
    char body[160];
    struct out text = out_init(body, sizeof(body));

    out_put(&o, extra);
    out_put(&o, STR("Content-Type: application/json\r\n"));
    out_put(&text, STR("{\"errorDetails\":\""));
    out_put(&text, what);
    out_put(&text, STR("\"}"));
    ASSERT(!o.full && !text.full);
    stream_reply(s, why, status, out_text(&o), out_text(&text));
}

/* ---- what is asked ---- */

/* As it was sent: a key may have slashes and dots that a path would lose. */
static enum resource resource_of(struct stream *s, struct str *key)
{
    struct str path, query, rest;

    uri_split(head_path(&s->req), &path, &query);
    rest = str_starts(path, STR(BASE)) ? str_skip(path, strlen(BASE)) : STR_NONE;
    if (str_eq(rest, STR("sse")))
        return RESOURCE_EVENTS;
    if (str_eq(rest, STR(FLAGS)) || str_eq(rest, STR(FLAGS "/")))
        return RESOURCE_ALL;
    if (!str_starts(rest, STR(FLAGS "/")) || rest.n > KEY_ENOUGH)
        return RESOURCE_NONE;
    rest = str_skip(rest, strlen(FLAGS "/"));
    *key = uri_decode(rest, arena_alloc(&s->arena, rest.n), rest.n);
    return RESOURCE_ONE;
}

static struct str body_of(const struct stream *s)
{
    return s->call->body.n ? s->call->body : s->kept;
}

static void give_answer(struct stream *s, const struct ofrep_answer *a)
{
    struct out o = fields_of(s);

    if (a->tag[0])
        head_write_known(&o, STR("ETag"), str_of(a->tag));
    if (a->status != 304)
        out_put(&o, STR("Content-Type: application/json\r\n"));
    ASSERT(!o.full);
    stream_reply(s, END_RESPONDED, a->status, out_text(&o), a->body);
}

/* What was evaluated for this answer, also for needs of other flags. */
static void count_all(struct plane *p)
{
    for (size_t i = 0; p->flags && i < flagset_count(p->flags); i++) {
        if (flag_known(p->flag_ctx, (int)i))
            flag_context_count(p, (int)i);
    }
}

static void evaluate(struct stream *s, enum resource what, struct str key)
{
    struct plane *p = s->plane;
    struct ofrep_question q = {
        .set = p->flags,
        .ctx = p->flag_ctx,
        .arena = &s->arena,
        .body = body_of(s),
        .selector = field_value(s, STR("flagd-selector")),
        .have = head_get(&s->req, FIELD_IF_NONE_MATCH),
        .now_unix = loop_wall_ms(p->loop) / 1000,
        .events = true,
    };
    struct ofrep_answer a;

    if (what == RESOURCE_ALL) {
        ofrep_ask_all(&p->ofrep, &q, &a);
        if (a.status == 200 || a.status == 304)
            count_all(p);
    } else {
        ofrep_ask(&p->ofrep, &q, key, &a);
        if (a.flag >= 0)
            flag_context_count(p, a.flag);
    }
    give_answer(s, &a);
}

static bool within_rate(struct stream *s)
{
    const struct conf_rate *c = &settings(s)->rate;
    struct gcra g;

    if (c->requests == 0)
        return true;
    g = gcra_of(c->requests, c->per_ms, c->burst);
    return admit_rate(s, c, hash64(s->to.listener->conf->name, RATE_SEED), &g);
}

static void answer(struct stream *s)
{
    struct str key = STR_NONE;
    enum resource what = resource_of(s, &key);
    enum method wanted = what == RESOURCE_EVENTS ? METHOD_GET : METHOD_POST;

    if (what == RESOURCE_NONE) {
        refuse(s, END_RESPONDED, 404, STR_NONE, STR("there is no such resource"));
    } else if (s->req.method == METHOD_OPTIONS) {
        struct out o = fields_of(s);

        out_put(&o, what == RESOURCE_EVENTS ? STR("Allow: GET, OPTIONS\r\n")
                                            : STR("Allow: POST, OPTIONS\r\n"));
        stream_reply(s, END_RESPONDED, 204, out_text(&o), STR_NONE);
    } else if (s->req.method != wanted) {
        refuse(s, END_BAD_METHOD, 405,
               wanted == METHOD_GET ? STR("Allow: GET, OPTIONS\r\n")
                                    : STR("Allow: POST, OPTIONS\r\n"),
               STR("the method is not allowed here"));
    } else if (what == RESOURCE_EVENTS) {
        struct out o = fields_of(s);

        ofrep_events_open(s, out_text(&o), field_value(s, STR("last-event-id")));
    } else {
        evaluate(s, what, key);
    }
}

/* ---- its body ---- */

static void too_long(struct stream *s)
{
    refuse(s, END_BODY_TOO_LARGE, 413, STR_NONE,
           STR("the question is longer than 1000000 bytes"));
}

/* Who may not ask need not finish the question. Events carry nothing that needs a key. */
static bool admitted(struct stream *s)
{
    bool open = s->req.method == METHOD_OPTIONS || str_eq(s->path, STR(OFREP_EVENTS));

    if (!within_rate(s))
        refuse(s, END_RATE_LIMITED, 429, STR_NONE, STR("too many requests"));
    else if (!open && !may_ask(s))
        refuse(s, END_RESPONDED, 401, STR("WWW-Authenticate: Bearer\r\n"),
               STR("a key is needed: Authorization: Bearer, or X-API-Key"));
    else if (s->req.framing == FRAMING_LENGTH && s->req.length > OFREP_BODY_MAX)
        too_long(s);
    return s->state != STREAM_DONE;
}

void ofrep_call_start(struct stream *s)
{
    s->up = s->req.framing == FRAMING_NONE ? HALF_ENDED : HALF_OPEN;
    if (!admitted(s))
        return;
    if (s->up == HALF_ENDED)
        answer(s);
    else if (s->req.expect && s->req.minor)
        s->to.ops->head(s->to.self, &(struct message){.status = 100});
}

/* No more room than twice what came, whatever a Content-Length promised. */
static void append(struct stream *s, struct str bytes)
{
    struct ofrep_call *c = s->call;
    size_t need = c->body.n + bytes.n;
    char *room = (char *)(uintptr_t)c->body.p; /* our own */

    if (need > c->room) {
        c->room = need * 2 > BODY_FIRST ? need * 2 : BODY_FIRST;
        room = arena_alloc(&s->arena, c->room);
        if (c->body.n)
            memcpy(room, c->body.p, c->body.n);
    }
    if (bytes.n)
        memcpy(room + c->body.n, bytes.p, bytes.n);
    c->body = (struct str){room, need};
}

void ofrep_call_keep(struct stream *s)
{
    if (!s->call->body.n)
        append(s, s->kept);
}

bool ofrep_call_body(struct stream *s, struct str bytes)
{
    if (s->bytes_in > OFREP_BODY_MAX) {
        too_long(s);
        return false;
    }
    if (!s->replayable)
        append(s, bytes);
    return true;
}

void ofrep_call_body_end(struct stream *s)
{
    answer(s);
}

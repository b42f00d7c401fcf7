/* forward.c - heads as they go on. Own fields are added after stripping, so that no Connection
 * option of a client removes them. */
#include "proxy/stream/forward.h"

#include "proxy/http/forwarded.h"
#include "proxy/http/websocket.h"
#include "proxy/stream/action.h"
#include "proxy/stream/attempt.h"

#define TRACE_ID    32
#define TRACEPARENT 55 /* "00-" 32 hex "-" 16 hex "-" 2 hex */
#define EXTRA_SLACK 512

#define UPGRADE_FIELDS STR("Connection: Upgrade\r\nUpgrade: websocket\r\n")

/* Never copied from a request: written anew, or nobody's but ours to say. */
static const bool skip_request[FIELD_NIDS] = {
    [FIELD_HOST] = true,
    [FIELD_CONTENT_LENGTH] = true,
    [FIELD_TRANSFER_ENCODING] = true,
    [FIELD_FORWARDED] = true,
    [FIELD_X_REAL_IP] = true,
    [FIELD_X_FORWARDED_FOR] = true,
    [FIELD_X_FORWARDED_HOST] = true,
    [FIELD_X_FORWARDED_PORT] = true,
    [FIELD_X_FORWARDED_PROTO] = true,
    [FIELD_X_FORWARDED_PREFIX] = true,
    [FIELD_X_CLIENT_CERT_SUBJECT] = true,
    [FIELD_X_REQUEST_ID] = true,
    [FIELD_X_SLUICE_MIRROR] = true,
    [FIELD_TRACEPARENT] = true,
    [FIELD_EXPECT] = true,
};

/* Of a trusted peer: what it says of hops before it stays true. */
static const bool skip_trusted[FIELD_NIDS] = {
    [FIELD_HOST] = true,
    [FIELD_CONTENT_LENGTH] = true,
    [FIELD_TRANSFER_ENCODING] = true,
    [FIELD_FORWARDED] = true,
    [FIELD_X_FORWARDED_FOR] = true,
    [FIELD_X_FORWARDED_HOST] = true,
    [FIELD_X_FORWARDED_PROTO] = true,
    [FIELD_X_REQUEST_ID] = true,
    [FIELD_TRACEPARENT] = true,
    [FIELD_EXPECT] = true,
};

static const bool skip_answer[FIELD_NIDS] = {
    [FIELD_CONTENT_LENGTH] = true,
    [FIELD_TRANSFER_ENCODING] = true,
    [FIELD_X_REQUEST_ID] = true,
};

/* An answer without a body keeps the length that its body would have had; 1xx and 204 have no
 * such thing (RFC 9110 8.6). */
static const bool skip_bodyless[FIELD_NIDS] = {
    [FIELD_TRANSFER_ENCODING] = true,
    [FIELD_X_REQUEST_ID] = true,
};

static bool sane_id(struct str s)
{
    if (s.n == 0 || s.n > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

static bool lower_hex(struct str s)
{
    bool some = false;

    for (size_t i = 0; i < s.n; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
        some |= s.p[i] != '0';
    }
    return some;
}

/* W3C Trace Context 3.2, version 00. */
static bool sane_trace(struct str s)
{
    return s.n == TRACEPARENT && str_starts(s, STR("00-")) && s.p[35] == '-' &&
           s.p[52] == '-' && lower_hex((struct str){s.p + 3, TRACE_ID}) &&
           lower_hex((struct str){s.p + 36, 16});
}

static struct str random_hex(struct stream *s, size_t digits)
{
    struct out o = out_init(arena_alloc(&s->arena, digits), digits);

    while (o.n < digits)
        out_hex(&o, rng_next(&s->plane->rng), 16);
    return out_text(&o);
}

void forward_ids(struct stream *s)
{
    struct str id = head_get(&s->req, FIELD_X_REQUEST_ID);
    struct str trace = head_get(&s->req, FIELD_TRACEPARENT);

    s->request_id = sane_id(id) ? id : random_hex(s, TRACE_ID);
    s->trace_id =
        sane_trace(trace) ? (struct str){trace.p + 3, TRACE_ID} : random_hex(s, TRACE_ID);
}

static const struct conf_listener *listener_conf(const struct stream *s)
{
    return s->to.listener ? s->to.listener->conf : NULL;
}

void forward_client(struct stream *s)
{
    const struct conf_listener *l = listener_conf(s);
    uint8_t ip[16];

    if (!l || l->ntrusted_proxies == 0 || !network_ip(s->peer, ip))
        return;
    s->trusted = network_match(l->trusted_proxies, l->ntrusted_proxies, ip);
    if (s->trusted)
        s->client = forwarded_client(&s->req, l->trusted_proxies, l->ntrusted_proxies, s->peer);
}

void forward_strip_flags(struct stream *s)
{
    static const struct str prefix = STR_INIT("x-flag-"),
                            attempts = STR_INIT("x-sluice-attempts");

    for (uint16_t i = 0; i < s->req.nfields; i++) {
        struct field *f = &s->req.fields[i];
        struct str name = head_name(&s->req, f);

        if (f->id == FIELD_OTHER && name.n > prefix.n && ascii_lower(name.p[0]) == 'x') {
            f->hop |= str_ieq(name, attempts);
            name.n = prefix.n;
            f->hop |= str_ieq(name, prefix);
        }
    }
}

static void put_traceparent(struct out *o, struct stream *s)
{
    struct str given = head_get(&s->req, FIELD_TRACEPARENT);

    if (s->trace_id.p == given.p + 3) {
        head_write_known(o, STR("traceparent"), given);
        return;
    }
    out_put(o, STR("traceparent: 00-"));
    out_put(o, s->trace_id);
    out_char(o, '-');
    out_hex(o, rng_next(&s->plane->rng) | 1, 16);
    out_put(o, STR("-01\r\n"));
}

/* For whom the request is made: X-Forwarded-* and, if asked for, Forwarded. */
static void put_forwarded(struct out *o, struct stream *s, struct str host)
{
    const struct conf_listener *l = listener_conf(s);
    struct str proto = s->trusted ? forwarded_proto(&s->req) : STR_NONE;
    struct str scheme = s->to.tls ? STR("https") : STR("http");
    struct str given = s->trusted ? head_get(&s->req, FIELD_X_FORWARDED_HOST) : STR_NONE;

    proto = proto.n ? proto : scheme;
    forwarded_write_for(o, &s->req, s->trusted, s->peer);
    head_write_known(o, STR("X-Forwarded-Proto"), proto);
    if (given.n || s->req.authority.n)
        head_write_known(o, STR("X-Forwarded-Host"), given.n ? given : host);
    if (l && l->forwarded)
        forwarded_write_element(o, &s->req, s->trusted, s->peer,
                                s->req.authority.n ? host : STR_NONE, scheme);
}

/* Trailer announces what is passed on, so it is passed on too. */
static void keep_announcement(struct head *h)
{
    for (size_t i = h->first[FIELD_TRAILER]; i && i <= h->nfields; i++)
        if (h->fields[i - 1].id == FIELD_TRAILER)
            h->fields[i - 1].hop = false;
}

/* A client that speaks HTTP/2 asks without a key (RFC 8441 5.1). */
static void put_key(struct stream *s, struct out *o)
{
    uint64_t random[2] = {rng_next(&s->plane->rng), rng_next(&s->plane->rng)};
    char *key = arena_alloc(&s->arena, WEBSOCKET_KEY);

    websocket_key(key, random);
    s->websocket = (struct str){key, WEBSOCKET_KEY};
    head_write_known(o, STR("Sec-WebSocket-Key"), s->websocket);
}

/* What holds for this hop alone. */
static void put_hop(struct stream *s, struct out *o)
{
    if (s->req.upgrade)
        out_put(o, UPGRADE_FIELDS);
    else if (s->req.trailers)
        out_put(o, STR("Connection: TE\r\nTE: trailers\r\n"));
    if (s->hold)
        out_put(o, STR("Expect: 100-continue\r\n"));
    if (s->req.upgrade && s->to.http2)
        put_key(s, o);
}

static struct str endpoint_host(const struct stream *s)
{
    bool named = s->endpoint_name.n && !str_starts(s->endpoint_name, STR("unix:"));

    return named ? s->endpoint_name : STR("localhost");
}

void forward_attempts(struct stream *s, struct out *o)
{
    if (s->tries > 1)
        head_write_u64(o, STR("X-Sluice-Attempts"), s->tries);
}

void forward_request(struct stream *s, struct message *m)
{
    struct str host = head_authority(&s->req);
    struct str subject = s->to.tls ? s->to.tls->subject : STR_NONE;
    size_t cap = EXTRA_SLACK + 2 * host.n + s->request_id.n + s->flag_lines.n + subject.n +
                 forwarded_size(&s->req, s->peer, host) + action_size(&s->route->request);
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);

    if (!host.n)
        host = endpoint_host(s); /* HTTP/1.0 without one; HTTP/1.1 must have it */
    head_write_known(&o, STR("Host"), host);
    put_forwarded(&o, s, host);
    if (subject.n)
        head_write_known(&o, STR("X-Client-Cert-Subject"), subject);
    head_write_known(&o, STR("X-Request-Id"), s->request_id);
    put_traceparent(&o, s);
    out_put(&o, STR("Via: "));
    out_put(&o, str_skip(stream_protocol(s), 5)); /* without "HTTP/": RFC 9110 7.6.3 */
    out_put(&o, STR(" sluice\r\n"));
    put_hop(s, &o);
    forward_attempts(s, &o);
    rpc_put_timeout(s, &o);
    out_put(&o, s->flag_lines);
    action_write(&s->route->request, &o);
    ASSERT(!o.full);
    if (s->req.framing == FRAMING_CHUNKED)
        keep_announcement(&s->req);
    *m = (struct message){
        .from = &s->req,
        .skip = s->trusted ? skip_trusted : skip_request,
        .extra = out_text(&o),
        .path = s->forward_path,
        .framing = s->req.framing,
        .length = s->req.length,
    };
}

void forward_answer(struct stream *s, struct message *m)
{
    const struct conf_sticky *sticky = &s->service->conf->sticky;
    const struct conf_edit *edit = &s->route->response;
    size_t cap = EXTRA_SLACK + s->limit_fields.n + s->request_id.n +
                 (s->minted ? sticky->name.n : 0) + action_size(edit);
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);

    m->skip = m->bodyless && m->status >= 200 && m->status != 204 ? skip_bodyless : skip_answer;
    if (s->tunnel)
        out_put(&o, UPGRADE_FIELDS);
    else if (s->req.trailers && s->req.minor && m->framing == FRAMING_CHUNKED)
        keep_announcement(&s->attempt->resp);
    out_put(&o, STR("Via: 1.1 sluice\r\n"));
    head_write_known(&o, STR("X-Request-Id"), s->request_id);
    forward_attempts(s, &o);
    out_put(&o, s->limit_fields);
    if (s->minted)
        sticky_write_cookie(&o, sticky, (struct str){s->key, STICKY_KEY}, false);
    if (m->status >= 200) {
        action_strip(edit, &s->attempt->resp);
        action_write(edit, &o);
    }
    ASSERT(!o.full);
    m->extra = out_text(&o);
}

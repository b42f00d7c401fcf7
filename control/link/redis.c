/*
 * redis.c - one Redis connection on the loop: hiredis parses and formats, an io carries it,
 * with TLS where the URL says so; the rest is here.
 *
 * Answers come in the order of the commands, so the queue of waiting commands is the only
 * state that joins them. Whatever goes wrong ends in drop(): the socket is closed, everybody
 * who waits is told on a later turn, and the next attempt is a timer away. There is no other
 * ending but redis_close.
 */
#include "control/link/redis.h"

#include "control/link/resolve.h"
#include "proxy/base/arena.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "proxy/event/io.h"
#include "proxy/event/loop.h"
#include "proxy/event/tls_client.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>

#define REDIS_MAGIC    0x52454453u /* REDS */
#define BACKOFF_MIN_MS 100

enum redis_state {
    REDIS_WAITING,    /* for the next attempt */
    REDIS_RESOLVING,  /* for the addresses of its name */
    REDIS_CONNECTING, /* for the connection, and its TLS */
    REDIS_GREETING,   /* for the answers to AUTH, SELECT, SUBSCRIBE or PING */
    REDIS_READY
};

struct command { /* waits for its answer, or for being told that there is none */
    STAILQ_ENTRY(command) link;
    redis_cb *cb; /* NULL: nobody wants to know */
    void *arg;
    uint64_t deadline_ms;
    char why[160]; /* once it failed */
};
STAILQ_HEAD(commands, command);

struct redis { /* owned by whoever opened it; freed by the graveyard */
    uint32_t magic;
    struct loop *loop;
    const struct redis_events *events; /* borrowed */
    void *arg;
    struct arena arena; /* of the options' text */
    struct redis_options o;
    struct str host, user, password, db;
    uint16_t port;
    bool secure; /* rediss:// */

    enum redis_state state;
    bool closed;
    struct resolve *resolving;
    unsigned attempts;
    struct io_set ios; /* of the one io */
    struct io io;      /* open in the last three states */
    struct tls_session session;
    struct timer deadline, retry;
    uint64_t backoff_ms;
    struct rng rng;
    unsigned greetings; /* answers that are missing before it is ready */

    redisReader *reader;
    size_t unfinished; /* bytes of the answer that is not complete yet */
    struct commands waiting, failed;
    struct post tell;
    struct grave grave;
};

static void drop(struct redis *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- the URL ---- */

static int hex(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded; a '%' that begins no escape stays. */
static struct str unescape(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            out[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        } else {
            out[n++] = s.p[i];
        }
    }
    out[n] = 0;
    return (struct str){out, n};
}

static void read_credentials(struct redis *r, struct str *rest)
{
    const char *at = rest->n ? memrchr(rest->p, '@', rest->n) : NULL;
    struct str both;

    if (!at)
        return;
    both = (struct str){rest->p, (size_t)(at - rest->p)};
    r->user = unescape(&r->arena, str_cut(&both, ':'));
    r->password = unescape(&r->arena, both);
    *rest = str_skip(*rest, (size_t)(at - rest->p) + 1);
}

static const char *read_host(struct redis *r, struct str authority)
{
    uint64_t number;

    if (str_starts(authority, STR("["))) {
        authority = str_skip(authority, 1);
        r->host = arena_str(&r->arena, str_cut(&authority, ']'));
        if (authority.n && authority.p[0] != ':')
            return "no ':' behind ']'";
        authority = str_skip(authority, 1);
    } else {
        r->host = arena_str(&r->arena, str_cut(&authority, ':'));
    }
    if (r->host.n == 0)
        return "no host";
    if (!str_to_u64(authority.n ? authority : STR("6379"), 65535, &number) || number == 0)
        return "bad port";
    r->port = (uint16_t)number;
    return NULL;
}

static const char *read_url(struct redis *r, struct str url)
{
    struct str rest = url, authority;
    uint64_t db;
    const char *bad;

    r->secure = str_starts(url, STR("rediss://"));
    if (!r->secure && !str_starts(url, STR("redis://")))
        return "it does not begin with redis:// or rediss://";
    rest = str_skip(url, r->secure ? strlen("rediss://") : strlen("redis://"));
    read_credentials(r, &rest);
    authority = str_cut(&rest, '/');
    bad = read_host(r, authority);
    if (bad)
        return bad;
    if (rest.n && !str_to_u64(rest, 1 << 20, &db))
        return "the database behind '/' must be a number";
    r->db = arena_str(&r->arena, rest);
    return NULL;
}

/* ---- commands out ---- */

static void queue(struct redis *r, size_t argc, const struct str *argv)
{
    const char **words = xmalloc(argc * sizeof(*words));
    size_t *sizes = xmalloc(argc * sizeof(*sizes));
    sds text;
    int n;

    for (size_t i = 0; i < argc; i++) {
        words[i] = argv[i].n ? argv[i].p : "";
        sizes[i] = argv[i].n;
    }
    n = redisFormatSdsCommandArgv(&text, (int)argc, words, sizes);
    ASSERT(n > 0);
    io_write(&r->io, (struct str){text, (size_t)n}); /* leaves at the end of the turn */
    redisFreeSdsCommand(text);
    xfree(words);
    xfree(sizes);
}

/* The timer runs for the command that has waited longest. */
static void watch_deadline(struct redis *r)
{
    const struct command *c = STAILQ_FIRST(&r->waiting);
    uint64_t now = loop_now_ms(r->loop);

    if (r->state != REDIS_READY)
        return;
    if (!c)
        timer_stop(&r->deadline);
    else
        timer_start(&r->deadline, c->deadline_ms > now ? c->deadline_ms - now : 0);
}

/* ---- the endings ---- */

static void on_tell(void *arg)
{
    struct redis *r = CAST(redis, REDIS_MAGIC, arg);
    struct command *c;

    while (!r->closed && (c = STAILQ_FIRST(&r->failed)) != NULL) {
        STAILQ_REMOVE_HEAD(&r->failed, link);
        if (c->cb)
            c->cb(c->arg, NULL, c->why);
        xfree(c);
    }
}

static void fail_command(struct redis *r, struct command *c, const char *why)
{
    str_copy(c->why, sizeof(c->why), str_of(why));
    STAILQ_INSERT_TAIL(&r->failed, c, link);
    loop_post(r->loop, &r->tell, on_tell, r);
}

static void disconnect(struct redis *r)
{
    timer_stop(&r->deadline);
    timer_stop(&r->retry);
    resolve_cancel(r->resolving);
    r->resolving = NULL;
    io_close(&r->io);
    r->state = REDIS_WAITING;
}

/* Lost, or not to be had: tell everybody, try again later. Ends with a call-out. */
static void drop(struct redis *r, const char *fmt, ...)
{
    struct command *c;
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    disconnect(r);
    while ((c = STAILQ_FIRST(&r->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&r->waiting, link);
        fail_command(r, c, why);
    }
    timer_start(&r->retry, r->backoff_ms / 2 + rng_below(&r->rng, (uint32_t)r->backoff_ms));
    r->backoff_ms =
        r->backoff_ms * 2 < r->o.backoff_max_ms ? r->backoff_ms * 2 : r->o.backoff_max_ms;
    if (r->events->down)
        r->events->down(r->arg, why);
}

/* ---- answers in ---- */

static void convert(struct arena *a, const redisReply *in, struct resp *out)
{
    struct resp *items;

    *out = (struct resp){.type = RESP_NIL, .s = {in->str, in->str ? in->len : 0}};
    switch (in->type) {
    case REDIS_REPLY_STRING:
        out->type = RESP_TEXT;
        break;
    case REDIS_REPLY_STATUS:
        out->type = RESP_STATUS;
        break;
    case REDIS_REPLY_ERROR:
        out->type = RESP_ERROR;
        break;
    case REDIS_REPLY_INTEGER:
        out->type = RESP_INT;
        out->n = in->integer;
        break;
    case REDIS_REPLY_ARRAY: /* hiredis bounds how deep they nest */
        out->type = RESP_LIST;
        out->nitems = in->elements;
        out->items = items = arena_alloc(a, (in->elements + 1) * sizeof(*items));
        for (size_t i = 0; i < in->elements; i++)
            convert(a, in->element[i], &items[i]);
        break;
    default:
        break;
    }
}

static void answer_greeting(struct redis *r, const struct resp *v)
{
    if (v->type == RESP_ERROR) {
        drop(r, "greeting refused: %.*s", STR_ARG(v->s));
        return;
    }
    if (--r->greetings > 0)
        return;
    r->state = REDIS_READY;
    r->backoff_ms = BACKOFF_MIN_MS;
    timer_stop(&r->deadline);
    if (r->events->up)
        r->events->up(r->arg);
}

static void answer_message(struct redis *r, const struct resp *v)
{
    bool message = v->type == RESP_LIST && v->nitems == 3 &&
                   str_eq(v->items[0].s, STR("message")) && v->items[2].type == RESP_TEXT;

    if (message && r->events->message)
        r->events->message(r->arg, v->items[2].s);
}

static void answer_command(struct redis *r, const struct resp *v)
{
    struct command *c = STAILQ_FIRST(&r->waiting);

    if (!c) {
        drop(r, "an answer that nobody asked for");
        return;
    }
    STAILQ_REMOVE_HEAD(&r->waiting, link);
    watch_deadline(r);
    if (c->cb)
        c->cb(c->arg, v, NULL);
    xfree(c);
}

static void answer(struct redis *r, const redisReply *reply)
{
    struct arena a;
    struct resp v;

    arena_init(&a, NULL, 0);
    convert(&a, reply, &v);
    if (r->state == REDIS_GREETING)
        answer_greeting(r, &v);
    else if (r->o.channel.n)
        answer_message(r, &v);
    else
        answer_command(r, &v);
    arena_release(&a);
}

/* All answers that are complete. False: the connection is not there any more. */
static bool parse(struct redis *r)
{
    for (;;) {
        void *reply = NULL;

        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
            drop(r, "protocol error: %s", r->reader->errstr);
            return false;
        }
        if (!reply)
            return true;
        r->unfinished = 0;
        answer(r, reply);
        freeReplyObject(reply);
        if (r->closed || r->io.fd < 0)
            return false;
    }
}

static void on_bytes(struct redis *r)
{
    struct str got = block_str(r->io.in);
    bool fed = redisReaderFeed(r->reader, got.p, got.n) == REDIS_OK;

    r->io.in->start += (uint32_t)got.n; /* all of it is the reader's now */
    r->unfinished += got.n;
    if (!fed) {
        drop(r, "protocol error: %s", r->reader->errstr);
        return;
    }
    if (parse(r) && r->unfinished > r->o.max_reply)
        drop(r, "an answer of more than %zu bytes", r->o.max_reply);
}

/* ---- connecting ---- */

static void greet(struct redis *r)
{
    struct str auth[3] = {STR("AUTH"), r->user, r->password};
    struct str select[2] = {STR("SELECT"), r->db};
    struct str last[2] = {STR("SUBSCRIBE"), r->o.channel};
    struct str ping = STR("PING");

    r->greetings = 1;
    if (r->password.n) {
        if (r->user.n == 0)
            auth[1] = r->password;
        queue(r, r->user.n ? 3 : 2, auth);
        r->greetings++;
    }
    if (r->db.n) {
        queue(r, 2, select);
        r->greetings++;
    }
    queue(r, r->o.channel.n ? 2 : 1, r->o.channel.n ? last : &ping);
    r->state = REDIS_GREETING;
    r->unfinished = 0;
}

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct redis *r = CAST(redis, REDIS_MAGIC, owner);
    const char *doing = r->state == REDIS_CONNECTING ? "connect: " : "";

    switch (ev) {
    case IO_OPEN:
        greet(r);
        break;
    case IO_DATA:
        on_bytes(r);
        break;
    case IO_DRAINED:
        break; /* not asked for */
    case IO_EOF:
        drop(r, "%sclosed by the server", doing);
        break;
    case IO_ERROR:
        drop(r, "%s%s", doing, io->error == EPROTO ? "TLS failed" : strerror(io->error));
        break;
    }
}

/* False: errno. */
static bool connect_to(struct redis *r, const struct sockaddr_storage *to)
{
    socklen_t size =
        to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int on = 1;

    if (io_connect(&r->io, &r->ios, (const struct sockaddr *)to, size, on_io, r) < 0)
        return false;
    r->io.bulk = true;
    setsockopt(r->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(r->io.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    errno = EPROTO;
    return !r->secure ||
           (r->o.tls && io_connect_tls(&r->io, r->o.tls, &r->session, r->host, 0));
}

/* Of several addresses each attempt takes the next. */
static void on_resolved(void *arg, const struct sockaddr_storage *list, size_t n,
                        const char *why)
{
    struct redis *r = CAST(redis, REDIS_MAGIC, arg);

    r->resolving = NULL;
    if (!list) {
        drop(r, "%s: %s", r->host.p, why);
        return;
    }
    redisReaderFree(r->reader);
    r->reader = redisReaderCreate();
    ASSERT(r->reader);
    r->state = REDIS_CONNECTING;
    if (!connect_to(r, &list[r->attempts++ % n]))
        drop(r, "connect: %s", errno == EPROTO ? "TLS is not ready" : strerror(errno));
}

static void on_retry(void *arg)
{
    struct redis *r = CAST(redis, REDIS_MAGIC, arg);
    struct conf_dns system = {.timeout_ms = r->o.connect_ms / 2 + 1};

    r->state = REDIS_RESOLVING;
    timer_start(&r->deadline, r->o.connect_ms);
    r->resolving = resolve_start(r->loop, &system, r->host.p, r->port, on_resolved, r);
}

static void on_deadline(void *arg)
{
    struct redis *r = CAST(redis, REDIS_MAGIC, arg);

    drop(r, "no answer within %llu ms",
         (unsigned long long)(r->state == REDIS_READY ? r->o.command_ms : r->o.connect_ms));
}

/* ---- what others call ---- */

static void set_defaults(struct redis_options *o)
{
    o->connect_ms = o->connect_ms ? o->connect_ms : 2000;
    o->command_ms = o->command_ms ? o->command_ms : 2000;
    o->backoff_max_ms = o->backoff_max_ms ? o->backoff_max_ms : 5000;
    o->max_reply = o->max_reply ? o->max_reply : (size_t)64 << 20;
}

struct redis *redis_open(struct loop *l, const struct redis_options *o,
                         const struct redis_events *events, void *arg, char **why)
{
    struct redis *r = xcalloc(1, sizeof(*r));
    const char *bad;
    uint64_t seed;

    MAGIC_SET(r, REDIS_MAGIC);
    arena_init(&r->arena, NULL, 0);
    bad = read_url(r, o->url);
    if (bad) {
        *why = xasprintf("%.*s: %s", STR_ARG(o->url), bad);
        arena_release(&r->arena);
        xfree(r);
        return NULL;
    }
    r->loop = l;
    r->events = events;
    r->arg = arg;
    r->o = *o;
    r->o.channel = arena_str(&r->arena, o->channel);
    set_defaults(&r->o);
    r->io.fd = -1;
    io_set_init(&r->ios, l);
    r->backoff_ms = BACKOFF_MIN_MS;
    rng_secure(&seed, sizeof(seed));
    rng_seed(&r->rng, seed);
    STAILQ_INIT(&r->waiting);
    STAILQ_INIT(&r->failed);
    timer_init(&r->deadline, l, on_deadline, r);
    timer_init(&r->retry, l, on_retry, r);
    timer_start(&r->retry, 0);
    return r;
}

static void free_commands(struct commands *list)
{
    struct command *c;

    while ((c = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        xfree(c);
    }
}

static void on_buried(void *arg)
{
    struct redis *r = CAST(redis, REDIS_MAGIC, arg);

    free_commands(&r->waiting);
    free_commands(&r->failed);
    redisReaderFree(r->reader);
    tls_session_clear(&r->session);
    io_set_release(&r->ios);
    arena_release(&r->arena);
    r->magic = 0;
    xfree(r);
}

void redis_close(struct redis *r)
{
    if (!r || r->closed)
        return;
    r->closed = true;
    disconnect(r);
    loop_unpost(r->loop, &r->tell);
    loop_bury(r->loop, &r->grave, on_buried, r);
}

bool redis_is_up(const struct redis *r)
{
    return r && r->state == REDIS_READY;
}

void redis_command(struct redis *r, size_t argc, const struct str *argv, redis_cb *cb,
                   void *arg)
{
    struct command *c = xcalloc(1, sizeof(*c));

    ASSERT(argc > 0 && r->o.channel.n == 0);
    c->cb = cb;
    c->arg = arg;
    c->deadline_ms = loop_now_ms(r->loop) + r->o.command_ms;
    if (r->state != REDIS_READY) {
        fail_command(r, c, "not connected");
        return;
    }
    queue(r, argc, argv);
    STAILQ_INSERT_TAIL(&r->waiting, c, link);
    watch_deadline(r);
}

void redis_reconnect(struct redis *r, const char *why)
{
    if (r->state > REDIS_RESOLVING)
        drop(r, "%s", why);
}

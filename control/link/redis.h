/*
 * redis.h - a Redis client (RESP2) on the loop: one connection that comes back by itself.
 *
 * Connects at once and again after a loss, with backoff and jitter; AUTH and SELECT are part of
 * connecting. Every command is answered exactly once, never before redis_command returns: with
 * a value, or with NULL and a reason when there is no connection, it is lost, or no answer came
 * in time (which closes the connection: answers have no names). A connection that subscribes
 * takes no commands.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct loop;
struct tls_client;

enum resp_type { RESP_NIL, RESP_INT, RESP_TEXT, RESP_STATUS, RESP_ERROR, RESP_LIST };
struct resp { /* valid during the callback */
    enum resp_type type;
    int64_t n;                /* RESP_INT */
    struct str s;             /* RESP_TEXT, RESP_STATUS, RESP_ERROR */
    const struct resp *items; /* RESP_LIST */
    size_t nitems;
};

struct redis_options {
    struct str url; /* "redis://[user:pass@]host[:port][/db]", "rediss://" with TLS; user may
                       be empty */
    struct tls_client *tls;  /* for rediss; borrowed. One that is not set yet is waited for */
    struct str channel;      /* subscribe to this; empty: a connection for commands */
    uint64_t connect_ms;     /* connecting, AUTH and SELECT together; 0: 2000 */
    uint64_t command_ms;     /* an answer; 0: 2000 */
    uint64_t backoff_max_ms; /* between attempts, from 100 doubling; 0: 5000 */
    size_t max_reply;        /* bytes of one answer, also the sum of its parts; 0: 64 MiB */
};

struct redis_events {                            /* NULL members are not called */
    void (*up)(void *arg);                       /* ready for commands, or subscribed */
    void (*down)(void *arg, const char *why);    /* lost, or an attempt failed */
    void (*message)(void *arg, struct str text); /* from the channel */
};

struct redis;
typedef void redis_cb(void *arg, const struct resp *r, const char *why);

/* NULL and a malloc'd reason when the URL is bad. Options are copied, EVENTS is borrowed. */
struct redis *redis_open(struct loop *l, const struct redis_options *o,
                         const struct redis_events *events, void *arg, char **why) MUST_CHECK;
/* No callback comes after this, also not of commands that wait for their answer. */
void redis_close(struct redis *r);
bool redis_is_up(const struct redis *r);
/* As if the connection were lost, because of WHY; none: a no-op. */
void redis_reconnect(struct redis *r, const char *why);
/* ARGV is copied. Not on a connection with a channel. CB may be NULL. */
void redis_command(struct redis *r, size_t argc, const struct str *argv, redis_cb *cb,
                   void *arg);

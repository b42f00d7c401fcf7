/*
 * model.h - the validated configuration: immutable after conf_load, read by everyone.
 *
 * Every struct str here is NUL-terminated behind .n and lives in the conf's arena. Durations
 * are milliseconds, weights are hundredths of a per cent (0..10000). Cross-references are
 * indices into the arrays beside them, never names. What a field means, its default and its
 * range stand in the field tables (config/fields.c), the only place that lists them.
 *
 * The same model serves three documents: the operator's file (sluice.jsonc), the *effective
 * config* (conf_dump: every default written out), and the routing snapshot, which is an
 * effective config with run-time state merged in (config/snapshot.h).
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/network.h"

#define CONF_WEIGHT_FULL     10000 /* 100 % */
#define CONF_ENDPOINT_WEIGHT 1000

struct conf_endpoint {
    struct str name; /* "127.0.0.1:9001", "[::1]:80", as written and as shown */
    struct str host; /* "127.0.0.1", "::1", path of a socket; empty: a name without an answer */
    struct str from; /* the name whose answer this address is; empty: the file gives it */
    uint16_t port;
    uint16_t priority; /* of an SRV record; endpoints of the lowest one come first */
    uint32_t weight;   /* 1..CONF_ENDPOINT_WEIGHT: its part of the version's traffic */
    /* run-time state, from the snapshot only; a config file gives up = true, cell = 0 */
    bool up;       /* health says: may get traffic */
    bool drain;    /* an operator said: no new traffic */
    uint32_t cell; /* index into stats_slab.endpoints; 0: not counted */
};

/* What is spoken to the endpoints of a version. */
enum conf_upstream { CONF_UPSTREAM_HTTP1, CONF_UPSTREAM_H2C, CONF_UPSTREAM_H2 };
struct conf_version {
    struct str name;
    struct conf_endpoint *endpoints;
    size_t nendpoints;
    enum conf_upstream protocol;
    uint32_t weight; /* 0..10000; all versions of a service sum to 10000 */
    uint32_t cell;   /* index into stats_slab.versions; 0: not counted */
    uint32_t age;    /* order of registration: the split puts older versions first */
};

enum conf_sticky_by {
    CONF_STICKY_NONE,
    CONF_STICKY_COOKIE,
    CONF_STICKY_HEADER,
    CONF_STICKY_IP
};
/* The values are the versions of the protocol. */
enum conf_announce { CONF_ANNOUNCE_OFF, CONF_ANNOUNCE_V1, CONF_ANNOUNCE_V2 };
enum conf_balance {
    CONF_BALANCE_P2C,
    CONF_BALANCE_ROUND_ROBIN,
    CONF_BALANCE_LEAST_REQUESTS,
    CONF_BALANCE_RING_HASH
};

struct conf_sticky {
    enum conf_sticky_by by;
    struct str name; /* of the cookie or the field (lower case) */
    uint64_t ttl_ms; /* Max-Age of a cookie that we mint; 0: session cookie */
};

enum conf_check { CONF_CHECK_HTTP, CONF_CHECK_TCP, CONF_CHECK_GRPC };
#define CONF_CHECK_SERVICE 200 /* bytes of the name of a gRPC service */
struct conf_health {
    bool enabled; /* "health" present */
    enum conf_check by;
    struct str path;
    struct str service; /* of gRPC; empty: the server as a whole */
    uint64_t interval_ms, timeout_ms;
    uint32_t rise, fall;
};

struct conf_timeouts {
    uint64_t connect_ms, first_byte_ms, idle_ms, request_ms; /* 0: never */
};

/* Statuses that can be named for a retry. */
#define CONF_RETRY_STATUSES(X)                                                                 \
    X(404)                                                                                     \
    X(408)                                                                                     \
    X(409)                                                                                     \
    X(421)                                                                                     \
    X(425)                                                                                     \
    X(429)                                                                                     \
    X(500)                                                                                     \
    X(501)                                                                                     \
    X(502)                                                                                     \
    X(503)                                                                                     \
    X(504)                                                                                     \
    X(505)                                                                                     \
    X(507)                                                                                     \
    X(508)                                                                                     \
    X(511)                                                                                     \
    X(520)                                                                                     \
    X(521)                                                                                     \
    X(522)                                                                                     \
    X(523)                                                                                     \
    X(524)
enum { /* bits of conf_retry.on */
       CONF_RETRY_CONNECT = 1,
       CONF_RETRY_RESET = 2,
       CONF_RETRY_TIMEOUT = 4,
       CONF_RETRY_5XX = 8,
       CONF_RETRY_STATUS = 16 /* the first of the statuses; each next one is the double */
};
/* Ways of a gRPC call to fail that can be named for a retry. */
#define CONF_RETRY_GRPC(X)                                                                     \
    X(CANCELLED, "cancelled")                                                                  \
    X(DEADLINE_EXCEEDED, "deadline-exceeded")                                                  \
    X(INTERNAL, "internal")                                                                    \
    X(RESOURCE_EXHAUSTED, "resource-exhausted")                                                \
    X(UNAVAILABLE, "unavailable")
enum { /* further bits of conf_retry.on, behind the statuses */
       CONF_RETRY_GRPC_CANCELLED = 1 << 24,
       CONF_RETRY_GRPC_DEADLINE_EXCEEDED = 1 << 25,
       CONF_RETRY_GRPC_INTERNAL = 1 << 26,
       CONF_RETRY_GRPC_RESOURCE_EXHAUSTED = 1 << 27,
       CONF_RETRY_GRPC_UNAVAILABLE = 1 << 28
};
enum { /* bits of conf_retry.methods */
       CONF_METHOD_GET = 1,
       CONF_METHOD_HEAD = 2,
       CONF_METHOD_POST = 4,
       CONF_METHOD_PUT = 8,
       CONF_METHOD_PATCH = 16,
       CONF_METHOD_DELETE = 32,
       CONF_METHOD_OPTIONS = 64
};
#define CONF_RETRY_ATTEMPTS 10
struct conf_backoff {
    uint64_t base_ms, max_ms; /* base 0: none */
};
struct conf_retry {
    uint32_t attempts; /* 1..CONF_RETRY_ATTEMPTS, all tries together; 1: no retry */
    unsigned on;
    unsigned methods;    /* may be tried again when the upstream may have acted already */
    uint64_t per_try_ms; /* 0: never */
    struct conf_backoff backoff;
    uint32_t budget; /* per cent of the requests */
};

struct conf_hedge {
    bool enabled;        /* "hedge" present */
    uint64_t after_ms;   /* at least; 0 without */
    uint32_t percentile; /* 0: always after_ms */
    uint32_t max;        /* attempts beside the first */
    uint32_t budget;     /* per cent of the requests */
};

struct conf_outlier {
    bool enabled;                /* "outlier" present */
    uint32_t consecutive_errors; /* 0: any */
    uint32_t failure_share;      /* per cent of a window's requests; 0: any */
    uint32_t latency_factor;     /* times the others' typical time; 0: any */
    uint64_t window_ms;
    uint32_t min_requests; /* in a window, else neither share nor times say anything */
    uint64_t eject_ms;
    uint32_t max_ejected; /* per cent of a version's endpoints */
};

struct conf_limits {
    /* all workers together; 0: any */
    uint32_t max_requests;    /* at the same time */
    uint32_t max_connections; /* to the endpoints of a version */
    uint32_t max_retries;     /* of a version, at the same time */
    uint32_t max_pending;     /* requests of a version that wait for a connection; 0: none */
    uint64_t pending_timeout_ms;
};

enum conf_match_kind { CONF_MATCH_HEADER, CONF_MATCH_COOKIE, CONF_MATCH_QUERY };
struct conf_match { /* all matches of an override or route must hold */
    enum conf_match_kind kind;
    struct str name, value; /* exact value; a field name is lower case */
    bool present;           /* any value will do */
};

struct conf_override {
    struct str name;
    struct conf_match *matches;
    size_t nmatches;
    size_t version; /* index into the service's versions */
};

struct conf_mirror {
    bool enabled; /* "mirror" present */
    struct str to;
    uint32_t percent;
    struct str *methods; /* none: GET and HEAD */
    size_t nmethods;
    uint32_t max_body;                 /* bytes */
    uint32_t max_requests, max_memory; /* under way; bytes they hold; all workers together */
    uint64_t timeout_ms;
};

enum conf_verify { CONF_VERIFY_FULL, CONF_VERIFY_CA, CONF_VERIFY_NONE };
struct conf_service_tls {   /* how endpoints are spoken to */
    bool enabled;           /* "tls" present */
    struct str ca;          /* file; empty: what the system trusts */
    struct str cert, key;   /* files; empty: no certificate of ours */
    struct str server_name; /* empty: the endpoint's own */
    enum conf_verify verify;
};

/* What workers note for the judge while versions of a service are compared. */
struct conf_judging {
    bool on;
    bool once;          /* only a client's first error counts, not its 1st, 3rd, 7th, ... */
    uint32_t table;     /* of stats.clients; 0: clients are not told apart */
    uint64_t epoch;     /* of the table's content */
    uint64_t warmup_ms; /* an endpoint's latency does not count for so long after it came up */
};
struct conf_service {
    struct str name;
    struct conf_version *versions;
    size_t nversions;
    struct conf_sticky sticky;
    enum conf_balance balance;
    uint32_t panic; /* per cent */
    uint64_t slow_start_ms;
    struct conf_health health;
    struct conf_timeouts timeouts;
    struct conf_retry retry;
    struct conf_hedge hedge;
    enum conf_announce proxy_protocol; /* header before each request to an endpoint */
    struct conf_outlier outlier;
    unsigned grpc_errors; /* bits 1 << enum grpc_status */
    struct conf_limits limits;
    struct conf_service_tls tls;
    struct conf_override *overrides;
    size_t noverrides;
    struct conf_mirror mirror;
    struct str rollout; /* run-time: id of the rollout that owns the weights, or empty */
    struct conf_judging judging; /* run-time */
};

enum conf_key_source { CONF_KEY_COOKIE, CONF_KEY_HEADER, CONF_KEY_IP, CONF_KEY_NONE };
struct conf_key { /* what tells requests apart; a link of flags.targeting_key */
    enum conf_key_source source;
    struct str name;
};

struct conf_rate {
    uint32_t requests; /* 0: no limit */
    uint64_t per_ms;
    uint32_t burst;      /* at once; as requests when not given */
    struct str by;       /* as written */
    struct conf_key key; /* the same, read */
};

struct conf_fault {
    uint64_t delay_ms;
    uint32_t abort;   /* status to answer with; 0: none */
    uint32_t percent; /* of the requests that match */
    struct conf_match *matches;
    size_t nmatches;
};

struct conf_header {
    struct str name, value; /* a token; no CTL, no blank at the ends */
};

struct conf_edit { /* of the header fields of a message: remove, set, add */
    struct conf_header *set, *add;
    size_t nset, nadd;
    struct str *remove;
    size_t nremove;
};

enum { CONF_KEEP_PATH = 1, CONF_KEEP_QUERY = 2 }; /* bits of conf_redirect.keep */
struct conf_redirect {
    struct str to;   /* "/path" or "https://host/path"; empty: no redirect */
    uint32_t status; /* 301, 302, 303, 307, 308 */
    unsigned keep;
};

struct conf_respond {
    uint32_t status; /* 200..599; 0: no fixed answer */
    struct str body;
    struct conf_header *headers;
    size_t nheaders;
};

#define CONF_BODY_MAX   4096 /* bytes of a fixed answer */
#define CONF_NO_SERVICE SIZE_MAX
enum conf_escapes { CONF_ESCAPES_KEEP, CONF_ESCAPES_REJECT };

struct conf_route {
    /* what it matches */
    struct str host; /* lower case, no port; "*.example.com"; empty: any */
    /* of the normalised path, by bytes; exactly one is not empty */
    struct str path; /* prefix; starts with '/' */
    struct str path_exact, path_regex;
    struct str *methods; /* none: any */
    size_t nmethods;
    struct conf_match *matches;
    size_t nmatches;
    struct str flag_key, flag_variant; /* predicate; key empty: none */
    /* what it does: exactly one of these */
    size_t service; /* index, or CONF_NO_SERVICE */
    struct conf_redirect redirect;
    struct conf_respond respond;
    /* how */
    enum conf_escapes escapes;
    struct str rewrite;  /* stands for what of the path matched; empty: as it is */
    uint64_t timeout_ms; /* of the whole exchange; 0: as the service says */
    struct conf_edit request, response;
    struct conf_rate rate;
    struct conf_fault fault;
    uint32_t max_concurrent; /* exchanges under way, all workers together; 0: any */
    uint32_t max_body;       /* bytes; 0: any */
    /* follow from the rest: */
    uint64_t id;    /* hash of what it matches on: the same after a reload */
    uint32_t gauge; /* of its exchanges under way, when max_concurrent > 0 */
    bool guarded;   /* has a limit or a fault */
};

struct conf_proxy_protocol { /* a PROXY header is required from these, others are refused */
    struct network *from;
    size_t nfrom; /* 0: no header is read */
};

enum conf_client_auth {
    CONF_AUTH_INHERIT, /* certificates only: as the listener says */
    CONF_AUTH_NONE,
    CONF_AUTH_REQUEST,
    CONF_AUTH_REQUIRE
};
struct conf_certificate { /* files, absolute */
    struct str cert, key;
    struct str ocsp;      /* empty: nothing is stapled */
    struct str client_ca; /* empty: the listener's */
    enum conf_client_auth client_auth;
};

struct conf_listener_tls {
    bool enabled; /* "tls" present */
    struct conf_certificate *certificates;
    size_t ncertificates;
    int min_version, max_version; /* 2 or 3, of TLS 1.x */
    struct str ciphers;           /* of TLS 1.2; empty: the proxy's own choice */
    struct str ciphersuites;      /* of TLS 1.3; empty: likewise */
    struct str curves;            /* of both; empty: likewise */
    struct str client_ca;         /* file, or empty */
    enum conf_client_auth client_auth;
};

enum { CONF_PROTOCOL_HTTP1 = 1, CONF_PROTOCOL_HTTP2 = 2 }; /* bits of conf_listener.protocols */
struct conf_client_timeouts {
    uint64_t head_ms, idle_ms, stall_ms;
};

struct conf_ofrep { /* flags for OpenFeature clients, below /ofrep/v1/ */
    bool enabled;   /* "ofrep" present */
    struct str *keys, *origins;
    size_t nkeys, norigins; /* no keys: everybody may ask */
    struct conf_rate rate;
};

struct conf_client_http2 {
    uint64_t max_concurrent_streams, ping_ms;
};

struct conf_listener {
    struct str name;
    struct str address;              /* as written */
    struct str host;                 /* "0.0.0.0", "127.0.0.1", "::" */
    uint16_t port;                   /* 0: the kernel picks; only tests want that */
    struct network *trusted_proxies; /* whose X-Forwarded-* count */
    size_t ntrusted_proxies;
    bool forwarded; /* write Forwarded (RFC 7239) as well */
    struct conf_proxy_protocol proxy_protocol;
    unsigned protocols;
    unsigned http1_lenient; /* bits 1 << enum stats_violation */
    bool half_close;        /* FIN does not mean that the client left */
    struct conf_client_timeouts timeouts;
    struct conf_client_http2 http2;
    struct conf_listener_tls tls;
    struct conf_ofrep ofrep;
};

struct conf_control {
    struct str socket;            /* path */
    uint32_t mode;                /* of the socket file */
    struct str listen, telemetry; /* "127.0.0.1:9900" or empty; loopback only for now */
};

struct conf_flags {
    bool enabled;     /* "flags" present */
    struct str redis; /* URL "redis://[user:pass@]host:port/db", or rediss, or empty */
    bool redis_tls;   /* it is rediss */
    struct conf_service_tls tls; /* of that */
    struct str env;
    struct str bootstrap; /* absolute path of a flagd document, or empty */
    struct conf_key *keys;
    size_t nkeys;
};

struct conf_overload {    /* marks above which new work is refused; 0: none */
    uint64_t memory;      /* bytes in use in a worker */
    uint32_t descriptors; /* per cent of RLIMIT_NOFILE */
};

enum conf_io_uring { CONF_IO_URING_OFF, CONF_IO_URING_AUTO, CONF_IO_URING_ON };

enum conf_log_format { CONF_LOG_JSON, CONF_LOG_COMMON, CONF_LOG_COMBINED, CONF_LOG_OFF };
struct conf_access_log {
    struct str path; /* "-": stdout */
    enum conf_log_format format;
    uint32_t sample; /* of a hundred answers 2xx that many are logged */
};

struct conf_secret {  /* a text that came, wholly or in part, out of a FILE or CRED */
    const char *text; /* .p of the struct str that holds it */
    struct str shown; /* the same with "***" for the secret parts */
};

struct conf_dns {          /* how names of endpoints are looked up */
    struct str *resolvers; /* "127.0.0.1:5353"; none: what the system uses */
    size_t nresolvers;
    uint64_t timeout_ms, min_ttl_ms, max_ttl_ms, negative_ms;
};

struct conf { /* owned by whoever called conf_load or conf_parse; conf_free */
    struct arena arena;
    struct str source; /* path it came from, or empty */
    uint32_t workers;
    enum conf_io_uring io_uring;
    struct conf_overload overload;
    struct str user; /* empty: stay */
    struct str state_dir;
    uint64_t drain_ms;
    struct conf_control control;
    struct conf_dns dns;
    struct conf_listener *listeners;
    size_t nlisteners;
    struct conf_service *services;
    size_t nservices;
    struct conf_route *routes; /* in file order */
    size_t nroutes;
    struct conf_flags flags;
    struct conf_access_log access_log;
    struct conf_secret *secrets; /* what conf_dump must not show */
    size_t nsecrets;
};

/*
 * fields.c - the tables of fields.
 *
 * To add a field: one row here and one member in model.h. Defaults stand in .fallback as they
 * would be written in a file and are parsed by the same code.
 */
#include "config/fields.h"
#include "proxy/base/check.h"
#include "proxy/base/stats.h"

#define AT(type, member)   .offset = offsetof(struct type, member)
#define MANY(type, member) AT(type, member), .count = offsetof(struct type, n##member)
#define TABLE(id, type, title, rows)                                                           \
    static const struct table id = {                                                           \
        .name = title, .size = sizeof(struct type), .fields = rows, .n = ARRAY_LEN(rows)}

#define SECOND 1000u
#define HOUR   (3600u * SECOND)

static bool no_sticky(const void *group)
{
    return ((const struct conf_sticky *)group)->by == CONF_STICKY_NONE;
}

static bool no_proxy_protocol(const void *group)
{
    return ((const struct conf_proxy_protocol *)group)->nfrom == 0;
}

static bool no_health(const void *group)
{
    return !((const struct conf_health *)group)->enabled;
}

static bool no_outlier(const void *group)
{
    return !((const struct conf_outlier *)group)->enabled;
}

static bool no_mirror(const void *group)
{
    return !((const struct conf_mirror *)group)->enabled;
}

static bool no_listener_tls(const void *group)
{
    return !((const struct conf_listener_tls *)group)->enabled;
}

static bool no_ofrep(const void *group)
{
    return !((const struct conf_ofrep *)group)->enabled;
}

static bool no_rate(const void *group)
{
    return ((const struct conf_rate *)group)->requests == 0;
}

static bool no_service_tls(const void *group)
{
    return !((const struct conf_service_tls *)group)->enabled;
}

static bool no_flags(const void *group)
{
    return !((const struct conf_flags *)group)->enabled;
}

static bool no_predicate(const void *group)
{
    return ((const struct conf_route *)group)->flag_key.n == 0;
}

static bool no_matches(const void *group)
{
    return ((const struct conf_route *)group)->nmatches == 0;
}

static bool no_redirect(const void *group)
{
    return ((const struct conf_redirect *)group)->to.n == 0;
}

static bool no_respond(const void *group)
{
    return ((const struct conf_respond *)group)->status == 0;
}

static bool no_edit(const void *group)
{
    const struct conf_edit *e = group;

    return e->nset + e->nadd + e->nremove == 0;
}

static const struct word sticky_words[] = {{"cookie", CONF_STICKY_COOKIE},
                                           {"header", CONF_STICKY_HEADER},
                                           {"client_ip", CONF_STICKY_IP},
                                           {NULL, 0}};
static const struct word announce_words[] = {
    {"off", CONF_ANNOUNCE_OFF}, {"v1", CONF_ANNOUNCE_V1}, {"v2", CONF_ANNOUNCE_V2}, {NULL, 0}};
static const struct word balance_words[] = {{"p2c", CONF_BALANCE_P2C},
                                            {"round_robin", CONF_BALANCE_ROUND_ROBIN},
                                            {"least_requests", CONF_BALANCE_LEAST_REQUESTS},
                                            {"ring_hash", CONF_BALANCE_RING_HASH},
                                            {NULL, 0}};
enum {
#define X(status) NTH_##status,
    CONF_RETRY_STATUSES(X)
#undef X
        NTH_END
};
_Static_assert(CONF_RETRY_STATUS << (NTH_END - 1) < CONF_RETRY_GRPC_CANCELLED,
               "bits of statuses and of gRPC are apart");
static const struct word retry_words[] = {{"connect", CONF_RETRY_CONNECT},
                                          {"reset", CONF_RETRY_RESET},
                                          {"timeout", CONF_RETRY_TIMEOUT},
                                          {"5xx", CONF_RETRY_5XX},
#define X(status) {#status, CONF_RETRY_STATUS << NTH_##status},
                                          CONF_RETRY_STATUSES(X)
#undef X
#define X(id, name) {name, CONF_RETRY_GRPC_##id},
                                              CONF_RETRY_GRPC(X)
#undef X
                                                  {NULL, 0}};
static const struct word grpc_words[] = {
#define X(id, name) {name, 1 << GRPC_##id},
    GRPC_FAILURES(X)
#undef X
        {NULL, 0}};
static const struct word method_words[] = {
    {"GET", CONF_METHOD_GET},         {"HEAD", CONF_METHOD_HEAD},
    {"POST", CONF_METHOD_POST},       {"PUT", CONF_METHOD_PUT},
    {"PATCH", CONF_METHOD_PATCH},     {"DELETE", CONF_METHOD_DELETE},
    {"OPTIONS", CONF_METHOD_OPTIONS}, {NULL, 0}};
static const struct word check_words[] = {
    {"http", CONF_CHECK_HTTP}, {"tcp", CONF_CHECK_TCP}, {"grpc", CONF_CHECK_GRPC}, {NULL, 0}};
static const struct word auth_words[] = {{"none", CONF_AUTH_NONE},
                                         {"request", CONF_AUTH_REQUEST},
                                         {"require", CONF_AUTH_REQUIRE},
                                         {NULL, 0}};
static const struct word cert_auth_words[] = {{"inherit", CONF_AUTH_INHERIT},
                                              {"none", CONF_AUTH_NONE},
                                              {"request", CONF_AUTH_REQUEST},
                                              {"require", CONF_AUTH_REQUIRE},
                                              {NULL, 0}};
static const struct word tls_words[] = {{"1.2", 2}, {"1.3", 3}, {NULL, 0}};
static const struct word verify_words[] = {
    {"full", CONF_VERIFY_FULL}, {"ca", CONF_VERIFY_CA}, {"none", CONF_VERIFY_NONE}, {NULL, 0}};
static const struct word protocol_words[] = {
    {"http/1.1", CONF_PROTOCOL_HTTP1}, {"h2", CONF_PROTOCOL_HTTP2}, {NULL, 0}};
static const struct word upstream_words[] = {{"http/1.1", CONF_UPSTREAM_HTTP1},
                                             {"h2c", CONF_UPSTREAM_H2C},
                                             {"h2", CONF_UPSTREAM_H2},
                                             {NULL, 0}};
static const struct word lenient_words[] = {{"bare_lf", 1 << STATS_BAD_BARE_LF},
                                            {"obs_fold", 1 << STATS_BAD_OBS_FOLD},
                                            {"ctl_value", 1 << STATS_BAD_FIELD_VALUE},
                                            {"te_cl", 1 << STATS_BAD_CL_AND_TE},
                                            {NULL, 0}};
static const struct word log_words[] = {{"json", CONF_LOG_JSON},
                                        {"common", CONF_LOG_COMMON},
                                        {"combined", CONF_LOG_COMBINED},
                                        {"off", CONF_LOG_OFF},
                                        {NULL, 0}};

static const struct word io_uring_words[] = {{"auto", CONF_IO_URING_AUTO},
                                             {"on", CONF_IO_URING_ON},
                                             {"off", CONF_IO_URING_OFF},
                                             {NULL, 0}};
static const struct word keep_words[] = {
    {"path", CONF_KEEP_PATH}, {"query", CONF_KEEP_QUERY}, {NULL, 0}};
static const struct word escapes_words[] = {
    {"keep", CONF_ESCAPES_KEEP}, {"reject", CONF_ESCAPES_REJECT}, {NULL, 0}};

static const struct field control_fields[] = {
    {"socket", FIELD_TEXT, FORM_SOCKET, AT(conf_control, socket),
     .fallback = "/run/sluice/control.sock", .doc = "UNIX socket of the control API"},
    {"mode", FIELD_MODE, AT(conf_control, mode), .fallback = "0660",
     .doc = "Permissions of that socket; who can open it can do everything"},
    {"listen", FIELD_TEXT, FORM_LOOPBACK, AT(conf_control, listen),
     .doc = "Also serve the control API on this loopback address"},
    {"telemetry", FIELD_TEXT, FORM_LOOPBACK, AT(conf_control, telemetry),
     .doc = "Serve only /metrics, /healthz and /readyz on this loopback address"},
};
TABLE(control_table, conf_control, "control", control_fields);

static const struct field proxy_protocol_fields[] = {
    {"from", FIELD_NETWORKS, .required = true, MANY(conf_proxy_protocol, from), .min = 1,
     .doc = "Networks that must begin every connection with a PROXY header, version 1 or 2; "
            "connections from elsewhere are closed"},
};
TABLE(proxy_protocol_table, conf_proxy_protocol, "proxy_protocol", proxy_protocol_fields);

static const struct field certificate_fields[] = {
    {"cert", FIELD_TEXT, FORM_FILE, .required = true, AT(conf_certificate, cert),
     .doc = "PEM file: the certificate, then those that lead to a root"},
    {"key", FIELD_TEXT, FORM_FILE, .required = true, AT(conf_certificate, key),
     .doc = "PEM file: its private key, without a passphrase"},
    {"ocsp", FIELD_TEXT, FORM_FILE, AT(conf_certificate, ocsp),
     .doc = "DER file: the OCSP response for it, stapled as long as it is good"},
    {"client_ca", FIELD_TEXT, FORM_FILE, AT(conf_certificate, client_ca),
     .computed = "the listener's", .doc = "The same as of the listener, for these names only"},
    {"client_auth", FIELD_WORD, AT(conf_certificate, client_auth), .words = cert_auth_words,
     .fallback = "inherit", .doc = "The same as of the listener, for these names only"},
};
TABLE(certificate_table, conf_certificate, "certificate", certificate_fields);

static const struct field listener_tls_fields[] = {
    {"certificates", FIELD_LIST, .required = true, MANY(conf_listener_tls, certificates),
     .min = 1, .max = 1000, .of = &certificate_table,
     .doc = "What the listener shows, by the name that a client asks for; the first one for "
            "any other name"},
    {"min_version", FIELD_WORD, AT(conf_listener_tls, min_version), .words = tls_words,
     .fallback = "1.2", .doc = "Oldest version of TLS that is spoken"},
    {"max_version", FIELD_WORD, AT(conf_listener_tls, max_version), .words = tls_words,
     .fallback = "1.3", .doc = "Newest version of TLS that is spoken"},
    {"ciphers", FIELD_TEXT, FORM_ANY, AT(conf_listener_tls, ciphers),
     .computed = "ECDHE with AEAD only", .doc = "Ciphers of TLS 1.2 in OpenSSL's notation"},
    {"ciphersuites", FIELD_TEXT, FORM_ANY, AT(conf_listener_tls, ciphersuites),
     .computed = "TLS_AES_128_GCM_SHA256 first, the other two of RFC 8446",
     .doc = "Ciphers of TLS 1.3, separated by colons"},
    {"curves", FIELD_TEXT, FORM_ANY, AT(conf_listener_tls, curves),
     .computed = "X25519:P-256:P-384",
     .doc = "Groups for the key exchange in OpenSSL's notation, the best first"},
    {"client_ca", FIELD_TEXT, FORM_FILE, AT(conf_listener_tls, client_ca),
     .doc = "PEM file: who signs the certificates of clients"},
    {"client_auth", FIELD_WORD, AT(conf_listener_tls, client_auth), .words = auth_words,
     .fallback = "none",
     .doc = "Whether clients are asked for a certificate, and refused without one; one that "
            "is shown must be good"},
};
TABLE(listener_tls_table, conf_listener_tls, "tls", listener_tls_fields);

static const struct field client_timeouts_fields[] = {
    {"head", FIELD_DURATION, AT(conf_client_timeouts, head_ms), .min = 100, .max = HOUR,
     .fallback = "10s",
     .doc = "For a whole head, from its first byte; also for a TLS handshake, and for a PROXY "
            "header"},
    {"idle", FIELD_DURATION, AT(conf_client_timeouts, idle_ms), .min = 100, .max = 24 * HOUR,
     .fallback = "60s", .doc = "Between requests"},
    {"stall", FIELD_DURATION, AT(conf_client_timeouts, stall_ms), .min = 100, .max = HOUR,
     .fallback = "30s",
     .doc = "Without progress inside a request's body, or with an answer that is not read"},
};
TABLE(client_timeouts_table, conf_client_timeouts, "timeouts", client_timeouts_fields);

static const struct field rate_fields[] = {
    {"requests", FIELD_NUMBER, .required = true, AT(conf_rate, requests), .min = 1,
     .max = 100000, .doc = "Requests that a key may make in each period"},
    {"per", FIELD_DURATION, AT(conf_rate, per_ms), .min = 1, .max = 24 * HOUR, .fallback = "1s",
     .doc = "The period"},
    {"burst", FIELD_NUMBER, AT(conf_rate, burst), .min = 1, .max = 100000,
     .computed = "as requests", .doc = "Requests at once after a rest"},
    {"key", FIELD_TEXT, FORM_RATE_KEY, AT(conf_rate, by), .fallback = "client_ip",
     .doc = "What is counted apart: client_ip (IPv6 by /64), header:NAME, cookie:NAME, or none "
            "for all requests together; without the field or cookie the address counts"},
};
TABLE(rate_table, conf_rate, "rate_limit", rate_fields);

static const struct field ofrep_fields[] = {
    {"keys", FIELD_TEXTS, FORM_ANY, MANY(conf_ofrep, keys), .computed = "everybody may ask",
     .doc = "One of these must come as Authorization: Bearer or as X-API-Key; the stream of "
            "events, which says that something changed and not what, asks for none"},
    {"origins", FIELD_TEXTS, FORM_ANY, MANY(conf_ofrep, origins), .computed = "none",
     .doc = "Origins of web pages whose scripts may ask, like https://shop.example; *: all"},
    {"rate_limit", FIELD_GROUP, AT(conf_ofrep, rate), .of = &rate_table, .absent = no_rate,
     .computed = "no limit", .doc = "How often a client may ask; beyond it is 429"},
};
TABLE(ofrep_table, conf_ofrep, "ofrep", ofrep_fields);

static const struct field client_http2_fields[] = {
    {"max_concurrent_streams", FIELD_NUMBER, AT(conf_client_http2, max_concurrent_streams),
     .min = 1, .max = 1000, .fallback = "100",
     .doc = "Requests under way at the same time on a connection"},
    {"ping", FIELD_DURATION, AT(conf_client_http2, ping_ms), .max = 24 * HOUR,
     .fallback = "60s",
     .doc = "A client with requests under way that is silent for so long is asked for a sign "
            "of life; one that gives none in the same time is gone; 0s: nobody is asked"},
};
TABLE(client_http2_table, conf_client_http2, "http2", client_http2_fields);

static const struct field listener_fields[] = {
    {"address", FIELD_TEXT, FORM_LISTEN, .required = true, AT(conf_listener, address),
     .doc = "Address and port to accept HTTP connections on"},
    {"trusted_proxies", FIELD_NETWORKS, MANY(conf_listener, trusted_proxies),
     .computed = "nobody",
     .doc = "Networks of proxies in front whose X-Forwarded-For, -Proto and -Host are kept and "
            "extended; everybody else's are dropped"},
    {"forwarded", FIELD_BOOL, AT(conf_listener, forwarded), .fallback = "false",
     .doc = "Send Forwarded (RFC 7239) to endpoints as well"},
    {"proxy_protocol", FIELD_GROUP, AT(conf_listener, proxy_protocol),
     .of = &proxy_protocol_table, .absent = no_proxy_protocol, .computed = "no header is read",
     .doc = "A PROXY header says who the client is"},
    {"protocols", FIELD_WORDS, AT(conf_listener, protocols), .words = protocol_words,
     .fallback = "http/1.1",
     .doc = "What is spoken here; with TLS offered by ALPN, else told by the first bytes"},
    {"http1_lenient", FIELD_WORDS, AT(conf_listener, http1_lenient), .words = lenient_words,
     .computed = "nothing",
     .doc = "Malformed requests that are mended and forwarded instead of refused; each use is "
            "counted"},
    {"half_close", FIELD_BOOL, AT(conf_listener, half_close), .fallback = "false",
     .doc = "A client that ends its side of an HTTP/1 connection still waits for its answers; "
            "else it has left, and a request that is not answered yet is given up"},
    {"timeouts", FIELD_GROUP, AT(conf_listener, timeouts), .of = &client_timeouts_table,
     .doc = "Limits on waiting for a client"},
    {"http2", FIELD_GROUP, AT(conf_listener, http2), .of = &client_http2_table,
     .doc = "About clients that speak HTTP/2"},
    {"tls", FIELD_GROUP, AT(conf_listener, tls), .of = &listener_tls_table, .marked = true,
     .absent = no_listener_tls, .computed = "plain HTTP", .doc = "Speak TLS here"},
    {"ofrep", FIELD_GROUP, AT(conf_listener, ofrep), .of = &ofrep_table, .marked = true,
     .absent = no_ofrep, .computed = "no flags are served",
     .doc = "Answer OpenFeature clients below /ofrep/v1/, before any route"},
};
TABLE(listener_table, conf_listener, "listener", listener_fields);

static const struct field version_fields[] = {
    {"endpoints", FIELD_ENDPOINTS, .required = true, MANY(conf_version, endpoints), .min = 1,
     .doc = "Addresses of the processes that serve this version: host:port, unix:/path for a "
            "socket file, srv:_service._tcp.domain for SRV records; names are looked up again "
            "and again; or {\"address\", \"weight\"} with a weight of 1 to 1000 beside the "
            "others, which weigh 1"},
    {"protocol", FIELD_WORD, AT(conf_version, protocol), .words = upstream_words,
     .fallback = "http/1.1",
     .doc =
         "What is spoken to them: http/1.1 with or without TLS, h2c is HTTP/2 without TLS by "
         "prior knowledge, h2 is HTTP/2 with the TLS of the service, agreed on by ALPN"},
};
TABLE(version_table, conf_version, "version", version_fields);

static const struct field sticky_fields[] = {
    {"by", FIELD_WORD, .required = true, AT(conf_sticky, by), .words = sticky_words,
     .doc = "What identifies a client; the same client keeps its version"},
    {"name", FIELD_TEXT, FORM_TOKEN, AT(conf_sticky, name),
     .doc = "Name of the cookie or header field; required for these two"},
    {"ttl", FIELD_DURATION, AT(conf_sticky, ttl_ms), .max = 10000ull * HOUR, .fallback = "0s",
     .doc = "Life of a cookie that the proxy sets; 0s: until the browser closes"},
};
TABLE(sticky_table, conf_sticky, "sticky", sticky_fields);

static const struct field health_fields[] = {
    {"by", FIELD_WORD, AT(conf_health, by), .words = check_words, .fallback = "http",
     .doc =
         "What is asked of an endpoint: a good answer, only that it accepts a connection, or "
         "what the gRPC health protocol says"},
    {"path", FIELD_TEXT, FORM_TARGET, AT(conf_health, path), .fallback = "/",
     .doc = "Asked for with GET; 2xx and 3xx mean healthy"},
    {"service", FIELD_TEXT, FORM_ANY, AT(conf_health, service),
     .doc = "Name of the gRPC service that is asked about, at most 200 bytes; absent: the "
            "server as a whole"},
    {"interval", FIELD_DURATION, AT(conf_health, interval_ms), .min = 100, .max = HOUR,
     .fallback = "1s", .doc = "Time from one check of an endpoint to the next"},
    {"timeout", FIELD_DURATION, AT(conf_health, timeout_ms), .min = 10, .max = 60 * SECOND,
     .fallback = "2s", .doc = "A check without an answer by then has failed"},
    {"rise", FIELD_NUMBER, AT(conf_health, rise), .min = 1, .max = 100, .fallback = "2",
     .doc = "Good checks in a row that bring an endpoint back"},
    {"fall", FIELD_NUMBER, AT(conf_health, fall), .min = 1, .max = 100, .fallback = "3",
     .doc = "Failed checks in a row that take an endpoint out"},
};
TABLE(health_table, conf_health, "health", health_fields);

static const struct field timeouts_fields[] = {
    {"connect", FIELD_DURATION, AT(conf_timeouts, connect_ms), .max = HOUR, .fallback = "1s",
     .doc = "To open a connection to an endpoint; 0s: no limit"},
    {"first_byte", FIELD_DURATION, AT(conf_timeouts, first_byte_ms), .max = 24 * HOUR,
     .fallback = "30s", .doc = "From the request sent to the head of its answer; 0s: no limit"},
    {"idle", FIELD_DURATION, AT(conf_timeouts, idle_ms), .max = 24 * HOUR, .fallback = "60s",
     .doc = "Without a byte in either direction, inside an exchange; 0s: no limit"},
    {"request", FIELD_DURATION, AT(conf_timeouts, request_ms), .max = 24 * HOUR,
     .fallback = "0s",
     .doc = "From the head of a request to the end of its answer, all tries together; 0s: no "
            "limit"},
};
TABLE(timeouts_table, conf_timeouts, "timeouts", timeouts_fields);

static bool no_backoff(const void *group)
{
    return ((const struct conf_backoff *)group)->base_ms == 0;
}

static const struct field backoff_fields[] = {
    {"base", FIELD_DURATION, AT(conf_backoff, base_ms), .max = 60 * SECOND, .fallback = "0s",
     .doc = "Before the second try pass 0 to this long, by chance; before each later one up to "
            "twice as long; 0s: no pause"},
    {"max", FIELD_DURATION, AT(conf_backoff, max_ms), .max = HOUR, .fallback = "1s",
     .doc = "The longest pause"},
};
TABLE(backoff_table, conf_backoff, "backoff", backoff_fields);

static const struct field retry_fields[] = {
    {"attempts", FIELD_NUMBER, AT(conf_retry, attempts), .min = 1, .max = CONF_RETRY_ATTEMPTS,
     .fallback = "2", .doc = "All tries together; 1: never again"},
    {"on", FIELD_WORDS, AT(conf_retry, on), .words = retry_words, .fallback = "connect reset",
     .doc = "What is tried again, and only when it is safe: no connection, a connection that "
            "broke before an answer, no answer in time, statuses; of a gRPC "
            "call, how it failed if its answer is a head only"},
    {"methods", FIELD_WORDS, AT(conf_retry, methods), .words = method_words,
     .fallback = "GET HEAD PUT DELETE OPTIONS",
     .doc = "Methods that may be carried out twice; others are tried again only if nothing of "
            "the request can have reached the endpoint"},
    {"per_try_timeout", FIELD_DURATION, AT(conf_retry, per_try_ms), .max = 24 * HOUR,
     .fallback = "0s",
     .doc = "From the beginning of a try, or the end of the request's body, to the head of its "
            "answer; 0s: no limit"},
    {"backoff", FIELD_GROUP, AT(conf_retry, backoff), .of = &backoff_table,
     .absent = no_backoff, .computed = "no pause", .doc = "Pauses between tries"},
    {"budget", FIELD_NUMBER, AT(conf_retry, budget), .min = 0, .max = 100, .fallback = "20",
     .doc = "Retries as per cent of a worker's requests over the last seconds, and 10 more; "
            "failed connects are not counted"},
};
TABLE(retry_table, conf_retry, "retry", retry_fields);

static bool no_hedge(const void *group)
{
    return !((const struct conf_hedge *)group)->enabled;
}

static const struct field hedge_fields[] = {
    {"after", FIELD_DURATION, .required = true, AT(conf_hedge, after_ms), .min = 1, .max = HOUR,
     .doc = "Without an answer for so long, another endpoint is asked as well"},
    {"percentile", FIELD_NUMBER, AT(conf_hedge, percentile), .max = 99, .fallback = "0",
     .doc = "Or longer: so long that this per cent of the first attempts were answered by then "
            "lately, as one worker saw it; 0: always after"},
    {"max", FIELD_NUMBER, AT(conf_hedge, max), .min = 1, .max = 3, .fallback = "1",
     .doc = "Attempts beside the first one, each after the same time"},
    {"budget", FIELD_NUMBER, AT(conf_hedge, budget), .min = 1, .max = 100, .fallback = "10",
     .doc = "Of these, as per cent of a worker's requests over the last seconds, and 10 more"},
};
TABLE(hedge_table, conf_hedge, "hedge", hedge_fields);

static const struct field outlier_fields[] = {
    {"consecutive_errors", FIELD_NUMBER, AT(conf_outlier, consecutive_errors), .max = 10000,
     .fallback = "5",
     .doc =
         "Failures and answers of 500 and above in a row, seen by one worker, after which it "
         "leaves the endpoint alone; 0: any number"},
    {"failure_share", FIELD_NUMBER, AT(conf_outlier, failure_share), .max = 100,
     .fallback = "0",
     .doc = "Per cent of a worker's requests in the window that fail before it leaves the "
            "endpoint alone; 0: any share"},
    {"latency_factor", FIELD_NUMBER, AT(conf_outlier, latency_factor), .max = 1000,
     .fallback = "0",
     .doc = "How many times longer than the others of its version, of which it takes two, an "
            "endpoint may typically need to answer, if it is 10ms or more; 0: any time"},
    {"window", FIELD_DURATION, AT(conf_outlier, window_ms), .min = 1000, .max = HOUR,
     .fallback = "10s", .doc = "How far back failure_share and latency_factor look at most"},
    {"min_requests", FIELD_NUMBER, AT(conf_outlier, min_requests), .min = 1, .max = 1000000,
     .fallback = "20",
     .doc = "Requests of a worker to an endpoint in the window below which neither of them "
            "says anything"},
    {"eject", FIELD_DURATION, AT(conf_outlier, eject_ms), .min = 100, .max = HOUR,
     .fallback = "10s",
     .doc =
         "For how long; longer each time that it happens again soon, up to 10 times; who then "
         "fails before it has answered once is left alone again"},
    {"max_ejected", FIELD_NUMBER, AT(conf_outlier, max_ejected), .min = 0, .max = 100,
     .fallback = "50", .doc = "Per cent of a version's endpoints that may be out at a time"},
};
TABLE(outlier_table, conf_outlier, "outlier", outlier_fields);

static const struct field limits_fields[] = {
    {"max_requests", FIELD_NUMBER, AT(conf_limits, max_requests), .max = 1000000,
     .fallback = "0",
     .doc = "Requests under way at the same time, in all workers; more are answered 503; 0: "
            "any number"},
    {"max_connections", FIELD_NUMBER, AT(conf_limits, max_connections), .max = 1000000,
     .fallback = "0",
     .doc = "Connections to the endpoints of each version, idle ones included, in all workers; "
            "requests that need one more wait; 0: any number"},
    {"max_pending", FIELD_NUMBER, AT(conf_limits, max_pending), .max = 1000000,
     .fallback = "1024",
     .doc = "Requests of each version that wait for a connection, in all workers; more are "
            "answered 503"},
    {"pending_timeout", FIELD_DURATION, AT(conf_limits, pending_timeout_ms), .min = 1,
     .max = HOUR, .fallback = "1s", .doc = "Who got no connection by then is answered 503"},
    {"max_retries", FIELD_NUMBER, AT(conf_limits, max_retries), .max = 1000000, .fallback = "0",
     .doc = "Requests of each version in their second or later try at the same time, in all "
            "workers; no more are tried again meanwhile; 0: any number"},
};
TABLE(limits_table, conf_limits, "limits", limits_fields);

static const struct field service_tls_fields[] = {
    {"ca", FIELD_TEXT, FORM_FILE, AT(conf_service_tls, ca), .computed = "the system's",
     .doc = "PEM file: who signs the certificates of endpoints"},
    {"server_name", FIELD_TEXT, FORM_HOST, AT(conf_service_tls, server_name),
     .computed = "the endpoint's host",
     .doc = "Name to ask for and to find in the certificate"},
    {"verify", FIELD_WORD, AT(conf_service_tls, verify), .words = verify_words,
     .fallback = "full",
     .doc = "full: who signed it and its name; ca: who signed it; none: nothing"},
    {"cert", FIELD_TEXT, FORM_FILE, AT(conf_service_tls, cert),
     .doc = "PEM file: our own certificate, if endpoints ask for one"},
    {"key", FIELD_TEXT, FORM_FILE, AT(conf_service_tls, key),
     .doc = "PEM file: its private key, without a passphrase"},
};
TABLE(service_tls_table, conf_service_tls, "tls", service_tls_fields);

static const struct field match_fields[] = {
    {"header", FIELD_MATCHES, MANY(conf_override, matches), .min = CONF_MATCH_HEADER,
     .doc = "Header fields and the exact values they must have"},
    {"cookie", FIELD_MATCHES, MANY(conf_override, matches), .min = CONF_MATCH_COOKIE,
     .doc = "Cookies and the exact values they must have"},
};
TABLE(match_table, conf_override, "match", match_fields);

static const struct field override_fields[] = {
    {"name", FIELD_TEXT, FORM_NAME, .required = true, AT(conf_override, name),
     .doc = "Name of the override, for logs"},
    {"match", FIELD_GROUP, .required = true, .of = &match_table,
     .doc = "Requests that it is for; all of it must hold"},
    {"to", FIELD_VERSION, .required = true, AT(conf_override, version),
     .doc = "The version they go to, whatever the weights say"},
};
TABLE(override_table, conf_override, "override", override_fields);

static const struct field mirror_fields[] = {
    {"to", FIELD_TEXT, FORM_NAME, .required = true, AT(conf_mirror, to),
     .doc = "The version that gets the copies"},
    {"percent", FIELD_NUMBER, .required = true, AT(conf_mirror, percent), .max = 100,
     .doc = "Share of the requests; by sticky key, if there is one: always the same clients"},
    {"methods", FIELD_TEXTS, FORM_METHOD, MANY(conf_mirror, methods), .computed = "GET, HEAD",
     .doc = "Methods of the requests that are copied: those that change nothing, unless the "
            "version can take others twice"},
    {"max_body", FIELD_NUMBER, AT(conf_mirror, max_body), .max = 67108864, .fallback = "16384",
     .doc = "Bytes of the longest request body that is copied"},
    {"max_requests", FIELD_NUMBER, AT(conf_mirror, max_requests), .min = 1, .max = 100000,
     .fallback = "64",
     .doc = "Copies under way at once, all workers together; meanwhile no others are made"},
    {"max_memory", FIELD_NUMBER, AT(conf_mirror, max_memory), .min = 65536, .max = UINT32_MAX,
     .fallback = "16777216",
     .doc = "Bytes that requests hold which are copied, all workers together (131072 for a "
            "worker at least); a copy that would need more is given up"},
    {"timeout", FIELD_DURATION, AT(conf_mirror, timeout_ms), .min = 1, .max = HOUR,
     .fallback = "10s",
     .doc = "How long a copy may take, from its beginning to its answer's end"},
};
TABLE(mirror_table, conf_mirror, "mirror", mirror_fields);

static const struct field service_fields[] = {
    {"versions", FIELD_MAP, .required = true, MANY(conf_service, versions), .min = 1,
     .max = 1000, .of = &version_table, .doc = "Versions of the service by name"},
    {"weights", FIELD_WEIGHTS, .computed = "all to the first version",
     .doc = "Per cent of the traffic by version, in steps of 0.01, 100 in all; start values, "
            "the control API changes them"},
    {"sticky", FIELD_GROUP, AT(conf_service, sticky), .of = &sticky_table, .absent = no_sticky,
     .computed = "every request by itself", .doc = "How clients keep their version"},
    {"balance", FIELD_WORD, AT(conf_service, balance), .words = balance_words,
     .fallback = "p2c", .doc = "How an endpoint of the version is chosen"},
    {"panic", FIELD_NUMBER, AT(conf_service, panic), .max = 100, .fallback = "0",
     .doc = "With fewer than this per cent of a version's endpoints healthy, all of them get "
            "traffic; 0: never, requests that nobody can answer are refused at once"},
    {"slow_start", FIELD_DURATION, AT(conf_service, slow_start_ms), .max = HOUR,
     .fallback = "0s",
     .doc = "An endpoint that comes up beside others gets a tenth of its share at first and "
            "all of it after this time; 0s: all of it at once"},
    {"health", FIELD_GROUP, AT(conf_service, health), .of = &health_table, .marked = true,
     .absent = no_health, .computed = "no checks", .doc = "Active checks of every endpoint"},
    {"timeouts", FIELD_GROUP, AT(conf_service, timeouts), .of = &timeouts_table,
     .doc = "Limits on waiting for an endpoint"},
    {"retry", FIELD_GROUP, AT(conf_service, retry), .of = &retry_table,
     .doc = "Second tries on another endpoint"},
    {"hedge", FIELD_GROUP, AT(conf_service, hedge), .of = &hedge_table, .marked = true,
     .absent = no_hedge, .computed = "one attempt at a time",
     .doc = "Ask another endpoint beside a slow one; the first answer counts"},
    {"proxy_protocol", FIELD_WORD, AT(conf_service, proxy_protocol), .words = announce_words,
     .fallback = "off",
     .doc = "Begin connections to endpoints with a PROXY header that names the client; each "
            "then carries one request"},
    {"outlier", FIELD_GROUP, AT(conf_service, outlier), .of = &outlier_table, .marked = true,
     .absent = no_outlier, .computed = "no ejection",
     .doc = "A pause for endpoints that fail request after request"},
    {"grpc_errors", FIELD_WORDS, AT(conf_service, grpc_errors), .words = grpc_words,
     .fallback = "unknown deadline-exceeded unimplemented internal unavailable data-loss",
     .doc = "Ways of a gRPC call to end that are the version's failure: for the judge, and for "
            "outlier"},
    {"limits", FIELD_GROUP, AT(conf_service, limits), .of = &limits_table,
     .doc = "What the service takes at a time"},
    {"tls", FIELD_GROUP, AT(conf_service, tls), .of = &service_tls_table, .marked = true,
     .absent = no_service_tls, .computed = "plain HTTP",
     .doc = "Speak TLS to the endpoints of all versions"},
    {"overrides", FIELD_LIST, MANY(conf_service, overrides), .of = &override_table,
     .doc = "Requests that go to one version always; the first that matches counts"},
    {"mirror", FIELD_GROUP, AT(conf_service, mirror), .of = &mirror_table, .marked = true,
     .absent = no_mirror, .computed = "no copies",
     .doc = "Copies of requests for another version, whose answers are thrown away"},
};
static const struct table service_table = {.name = "service",
                                           .size = sizeof(struct conf_service),
                                           .is_service = true,
                                           .fields = service_fields,
                                           .n = ARRAY_LEN(service_fields)};

static const struct field predicate_fields[] = {
    {"key", FIELD_TEXT, FORM_FLAG_KEY, .required = true, AT(conf_route, flag_key),
     .doc = "Key of the flag"},
    {"variant", FIELD_TEXT, FORM_FLAG_KEY, .required = true, AT(conf_route, flag_variant),
     .doc = "Variant that it must evaluate to for this request"},
};
TABLE(predicate_table, conf_route, "flag", predicate_fields);

static bool no_fault(const void *group)
{
    const struct conf_fault *f = group;

    return f->delay_ms == 0 && f->abort == 0;
}

static const struct field fault_fields[] = {
    {"delay", FIELD_DURATION, AT(conf_fault, delay_ms), .max = HOUR, .fallback = "0s",
     .doc = "Hold the request back for so long"},
    {"abort", FIELD_NUMBER, AT(conf_fault, abort), .max = 599, .fallback = "0",
     .doc = "Then answer with this status (200 to 599) instead of forwarding; 0: forward"},
    {"percent", FIELD_NUMBER, AT(conf_fault, percent), .max = 100, .fallback = "100",
     .doc = "Share of the requests that it happens to"},
    {"header", FIELD_MATCHES, MANY(conf_fault, matches), .min = CONF_MATCH_HEADER,
     .doc = "Only requests with these header fields and exact values; true: any value"},
};
TABLE(fault_table, conf_fault, "fault", fault_fields);
static const struct field route_match_fields[] = {
    {"header", FIELD_MATCHES, MANY(conf_route, matches), .min = CONF_MATCH_HEADER,
     .doc = "Header fields and the exact values they must have; true: any value"},
    {"cookie", FIELD_MATCHES, MANY(conf_route, matches), .min = CONF_MATCH_COOKIE,
     .doc = "Cookies and the exact values they must have; true: any value"},
    {"query", FIELD_MATCHES, MANY(conf_route, matches), .min = CONF_MATCH_QUERY,
     .doc = "Parameters of the query and the exact values, decoded, that they must have; true: "
            "any value"},
};
TABLE(route_match_table, conf_route, "match", route_match_fields);

static const struct field redirect_fields[] = {
    {"to", FIELD_TEXT, FORM_LOCATION, .required = true, AT(conf_redirect, to),
     .doc = "Path, or URL with a path, that the client is sent to"},
    {"status", FIELD_NUMBER, AT(conf_redirect, status), .min = 301, .max = 308,
     .fallback = "302", .doc = "301, 302, 303, 307 or 308"},
    {"keep", FIELD_WORDS, AT(conf_redirect, keep), .words = keep_words,
     .fallback = "path query",
     .doc = "What of the request is appended: the path behind the prefix of the route, the "
            "query"},
};
TABLE(redirect_table, conf_redirect, "redirect", redirect_fields);

static const struct field respond_fields[] = {
    {"status", FIELD_NUMBER, .required = true, AT(conf_respond, status), .min = 200, .max = 599,
     .doc = "Status of the answer"},
    {"body", FIELD_TEXT, FORM_BODY, AT(conf_respond, body), .computed = "no body",
     .doc = "Body of the answer, at most 4096 bytes; text/plain if the headers do not say"},
    {"headers", FIELD_HEADERS, MANY(conf_respond, headers),
     .doc = "Header fields of the answer"},
};
TABLE(respond_table, conf_respond, "respond", respond_fields);

static const struct field edit_fields[] = {
    {"set", FIELD_HEADERS, MANY(conf_edit, set), .doc = "Fields that replace all of that name"},
    {"add", FIELD_HEADERS, MANY(conf_edit, add), .doc = "Fields that come on top"},
    {"remove", FIELD_TEXTS, FORM_EDITABLE, MANY(conf_edit, remove),
     .doc = "Names of fields that are not passed on"},
};
TABLE(edit_table, conf_edit, "edit", edit_fields);

static const struct field route_fields[] = {
    {"host", FIELD_TEXT, FORM_HOST, AT(conf_route, host), .computed = "any host",
     .doc = "Host of the request, without a port; *.example.com: every name below"},
    {"path", FIELD_TEXT, FORM_PREFIX, AT(conf_route, path), .fallback = "/",
     .doc = "Prefix of the path; the longest one wins"},
    {"path_exact", FIELD_TEXT, FORM_PREFIX, AT(conf_route, path_exact),
     .doc = "Instead: the whole path"},
    {"path_regex", FIELD_TEXT, FORM_REGEX, AT(conf_route, path_regex),
     .doc = "Instead: a regular expression (PCRE2) that matches anywhere in the path"},
    {"methods", FIELD_TEXTS, FORM_METHOD, MANY(conf_route, methods), .computed = "any method",
     .doc = "Methods of the request, in the case in which they are sent"},
    {"match", FIELD_GROUP, .of = &route_match_table, .absent = no_matches,
     .computed = "no condition", .doc = "What else the request must have; all of it must hold"},
    {"flag", FIELD_GROUP, .of = &predicate_table, .absent = no_predicate,
     .computed = "no condition", .doc = "Feature flag that must hold for the route to match"},
    {"rate_limit", FIELD_GROUP, AT(conf_route, rate), .of = &rate_table, .absent = no_rate,
     .computed = "no limit", .doc = "Requests over time, counted by all workers together"},
    {"max_concurrent", FIELD_NUMBER, AT(conf_route, max_concurrent), .max = 1000000,
     .fallback = "0",
     .doc = "Exchanges under way at once, all workers together; 0: any number"},
    {"max_body", FIELD_NUMBER, AT(conf_route, max_body), .max = UINT32_MAX, .fallback = "0",
     .doc = "Bytes of the longest request body; 0: any length"},
    {"fault", FIELD_GROUP, AT(conf_route, fault), .of = &fault_table, .absent = no_fault,
     .computed = "none", .doc = "Faults for drills"},
    {"service", FIELD_SERVICE, AT(conf_route, service),
     .doc = "Service that answers; this, redirect or respond is required"},
    {"redirect", FIELD_GROUP, AT(conf_route, redirect), .of = &redirect_table,
     .absent = no_redirect, .doc = "Send the client elsewhere"},
    {"respond", FIELD_GROUP, AT(conf_route, respond), .of = &respond_table,
     .absent = no_respond, .doc = "Give a fixed answer"},
    {"escapes", FIELD_WORD, AT(conf_route, escapes), .words = escapes_words, .fallback = "keep",
     .doc = "A path with %2F, %5C, %3B, %23 or %3F: passed on as it is, or refused with 400"},
    {"rewrite", FIELD_TEXT, FORM_PREFIX, AT(conf_route, rewrite), .computed = "no change",
     .doc = "Path that replaces what of the path matched; $1 to $9 are the groups of "
            "path_regex"},
    {"timeout", FIELD_DURATION, AT(conf_route, timeout_ms), .max = 24 * HOUR, .fallback = "0s",
     .doc = "From the head of the request to the end of its answer, all tries together; 0s: "
            "what the service says"},
    {"request_headers", FIELD_GROUP, AT(conf_route, request), .of = &edit_table,
     .absent = no_edit, .doc = "Changes to the header fields of the request"},
    {"response_headers", FIELD_GROUP, AT(conf_route, response), .of = &edit_table,
     .absent = no_edit, .doc = "Changes to the header fields of the service's answer"},
};
TABLE(route_table, conf_route, "route", route_fields);

static const struct field flags_fields[] = {
    {"redis", FIELD_TEXT, FORM_REDIS, AT(conf_flags, redis),
     .doc = "Where flags live: redis://[user:password@]host[:port][/db], or rediss:// for TLS"},
    {"tls", FIELD_GROUP, AT(conf_flags, tls), .of = &service_tls_table, .marked = true,
     .absent = no_service_tls, .computed = "what the system trusts, name checked",
     .doc = "How TLS is spoken to Redis at rediss://"},
    {"env", FIELD_TEXT, FORM_NAME, AT(conf_flags, env), .fallback = "default",
     .doc = "Name of the environment; its flags are apart from those of others"},
    {"bootstrap", FIELD_TEXT, FORM_FILE, AT(conf_flags, bootstrap),
     .doc = "File of flagd definitions used until Redis has answered, or without it"},
    {"targeting_key", FIELD_KEYS, MANY(conf_flags, keys), .fallback = "client_ip",
     .doc = "Who a flag is evaluated for: the first of these that a request has; "
            "cookie:NAME, header:NAME or client_ip"},
};
TABLE(flags_table, conf_flags, "flags", flags_fields);

static const struct field log_fields[] = {
    {"path", FIELD_TEXT, FORM_LOG, AT(conf_access_log, path), .fallback = "-",
     .doc = "File to append to; -: standard output"},
    {"format", FIELD_WORD, AT(conf_access_log, format), .words = log_words, .fallback = "json",
     .doc = "One JSON object a line, a line as web servers write it, or nothing"},
    {"sample", FIELD_NUMBER, AT(conf_access_log, sample), .max = 100, .fallback = "100",
     .doc = "Of a hundred answers 2xx so many are logged; all others always are"},
};
TABLE(log_table, conf_access_log, "access_log", log_fields);

static const struct field overload_fields[] = {
    {"memory", FIELD_SIZE, AT(conf_overload, memory), .max = 1ull << 40, .fallback = "0B",
     .doc = "Buffers, requests and connections in use in each worker; 0B: no mark"},
    {"descriptors", FIELD_NUMBER, AT(conf_overload, descriptors), .max = 99, .fallback = "90",
     .doc = "Connections open in each worker, as per cent of the descriptors that it may have; "
            "0: no mark"},
};
TABLE(overload_table, conf_overload, "overload", overload_fields);

static const struct field dns_fields[] = {
    {"resolvers", FIELD_TEXTS, FORM_RESOLVER, MANY(conf_dns, resolvers),
     .computed = "what /etc/resolv.conf says",
     .doc = "Addresses of the servers that are asked for the names of endpoints, with a port "
            "if it is not 53"},
    {"timeout", FIELD_DURATION, AT(conf_dns, timeout_ms), .min = 50, .max = 60 * SECOND,
     .fallback = "2s", .doc = "A server that has not answered by then is asked once more"},
    {"min_ttl", FIELD_DURATION, AT(conf_dns, min_ttl_ms), .min = 100, .max = HOUR,
     .fallback = "1s", .doc = "An answer is used at least this long"},
    {"max_ttl", FIELD_DURATION, AT(conf_dns, max_ttl_ms), .min = 100, .max = 24 * HOUR,
     .fallback = "5m", .doc = "An answer is used at most this long"},
    {"negative", FIELD_DURATION, AT(conf_dns, negative_ms), .min = 100, .max = HOUR,
     .fallback = "5s",
     .doc = "A name that could not be looked up is asked for again after this"},
};
TABLE(dns_table, conf_dns, "dns", dns_fields);

static const struct field root_fields[] = {
    {"version", FIELD_FORMAT, .required = true, .doc = "Version of this format: 1"},
    {"workers", FIELD_NUMBER, AT(conf, workers), .min = 1, .max = 64,
     .computed = "number of online cores", .doc = "Worker processes"},
    {"io_uring", FIELD_WORD, AT(conf, io_uring), .words = io_uring_words, .fallback = "auto",
     .doc = "Hand everything that is to be sent to the kernel in one system call a loop turn; "
            "where the kernel has no io_uring or forbids it, in one call each"},
    {"overload", FIELD_GROUP, AT(conf, overload), .of = &overload_table,
     .doc =
         "Marks above which a worker refuses new requests and closes idle connections, until "
         "it is a tenth below"},
    {"user", FIELD_TEXT, FORM_USER, AT(conf, user), .computed = "stay",
     .doc = "User that workers and controller become when started as root"},
    {"state_dir", FIELD_TEXT, FORM_FILE, AT(conf, state_dir), .fallback = "/var/lib/sluice",
     .doc = "Folder of everything that must survive a restart"},
    {"drain", FIELD_DURATION, AT(conf, drain_ms), .min = 100, .max = HOUR, .fallback = "30s",
     .doc = "Time for what is in flight, tunnels too, when the proxy goes down"},
    {"control", FIELD_GROUP, AT(conf, control), .of = &control_table,
     .doc = "Where the control API is served"},
    {"dns", FIELD_GROUP, AT(conf, dns), .of = &dns_table,
     .doc = "How the names of endpoints are looked up"},
    {"listeners", FIELD_MAP, .required = true, MANY(conf, listeners), .min = 1,
     .of = &listener_table, .doc = "Where clients connect, by name"},
    {"services", FIELD_MAP, .required = true, MANY(conf, services), .of = &service_table,
     .doc = "What requests are sent to, by name"},
    {"routes", FIELD_LIST, .required = true, MANY(conf, routes), .of = &route_table,
     .doc = "Which request goes to which service: most specific host, then exact path, "
            "longest prefix, regular expression, then most conditions, then the first in the "
            "file"},
    {"flags", FIELD_GROUP, AT(conf, flags), .of = &flags_table, .marked = true,
     .absent = no_flags, .computed = "no flags", .doc = "Feature flags"},
    {"access_log", FIELD_GROUP, AT(conf, access_log), .of = &log_table,
     .doc = "One line for every exchange"},
    {"include", FIELD_INCLUDE,
     .doc = "Patterns of further files, relative to this one; their maps are merged and their "
            "lists appended"},
};
TABLE(root_table, conf, "config", root_fields);

const struct table *fields_root(void)
{
    return &root_table;
}

const struct field *field_find(const struct table *t, struct str name)
{
    for (size_t i = 0; i < t->n; i++)
        if (field_is(&t->fields[i], name))
            return &t->fields[i];
    return NULL;
}

const struct word *word_find(const struct word *words, struct str name)
{
    for (; words->name; words++)
        if (str_eq(str_of(words->name), name))
            return words;
    return NULL;
}

const char *word_name(const struct word *words, int value)
{
    for (; words->name; words++)
        if (words->value == value)
            return words->name;
    return NULL;
}

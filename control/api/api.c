/*
 * api.c - the way of a request to its handler, and of the answer back.
 *
 * A struct api_request lives in the memory of the httpd request under it and ends with it, in
 * exactly one of the answer functions. Mutations with an Idempotency-Key leave their answer in
 * a ring, so that a client that did not hear it may ask again.
 */
#include "control/api/api.h"
#include "config/conf.h"
#include "control/api/match.h"
#include "control/api/replay.h"
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/link/httpd.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { TAG_CONTROL, TAG_TELEMETRY };

struct api {
    LIST_HEAD(, api_request) open;
    struct loop *loop;
    struct httpd *httpd;
    struct engine *engine;
    struct replay *replay;
};

struct api_request { /* in the arena of HTTP */
    LIST_ENTRY(api_request) link;
    struct api *api;
    struct httpd_request *http;
    const struct api_route *route;
    struct match match;
    const char *values[MATCH_PARAMS]; /* decoded */
    json_t *body;                     /* owned */
    const char *actor, *reason, *key;
    uint64_t digest; /* of method, path and body: what KEY must belong to */
    void (*gone)(void *arg);
    void *gone_arg;
};

/* --- answers --- */

/* REQ's own things; its memory is the httpd request's and goes with that. */
static void request_release(struct api_request *req)
{
    LIST_REMOVE(req, link);
    json_decref(req->body);
    req->body = NULL;
}

void api_reply_raw(struct api_request *req, int status, const char *type, struct str body)
{
    if (req->key && status < 500)
        replay_keep(req->api->replay, str_of(req->key), req->digest, status, type, body);
    request_release(req);
    httpd_reply(req->http, status, type, body);
}

void api_reply_empty(struct api_request *req, int status)
{
    api_reply_raw(req, status, NULL, STR(""));
}

static void reply_json(struct api_request *req, int status, const char *type, json_t *body)
{
    char *text = json_dumps(body, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    char *line = xasprintf("%s\n", text ? text : "null");

    json_decref(body);
    api_reply_raw(req, status, type, str_of(line));
    xfree(text);
    xfree(line);
}

void api_reply(struct api_request *req, int status, json_t *body)
{
    ASSERT(body);
    reply_json(req, status, "application/json", body);
}

static const struct {
    int status;
    const char *title;
} titles[] = {{400, "Bad Request"},
              {404, "Not Found"},
              {405, "Method Not Allowed"},
              {409, "Conflict"},
              {412, "Precondition Failed"},
              {413, "Content Too Large"},
              {415, "Unsupported Media Type"},
              {422, "Unprocessable Content"},
              {428, "Precondition Required"},
              {500, "Internal Server Error"},
              {503, "Service Unavailable"},
              {504, "Gateway Timeout"},
              {507, "Insufficient Storage"}};

static const char *title_of(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static void reply_problem(struct api_request *req, int status, const char *code,
                          const char *pointer, json_t *more, const char *fmt, va_list ap)
{
    json_t *detail = json_vsprintf(fmt, ap);
    json_t *body =
        json_pack("{s:s,s:s,s:i,s:o,s:s}", "type", "about:blank", "title", title_of(status),
                  "status", status, "detail", detail ? detail : json_string(""), "code", code);

    if (pointer)
        json_object_set_new(body, "pointer", json_string(pointer));
    if (more)
        json_object_update(body, more);
    json_decref(more);
    reply_json(req, status, "application/problem+json", body);
}

void api_problem(struct api_request *req, int status, const char *code, const char *pointer,
                 const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    reply_problem(req, status, code, pointer, NULL, fmt, ap);
    va_end(ap);
}

void api_problem_more(struct api_request *req, int status, const char *code, json_t *more,
                      const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    reply_problem(req, status, code, NULL, more, fmt, ap);
    va_end(ap);
}

void api_set_header(struct api_request *req, const char *name, const char *value)
{
    httpd_set_header(req->http, name, value);
}

void api_stream_start(struct api_request *req, int status, const char *type)
{
    httpd_start(req->http, status, type);
}

void api_stream_write(struct api_request *req, struct str data)
{
    httpd_send(req->http, data);
}

void api_stream_end(struct api_request *req)
{
    request_release(req);
    httpd_end(req->http);
}

static void on_gone(void *arg)
{
    struct api_request *req = arg;

    req->gone(req->gone_arg);
}

void api_on_gone(struct api_request *req, void (*gone)(void *arg), void *arg)
{
    req->gone = gone;
    req->gone_arg = arg;
    httpd_on_gone(req->http, gone ? on_gone : NULL, req);
}

/* --- what a handler may ask --- */

struct engine *api_engine(const struct api_request *req)
{
    return req->api->engine;
}

void *api_alloc(struct api_request *req, size_t n)
{
    return arena_zalloc(httpd_arena(req->http), n);
}

struct loop *api_loop(const struct api_request *req)
{
    return req->api->loop;
}

const char *api_param(const struct api_request *req, const char *name)
{
    for (size_t i = 0; i < req->match.n; i++)
        if (str_eq(req->match.params[i].name, str_of(name)))
            return req->values[i];
    ASSERT(!"the route has that parameter");
    return NULL;
}

const char *api_query(const struct api_request *req, const char *name)
{
    return httpd_query_value(httpd_arena(req->http), httpd_query(req->http), name).p;
}

bool api_query_flag(const struct api_request *req, const char *name)
{
    const char *v = api_query(req, name);

    return v && strcmp(v, "0") != 0 && strcmp(v, "false") != 0;
}

const char *api_header(const struct api_request *req, const char *name)
{
    return httpd_header(req->http, name).p;
}

bool api_accepts(const struct api_request *req, const char *type)
{
    struct str accept = httpd_header(req->http, "Accept");

    while (accept.n) {
        struct str range = str_cut(&accept, ',');
        if (str_ieq(str_trim(str_cut(&range, ';')), str_of(type)))
            return true;
    }
    return false;
}

struct str api_text(const struct api_request *req)
{
    return httpd_body(req->http);
}

json_t *api_body(const struct api_request *req)
{
    return req->body;
}

const char *api_actor(const struct api_request *req)
{
    return req->actor;
}

const char *api_reason(const struct api_request *req)
{
    return req->reason;
}

bool api_dry_run(const struct api_request *req)
{
    return api_query_flag(req, "dry_run");
}

bool api_query_u64(struct api_request *req, const char *name, uint64_t max, uint64_t *out)
{
    const char *v = api_query(req, name);

    if (!v || str_to_u64(str_of(v), max, out))
        return true;
    api_problem(req, 400, "bad_query", NULL, "%s=%s: must be a number up to %llu", name, v,
                (unsigned long long)max);
    return false;
}

bool api_query_ms(struct api_request *req, const char *name, uint64_t max, uint64_t *out)
{
    const char *v = api_query(req, name);
    uint64_t ms;

    if (!v)
        return true;
    if (!conf_duration(str_of(v), &ms)) {
        api_problem(req, 400, "bad_query", NULL, "%s=%s: must be a duration like \"30s\"", name,
                    v);
        return false;
    }
    *out = ms < max ? ms : max;
    return true;
}

bool api_fields(struct api_request *req, const json_t *obj, const char *at,
                const char *const names[])
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)obj, key, value)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (names[i])
            continue;
        char *pointer = xasprintf("%s/%s", at, key);
        api_problem(req, 400, "unknown_field", pointer, "unknown field \"%s\"", key);
        xfree(pointer);
        return false;
    }
    return true;
}

/* --- before the handler --- */

static const char *name_actor(struct arena *a, const struct httpd_peer *peer)
{
    struct passwd pw, *found = NULL;
    char room[1024];

    if (!peer->unix_socket)
        return arena_str(a, str_of(peer->address)).p;
    if (getpwuid_r(peer->uid, &pw, room, sizeof(room), &found) == 0 && found)
        return arena_printf(a, "uid %u (%s)", (unsigned)peer->uid, found->pw_name).p;
    return arena_printf(a, "uid %u", (unsigned)peer->uid).p;
}

static int depth_of(const json_t *v, int most)
{
    int deepest = 0;
    const char *key;
    json_t *child;
    size_t i;

    if (most == 0 || (!json_is_object(v) && !json_is_array(v)))
        return 1;
    json_object_foreach((json_t *)v, key, child)
    {
        int d = depth_of(child, most - 1);
        deepest = d > deepest ? d : deepest;
    }
    json_array_foreach(v, i, child)
    {
        int d = depth_of(child, most - 1);
        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static bool is_json(struct str type)
{
    struct str essence = str_trim(str_cut(&type, ';'));

    return str_ieq(essence, STR("application/json"));
}

/* True: the body is what the route wants. False: a problem has been sent. */
static bool read_body(struct api_request *req)
{
    struct str text = httpd_body(req->http);
    json_error_t err;

    if (text.n == 0) {
        if (req->route->flags & API_BODY)
            api_problem(req, 400, "body_missing", NULL, "this needs a JSON object as its body");
        return !(req->route->flags & API_BODY);
    }
    if (!is_json(httpd_header(req->http, "Content-Type"))) {
        api_problem(req, 415, "content_type", NULL, "Content-Type must be application/json");
        return false;
    }
    if (req->route->flags & API_BODY_OWN)
        return true;
    req->body = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &err);
    if (!req->body) {
        api_problem(req, 400, "bad_json", NULL, "line %d, column %d: %s", err.line, err.column,
                    err.text);
        return false;
    }
    if (!json_is_object(req->body)) {
        api_problem(req, 400, "bad_json", "", "the body must be a JSON object");
        return false;
    }
    if (depth_of(req->body, API_DEPTH_MAX + 1) > API_DEPTH_MAX) {
        api_problem(req, 400, "too_deep", NULL, "more than %d levels", API_DEPTH_MAX);
        return false;
    }
    return true;
}

/* ?reason=, else the member of a POST's body, which is taken out. */
static bool read_reason(struct api_request *req)
{
    const char *query = api_query(req, "reason");
    json_t *member = NULL;

    if (req->body && str_eq(httpd_method(req->http), STR("POST")))
        member = json_object_get(req->body, "reason");
    if (member && !json_is_string(member)) {
        api_problem(req, 400, "bad_field", "/reason", "must be a string");
        return false;
    }
    struct arena *a = httpd_arena(req->http);
    req->reason = query    ? query
                  : member ? arena_str(a, str_of(json_string_value(member))).p
                           : "";
    if (member)
        json_object_del(req->body, "reason");
    return true;
}

static bool read_params(struct api_request *req)
{
    for (size_t i = 0; i < req->match.n; i++) {
        struct str v = httpd_unescape(httpd_arena(req->http), req->match.params[i].text);
        if (!v.p) {
            api_problem(req, 400, "bad_path", NULL, "bad percent escape in the path");
            return false;
        }
        req->values[i] = v.p;
    }
    return true;
}

/* False: the answer that belongs to the key (or why the key is wrong) has been sent. */
static bool check_key(struct api_request *req)
{
    const char *key = api_header(req, "Idempotency-Key");
    const struct replay_answer *had;

    if (!key || !(req->route->flags & API_MUTATES) || api_dry_run(req))
        return true;
    req->digest =
        replay_digest(httpd_method(req->http), httpd_path(req->http), httpd_body(req->http));
    had = replay_find(req->api->replay, str_of(key));
    if (!had) {
        req->key = key;
        return true;
    }
    if (had->digest != req->digest) {
        api_problem(req, 422, "idempotency_key", NULL,
                    "this Idempotency-Key belongs to another request");
        return false;
    }
    httpd_set_header(req->http, "Idempotency-Replayed", "true");
    api_reply_raw(req, had->status, had->type, had->body);
    return false;
}

/* --- routing --- */

static bool is_served_here(const struct api_route *r, int tag)
{
    return tag != TAG_TELEMETRY || (r->flags & API_TELEMETRY);
}

static bool is_method(const struct api_route *r, struct str method)
{
    return str_eq(method, str_of(r->method)) ||
           (str_eq(method, STR("HEAD")) && strcmp(r->method, "GET") == 0);
}

static void reply_no_route(struct api_request *req, const char *allow)
{
    if (!*allow) {
        api_problem(req, 404, "not_found", NULL, "there is nothing at this path");
        return;
    }
    httpd_set_header(req->http, "Allow", allow);
    api_problem(req, 405, "method", NULL, "this path takes %s", allow);
}

/* The route of REQ, or NULL with the methods that its path does take in ALLOW. */
static const struct api_route *find_route(struct api_request *req, char *allow, size_t room)
{
    struct str method = httpd_method(req->http), path = httpd_path(req->http);

    *allow = '\0';
    for (const struct api_route *r = api_routes; r->method; r++) {
        if (!is_served_here(r, httpd_tag(req->http)) ||
            !match_path(str_of(r->path), path, &req->match))
            continue;
        if (is_method(r, method))
            return r;
        size_t n = strlen(allow);
        snprintf(allow + n, room - n, "%s%s", n ? ", " : "", r->method);
    }
    return NULL;
}

static void on_request(void *arg, struct httpd_request *http)
{
    struct api *a = arg;
    struct arena *arena = httpd_arena(http);
    struct api_request *req = arena_zalloc(arena, sizeof(*req));
    char allow[64];

    LIST_INSERT_HEAD(&a->open, req, link);
    req->api = a;
    req->http = http;
    req->reason = "";
    req->actor = name_actor(arena, httpd_peer(http));
    httpd_set_header(http, "Cache-Control", "no-store");
    req->route = find_route(req, allow, sizeof(allow));
    if (!req->route) {
        reply_no_route(req, allow);
        return;
    }
    if (read_params(req) && read_body(req) && read_reason(req) && check_key(req))
        req->route->handler(req);
}

/* --- life --- */

struct api *api_new(struct loop *l, struct engine *e)
{
    struct api *a = xcalloc(1, sizeof(*a));

    LIST_INIT(&a->open);
    a->loop = l;
    a->engine = e;
    a->httpd = httpd_new(l, on_request, a);
    a->replay = replay_new();
    return a;
}

void api_free(struct api *a)
{
    struct api_request *req;

    if (!a)
        return;
    while ((req = LIST_FIRST(&a->open))) {
        if (req->gone)
            req->gone(req->gone_arg); /* ends it: a stream lets go of what it listens to */
        else
            request_release(req);
    }
    httpd_free(a->httpd);
    replay_free(a->replay);
    xfree(a);
}

int api_listen(struct api *a, int fd, bool telemetry)
{
    return httpd_listen(a->httpd, fd, telemetry ? TAG_TELEMETRY : TAG_CONTROL);
}

/* client.c - libcurl's easy interface towards the control API. */
#include "control/ctl/client.h"

#include "proxy/base/mem.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <strings.h>

#define BODY_MAX   (64u << 20)
#define DEFAULT_MS 60000

struct transfer {
    const struct call *call;
    struct answer *answer;
};

void answer_release(struct answer *r)
{
    xfree(r->body);
    json_decref(r->json);
    *r = (struct answer){0};
}

/* --- paths --- */

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("-._~:@", c));
}

static void put_escaped(FILE *f, const char *s)
{
    for (; *s; s++)
        if (is_plain((unsigned char)*s))
            fputc(*s, f);
        else
            fprintf(f, "%%%02X", (unsigned char)*s);
}

char *ctl_path(const char *fmt, ...)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    va_list ap;

    ASSERT(f);
    va_start(ap, fmt);
    for (; *fmt; fmt++)
        if (fmt[0] == '%' && fmt[1] == 's') {
            put_escaped(f, va_arg(ap, const char *));
            fmt++;
        } else {
            fputc(*fmt, f);
        }
    va_end(ap);
    fclose(f);
    return text;
}

/* Where to: --host or the socket, the path, and the reason of a mutation. */
static char *url_of(const struct ctl *c, const struct call *call)
{
    bool mutates = call->method && strcmp(call->method, "GET") != 0;
    const char *base = c->host ? c->host : "http://localhost";
    size_t n = strlen(base);
    char *reason, *url;

    while (n && base[n - 1] == '/')
        n--;
    if (!mutates || !c->reason)
        return xasprintf("%s%.*s%s", strstr(base, "://") ? "" : "http://", (int)n, base,
                         call->path);
    reason = ctl_path("%s", c->reason);
    url = xasprintf("%s%.*s%s%creason=%s", strstr(base, "://") ? "" : "http://", (int)n, base,
                    call->path, strchr(call->path, '?') ? '&' : '?', reason);
    xfree(reason);
    return url;
}

/* --- transfers --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct answer *r = t->answer;

    (void)size; /* always 1 */
    if (t->call->on_data)
        return t->call->on_data(t->call->arg, (struct str){p, n}) ? n : 0;
    if (r->n + n > BODY_MAX)
        return 0;
    r->body = xrealloc(r->body, r->n + n + 1);
    memcpy(r->body + r->n, p, n);
    r->n += n;
    r->body[r->n] = '\0';
    return n;
}

static size_t on_field(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct str line = {p, n}, name;

    (void)size;
    name = str_cut(&line, ':');
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (str_ieq(name, STR("etag")))
        str_copy(t->answer->etag, sizeof(t->answer->etag), str_trim(line));
    return n;
}

static struct curl_slist *fields_of(const struct call *call)
{
    struct curl_slist *l = NULL;

    if (call->body)
        l = curl_slist_append(l, "Content-Type: application/json");
    l = curl_slist_append(l, "Expect:");
    for (size_t i = 0; i < ARRAY_LEN(call->headers) && call->headers[i]; i++)
        l = curl_slist_append(l, call->headers[i]);
    return l;
}

static void set_options(CURL *curl, const struct ctl *c, const struct call *call,
                        const char *url, const char *body)
{
    const char *method = call->method ? call->method : "GET";

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluicectl/" SLUICE_VERSION);
    if (!c->host)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    if (strcmp(method, "GET") != 0)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    if (!call->on_data)
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                         call->timeout_ms ? call->timeout_ms : DEFAULT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
}

/* As curl_easy_perform, but SIGINT (c->interrupt) ends it at once. */
static CURLcode perform(struct ctl *c, CURL *curl)
{
    CURLM *multi = curl_multi_init();
    struct curl_waitfd extra = {.fd = c->interrupt, .events = CURL_WAIT_POLLIN};
    CURLcode code = CURLE_OK;
    CURLMsg *m;
    int running = 1, left;

    curl_multi_add_handle(multi, curl);
    while (running) {
        curl_multi_perform(multi, &running);
        if (running)
            curl_multi_poll(multi, &extra, c->interrupt > 0, 1000, NULL);
        if (c->interrupt > 0 && extra.revents) {
            code = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
    }
    while ((m = curl_multi_info_read(multi, &left)))
        if (m->msg == CURLMSG_DONE)
            code = m->data.result;
    curl_multi_remove_handle(multi, curl);
    curl_multi_cleanup(multi);
    return code;
}

bool client_call(struct ctl *c, const struct call *call, struct answer *r)
{
    struct transfer t = {call, r};
    CURL *curl = curl_easy_init();
    struct curl_slist *fields = fields_of(call);
    char *url = url_of(c, call), *body = call->body ? json_dumps(call->body, 0) : NULL;
    char error[CURL_ERROR_SIZE] = "";
    CURLcode code;
    long status = 0, os_error = 0;

    ASSERT(curl);
    *r = (struct answer){0};
    set_options(curl, c, call, url, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &t);
    code = perform(c, curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK || (call->on_data && code == CURLE_WRITE_ERROR))
        r->status = (int)status;
    else if (!c->host && curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error) == CURLE_OK &&
             os_error) /* libcurl's text speaks of a port */
        snprintf(r->error, sizeof(r->error), "%s", strerror((int)os_error));
    else
        snprintf(r->error, sizeof(r->error), "%s", error[0] ? error : curl_easy_strerror(code));
    if (!r->body)
        r->body = xstrdup("");
    r->json = json_loadb(r->body, r->n, 0, NULL);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    xfree(url);
    xfree(body);
    return r->status != 0;
}

/* --- answers --- */

int answer_exit(const struct answer *r)
{
    switch (r->status) {
    case 0:
        return CTL_UNREACHABLE;
    case 401:
    case 403:
        return CTL_DENIED;
    case 409:
    case 412:
    case 428:
        return CTL_CONFLICT;
    case 422:
        return json_object_get(r->json, "diagnostics") ? CTL_BAD_CONFIG : CTL_FAILED;
    default:
        return r->status >= 200 && r->status < 300 ? CTL_OK : CTL_FAILED;
    }
}

int answer_complain(struct ctl *c, const struct answer *r)
{
    const char *title = ctl_text(r->json, "title"), *detail = ctl_text(r->json, "detail"),
               *pointer = ctl_text(r->json, "pointer");
    const json_t *more = json_object_get(r->json, "errors");

    if (r->status == 0)
        return ctl_complain(c, CTL_UNREACHABLE, "cannot reach sluice at %s: %s",
                            c->host ? c->host : c->socket, r->error);
    if (!title[0] && ctl_text(r->json, "errorCode")[0]) /* OFREP has a shape of its own */
        return ctl_complain(c, answer_exit(r), "%s: %s", ctl_text(r->json, "errorCode"),
                            ctl_text(r->json, "errorDetails"));
    if (!title[0])
        return ctl_complain(c, answer_exit(r), "HTTP %d", r->status);
    (void)ctl_complain(c, answer_exit(r), "%s%s%s%s%s%s", title, detail[0] ? ": " : "", detail,
                       pointer[0] ? " (" : "", pointer, pointer[0] ? ")" : "");
    for (size_t i = 1; i < json_array_size(more); i++) { /* the first was said */
        const json_t *e = json_array_get(more, i);

        (void)ctl_complain(c, answer_exit(r), "%s (%s)", ctl_text(e, "detail"),
                           ctl_text(e, "pointer"));
    }
    return answer_exit(r);
}

int client_json(struct ctl *c, const char *method, const char *path, const json_t *body,
                json_t **doc)
{
    struct call call = {.method = method, .path = path, .body = body};
    struct answer r;
    int code = CTL_OK;

    if (doc)
        *doc = NULL;
    if (!client_call(c, &call, &r) || answer_exit(&r) != CTL_OK)
        code = answer_complain(c, &r);
    else if (doc)
        *doc = json_incref(r.json);
    if (code == CTL_OK && doc && !*doc && r.status != 204)
        code = ctl_complain(c, CTL_FAILED, "the answer is not JSON");
    answer_release(&r);
    return code;
}

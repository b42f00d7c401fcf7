/* notice_text.c - bodies are made once, when the event is taken; signatures at each try. */
#include "control/engine/notice_text.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/signature.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX 4096

/* --- what it says --- */

/* Flagger's phase at an event, for receivers that were written for it. */
static const char *phase_of(const char *type)
{
    static const char *const phases[][2] = {
        {"rollout.started", "Initializing"}, {"rollout.holding", "Waiting"},
        {"rollout.baking", "Promoting"},     {"rollout.finalizing", "Finalising"},
        {"rollout.succeeded", "Succeeded"},  {"rollout.aborting", "Failed"},
        {"rollout.reverted", "Failed"},      {"rollout.revert_stuck", "Failed"},
        {"rollout.rolled_back", "Failed"},   {"rollout.superseded", "Failed"},
    };

    for (size_t i = 0; i < ARRAY_LEN(phases); i++)
        if (strcmp(phases[i][0], type) == 0)
            return phases[i][1];
    return "Progressing";
}

static const char *text_of(const json_t *obj, const char *name)
{
    const char *text = json_string_value(json_object_get(obj, name));

    return text ? text : "";
}

static json_t *webhook_body(const json_t *ev, const struct rollout *r)
{
    const char *type = text_of(ev, "type"), *phase = phase_of(type);
    char stamp[24];
    json_t *body = json_deep_copy(ev);

    snprintf(stamp, sizeof(stamp), "%" PRIu64, clock_wall_ms());
    json_object_update_new(body, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:{s:s,s:s,s:s}}",
                                           "version", r->spec.version, "stable", r->stable,
                                           "name", r->service, "namespace", "sluice", "phase",
                                           phase, "checksum", r->spec.version, "metadata",
                                           "eventMessage", text_of(ev, "message"), "eventType",
                                           strcmp(phase, "Failed") == 0 ? "Warning" : "Normal",
                                           "timestamp", stamp));
    return body;
}

static json_t *slack_body(const json_t *ev, const struct rollout *r)
{
    return json_pack("{s:o}", "text",
                     json_sprintf("*%s* %s (%s to %s): %s", r->service, r->id, r->stable,
                                  r->spec.version, text_of(ev, "message")));
}

json_t *notice_doc(const json_t *entry, const json_t *ev, const struct rollout *r)
{
    const char *slack = json_string_value(json_object_get(entry, "slack"));
    json_t *body = slack ? slack_body(ev, r) : webhook_body(ev, r);
    char *text = json_dumps(body, JSON_COMPACT);
    json_t *doc =
        json_pack("{s:s,s:s,s:s,s:I,s:s,s:s}", "rollout", r->id, "service", r->service, "type",
                  text_of(ev, "type"), "ts_ms", (json_int_t)clock_wall_ms(), "target",
                  slack ? slack : text_of(entry, "webhook"), "body", text);

    if (json_object_get(entry, "secret"))
        json_object_set(doc, "secret", json_object_get(entry, "secret"));
    xfree(text);
    json_decref(body);
    return doc;
}

/* --- how it is sent --- */

static char *read_credential(const char *name)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char *path = xasprintf("%s/%s", dir ? dir : "", name), *out = NULL;
    struct arena a;
    struct str text;

    arena_init(&a, NULL, 0);
    if (dir && sys_read_file(&a, path, SECRET_MAX, &text) == 0) {
        while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
            text.n--;
        out = xstrndup(text.p, text.n);
    }
    arena_release(&a);
    xfree(path);
    return out;
}

/* What TEXT refers to, or TEXT itself. NULL: nothing is there. */
static char *look_up(const char *text)
{
    const char *value;

    if (strncmp(text, "@cred:", 6) == 0)
        return read_credential(text + 6);
    value = strncmp(text, "@env:", 5) == 0 ? getenv(text + 5) : text;
    return value && *value ? xasprintf("%s", value) : NULL;
}

static char *sign(const char *secret, const char *body, uint64_t now_s)
{
    char hex[SIGNATURE_HEX];
    char *signed_text = xasprintf("%" PRIu64 ".%s", now_s, body);
    char *header = xasprintf("Sluice-Signature: t=%" PRIu64 ",v1=%s", now_s,
                             signature_write(str_of(secret), str_of(signed_text), hex));

    xfree(signed_text);
    return header;
}

void notice_request_release(struct notice_request *q)
{
    for (size_t i = 0; i < ARRAY_LEN(q->headers); i++)
        xfree(q->headers[i]);
    xfree(q->url);
    xfree(q->body);
}

int notice_request(const json_t *doc, const char *key, uint64_t now_s, struct notice_request *q)
{
    const char *reference = json_string_value(json_object_get(doc, "secret"));
    char *secret = reference ? look_up(reference) : NULL;

    memset(q, 0, sizeof(*q));
    q->url = look_up(text_of(doc, "target"));
    if (!q->url || (reference && !secret)) {
        q->why = xasprintf("%s is not there", q->url ? reference : text_of(doc, "target"));
        xfree(q->url);
        xfree(secret);
        return -1;
    }
    q->body = xasprintf("%s", text_of(doc, "body"));
    q->headers[0] = xasprintf("Content-Type: application/json");
    q->headers[1] = xasprintf("Idempotency-Key: %s", key);
    q->headers[2] = xasprintf("Sluice-Event: %s", text_of(doc, "type"));
    if (secret)
        q->headers[3] = sign(secret, q->body, now_s);
    xfree(secret);
    return 0;
}

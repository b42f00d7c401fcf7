/* notice_text.c - bodies are made once, when the event is taken; signatures at each try. */
#include "control/engine/notice_text.h"
#include "control/engine/notice_mail.h"
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
        {"rollout.queued", "Waiting"},        {"rollout.started", "Initializing"},
        {"rollout.holding", "Waiting"},       {"rollout.baking", "Promoting"},
        {"rollout.finalizing", "Finalising"}, {"rollout.succeeded", "Succeeded"},
        {"rollout.aborting", "Failed"},       {"rollout.reverted", "Failed"},
        {"rollout.revert_stuck", "Failed"},   {"rollout.rolled_back", "Failed"},
        {"rollout.superseded", "Failed"},
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

/* How bad, in PagerDuty's words; NULL: it is over. */
static const char *severity_of(const char *type)
{
    static const char *const severities[][2] = {
        {"rollout.revert_stuck", "critical"},
        {"rollout.aborting", "error"},
        {"rollout.reverted", "error"},
        {"rollout.rolled_back", "error"},
        {"rollout.holding", "warning"},
        {"rollout.superseded", "warning"},
        {"rollout.resumed", NULL},
        {"rollout.approved", NULL},
        {"rollout.succeeded", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(severities); i++)
        if (strcmp(severities[i][0], type) == 0)
            return severities[i][1];
    return "info";
}

static char *sentence(const json_t *ev, const struct rollout *r)
{
    return xasprintf("%s %s (%s to %s): %s", r->service, r->id, r->stable, r->spec.version,
                     text_of(ev, "message"));
}

/* Without its routing key, which is looked up when it is sent. */
static json_t *pagerduty_body(const json_t *ev, const struct rollout *r)
{
    const char *severity = severity_of(text_of(ev, "type"));
    char *summary = sentence(ev, r);
    json_t *body =
        json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:O}}", "event_action",
                  severity ? "trigger" : "resolve", "dedup_key", r->id, "payload", "summary",
                  summary, "source", r->service, "severity", severity ? severity : "info",
                  "timestamp", text_of(ev, "ts"), "component", r->spec.version, "group",
                  "sluice", "class", text_of(ev, "type"), "custom_details", ev);

    xfree(summary);
    return body;
}

#define PAGERDUTY "https://events.pagerduty.com/v2/enqueue"

/* Where ENTRY's notices go, and what DOC keeps of it to send them. */
static const char *target_of(const json_t *entry, json_t *doc)
{
    json_t *mail = json_object_get(entry, "email"), *routing;

    if (mail) {
        json_object_set(doc, "mail", mail);
        return text_of(mail, "server");
    }
    if ((routing = json_object_get(entry, "pagerduty"))) {
        json_object_set(doc, "routing", routing);
        return json_object_get(entry, "url") ? text_of(entry, "url") : PAGERDUTY;
    }
    if (json_object_get(entry, "secret"))
        json_object_set(doc, "secret", json_object_get(entry, "secret"));
    return text_of(entry, json_object_get(entry, "slack") ? "slack" : "webhook");
}

static char *body_of(const json_t *entry, const json_t *ev, const struct rollout *r)
{
    json_t *body = json_object_get(entry, "slack")       ? slack_body(ev, r)
                   : json_object_get(entry, "pagerduty") ? pagerduty_body(ev, r)
                                                         : webhook_body(ev, r);
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return text;
}

json_t *notice_doc(const json_t *entry, const json_t *ev, const struct rollout *r)
{
    json_t *mail = json_object_get(entry, "email");
    char *body = mail ? notice_mail(mail, ev, r) : body_of(entry, ev, r);
    json_t *doc =
        json_pack("{s:s,s:s,s:s,s:I,s:s}", "rollout", r->id, "service", r->service, "type",
                  text_of(ev, "type"), "ts_ms", (json_int_t)clock_wall_ms(), "body", body);

    json_object_set_new(doc, "target", json_string(target_of(entry, doc)));
    xfree(body);
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
    xfree(q->password);
}

/* What DOC's member NAME refers to. False: it is a reference that leads nowhere, and WHY. */
static bool refer(const json_t *obj, const char *name, char **value, char **why)
{
    const char *reference = json_string_value(json_object_get(obj, name));

    *value = reference ? look_up(reference) : NULL;
    if (reference && !*value && !*why)
        *why = xasprintf("%s is not there", reference);
    return !reference || *value;
}

static char *add_routing(const char *body, const char *key)
{
    json_t *doc = json_loads(body, 0, NULL);
    char *text;

    json_object_set_new(doc, "routing_key", json_string(key));
    text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    return text;
}

/* A password that would be sent in the clear is for a server of this machine only. */
static bool is_local(const char *url)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        size_t n = strlen(hosts[i]);

        if (strncmp(url + 7, hosts[i], n) == 0 && (url[7 + n] == ':' || url[7 + n] == '\0'))
            return true;
    }
    return false;
}

static void address_mail(const json_t *mail, struct notice_request *q)
{
    const json_t *to = json_object_get(mail, "to");

    q->is_mail = true;
    q->mail.from = text_of(mail, "from");
    q->mail.to = q->to;
    q->mail.user = json_string_value(json_object_get(mail, "user"));
    q->mail.password = q->password;
    q->mail.secure = q->mail.user && !is_local(q->url);
    for (size_t i = 0; i < json_array_size(to) && i < SPEC_RECIPIENTS; i++)
        q->to[i] = json_string_value(json_array_get(to, i));
}

static void write_headers(const json_t *doc, const char *key, const char *secret,
                          uint64_t now_s, struct notice_request *q)
{
    q->headers[0] = xasprintf("Content-Type: application/json");
    q->headers[1] = xasprintf("Idempotency-Key: %s", key);
    q->headers[2] = xasprintf("Sluice-Event: %s", text_of(doc, "type"));
    if (secret)
        q->headers[3] = sign(secret, q->body, now_s);
}

int notice_request(const json_t *doc, const char *key, uint64_t now_s, struct notice_request *q)
{
    const json_t *mail = json_object_get(doc, "mail");
    char *secret = NULL, *routing = NULL, *why = NULL;
    bool found = true;

    memset(q, 0, sizeof(*q));
    found = refer(doc, "target", &q->url, &why) && found;
    found = refer(doc, "secret", &secret, &why) && found;
    found = refer(doc, "routing", &routing, &why) && found;
    found = refer(mail, "password", &q->password, &why) && found;
    if (found) {
        q->body = routing ? add_routing(text_of(doc, "body"), routing)
                          : xasprintf("%s", text_of(doc, "body"));
        if (mail)
            address_mail(mail, q);
        else
            write_headers(doc, key, secret, now_s, q);
    } else {
        notice_request_release(q);
        memset(q, 0, sizeof(*q));
        q->why = why;
    }
    xfree(secret);
    xfree(routing);
    return found ? 0 : -1;
}

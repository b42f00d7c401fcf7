/* spec_notify.c - the list is checked once and kept as it was written. */
#include "control/rollout/spec_notify.h"

#include "proxy/base/str.h"

#include <string.h>

#define PREFIX      "rollout."
#define ADDRESS_MAX 254 /* RFC 5321 4.5.3.1.3, without the angle brackets */

static const char *const happenings[] = {
    "queued",   "started",      "step",        "holding",    "resumed",
    "approved", "verdict",      "baking",      "finalizing", "aborting",
    "reverted", "revert_stuck", "rolled_back", "succeeded",  "superseded",
};

static int read_on(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);

    (void)target;
    if (!json_is_array(v))
        return spec_fail(rd, pointer,
                         "must be an array of events: \"step\", \"reverted\", ...");
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(v, i));
        size_t k = 0;

        while (k < ARRAY_LEN(happenings) && (!text || strcmp(text, happenings[k]) != 0))
            k++;
        spec_at_index(where, pointer, i);
        if (k == ARRAY_LEN(happenings))
            return spec_fail(rd, where, "is not an event of a rollout, such as \"reverted\"");
    }
    return 0;
}

/* "@env:NAME" or "@cred:NAME", the latter a file's name and not a path. */
static bool is_reference(const char *text)
{
    const char *name = strncmp(text, "@env:", 5) == 0    ? text + 5
                       : strncmp(text, "@cred:", 6) == 0 ? text + 6
                                                         : "";

    return *name && *name != '.' && !strpbrk(name, "/=");
}

static int read_target(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    const char *text = json_string_value(v);

    (void)target;
    if (!text || (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0 &&
                  !is_reference(text)))
        return spec_fail(rd, pointer,
                         "must be a URL, \"@env:NAME\" or \"@cred:NAME\" that holds one");
    return 0;
}

static int read_secret(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    const char *text = json_string_value(v);

    (void)target;
    if (!text || !is_reference(text))
        return spec_fail(rd, pointer,
                         "must be \"@env:NAME\" or \"@cred:NAME\": a rollout can be read");
    return 0;
}

/* --- e-mail --- */

/* An address as RFC 5321 has it, without quoted local parts: nothing that ends a command or a
 * header field. */
static bool is_address(const char *text)
{
    const char *at = text ? strchr(text, '@') : NULL;

    if (!at || at == text || !at[1] || strchr(at + 1, '@') || strlen(text) > ADDRESS_MAX)
        return false;
    for (; *text; text++)
        if (*text <= ' ' || *text == 0x7f || strchr("<>()[],;:\\\"", *text))
            return false;
    return true;
}

static int read_address(struct spec_reader *rd, const char *pointer, const json_t *v,
                        void *target)
{
    (void)target;
    if (!is_address(json_string_value(v)))
        return spec_fail(rd, pointer, "must be an address such as \"oncall@shop.example\"");
    return 0;
}

static int read_recipients(struct spec_reader *rd, const char *pointer, const json_t *v,
                           void *target)
{
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);

    if (n < 1 || n > SPEC_RECIPIENTS)
        return spec_fail(rd, pointer, "must be an array of 1 to %d addresses", SPEC_RECIPIENTS);
    for (size_t i = 0; i < n; i++) {
        spec_at_index(where, pointer, i);
        if (read_address(rd, where, json_array_get(v, i), target) < 0)
            return -1;
    }
    return 0;
}

static int read_server(struct spec_reader *rd, const char *pointer, const json_t *v,
                       void *target)
{
    const char *text = json_string_value(v);
    size_t scheme = !text                               ? 0
                    : strncmp(text, "smtp://", 7) == 0  ? 7
                    : strncmp(text, "smtps://", 8) == 0 ? 8
                                                        : 0;

    (void)target;
    if (!scheme || !text[scheme] || strpbrk(text + scheme, "@/? "))
        return spec_fail(rd, pointer,
                         "must be like \"smtp://mail.example:587\" or "
                         "\"smtps://mail.example\"");
    return 0;
}

static int read_user(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *text = json_string_value(v);

    (void)target;
    if (!text || !*text || strpbrk(text, "\r\n"))
        return spec_fail(rd, pointer, "must be a name");
    return 0;
}

static int read_email(struct spec_reader *rd, const char *pointer, const json_t *v,
                      void *target)
{
    static const struct spec_field fields[] = {
        {"to", read_recipients, NULL},   {"from", read_address, NULL},
        {"server", read_server, NULL},   {"user", read_user, NULL},
        {"password", read_secret, NULL},
    };

    (void)target;
    if (spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    if (!json_object_get(v, "to") || !json_object_get(v, "from") ||
        !json_object_get(v, "server"))
        return spec_fail(rd, pointer, "needs \"to\", \"from\" and \"server\"");
    if (!json_object_get(v, "user") != !json_object_get(v, "password"))
        return spec_fail(rd, pointer, "needs \"user\" and \"password\" or neither");
    return 0;
}

/* --- the lists --- */

static int read_name(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *text = json_string_value(v);

    (void)target;
    if (!text || !*text || strlen(text) > SPEC_NAME_MAX)
        return spec_fail(rd, pointer, "must be a name of at most %d bytes", SPEC_NAME_MAX);
    return 0;
}

static int read_entry(struct spec_reader *rd, const char *pointer, const json_t *entry)
{
    static const char *const kinds[] = {"webhook", "slack", "pagerduty", "email"};
    static const struct spec_field fields[] = {
        {"name", read_name, NULL},        {"on", read_on, NULL},
        {"webhook", read_target, NULL},   {"slack", read_target, NULL},
        {"pagerduty", read_secret, NULL}, /* its routing key */
        {"email", read_email, NULL},      {"secret", read_secret, NULL},
        {"url", read_target, NULL},
    };
    unsigned n = 0;

    if (spec_read_object(rd, pointer, entry, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        n += json_object_get(entry, kinds[i]) != NULL;
    if (n != 1)
        return spec_fail(
            rd, pointer,
            "must have one of \"webhook\", \"slack\", \"pagerduty\" and \"email\"");
    if (json_object_get(entry, "url") && !json_object_get(entry, "pagerduty"))
        return spec_fail(rd, pointer, "\"url\" is where PagerDuty is, and nothing else's");
    if (json_object_get(entry, "secret") && !json_object_get(entry, "webhook"))
        return spec_fail(rd, pointer, "\"secret\" signs what a webhook gets, nothing else");
    return 0;
}

const json_t *spec_notify_named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *its = json_string_value(json_object_get(entry, "name"));

        if (its && strcmp(its, name) == 0)
            return entry;
    }
    return NULL;
}

int spec_read_notify(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);
    int rc = 0;

    if (!json_is_array(v) || n > SPEC_NOTIFY)
        return spec_fail(rd, pointer, "must be an array of at most %d", SPEC_NOTIFY);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(v, i);
        const char *name;

        spec_at_index(where, pointer, i);
        if (read_entry(rd, where, entry) < 0)
            rc = -1;
        name = json_string_value(json_object_get(entry, "name"));
        if (name && spec_notify_named(v, name) != entry)
            rc = spec_fail(rd, where, "\"%s\" names another entry too", name);
    }
    return rc == 0 && n ? spec_keep_json(rd, pointer, v, target) : rc;
}

/* Whether TARGET, a list, has the name. A list with mistakes was not kept: they are said. */
static int read_to(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    const char *name = json_string_value(v);
    bool unknown = rd->errs->n && !rd->out->notify;

    if (!name || (!unknown && !spec_notify_named(target, name)))
        return spec_fail(rd, pointer, "must be the \"name\" of an entry of \"notify\"");
    return 0;
}

static int read_rung(struct spec_reader *rd, const char *pointer, const json_t *v, json_t *list)
{
    uint64_t after;
    const struct spec_field fields[] = {
        {"after", spec_read_duration, &after},
        {"to", read_to, list},
    };

    if (spec_read_object(rd, pointer, v, fields, ARRAY_LEN(fields)) < 0)
        return -1;
    if (!json_object_get(v, "after") || !json_object_get(v, "to"))
        return spec_fail(rd, pointer, "needs \"after\" and \"to\"");
    return 0;
}

int spec_read_escalation(struct spec_reader *rd, const char *pointer, const json_t *v,
                         void *target)
{
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);
    json_t *list;
    int rc = 0;

    if (!json_is_array(v) || n > SPEC_NOTIFY)
        return spec_fail(rd, pointer, "must be an array of at most %d", SPEC_NOTIFY);
    list = json_loads(spec_text(rd->out, rd->out->notify), 0, NULL);
    for (size_t i = 0; i < n; i++) {
        spec_at_index(where, pointer, i);
        if (read_rung(rd, where, json_array_get(v, i), list) < 0)
            rc = -1;
    }
    json_decref(list);
    return rc == 0 && n ? spec_keep_json(rd, pointer, v, target) : rc;
}

bool spec_notify_wants(const json_t *entry, const char *type)
{
    const json_t *on = json_object_get(entry, "on");

    if (strncmp(type, PREFIX, strlen(PREFIX)) != 0)
        return false;
    for (size_t i = 0; i < json_array_size(on); i++)
        if (strcmp(json_string_value(json_array_get(on, i)), type + strlen(PREFIX)) == 0)
            return true;
    return !on;
}

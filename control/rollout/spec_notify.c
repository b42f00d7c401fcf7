/* spec_notify.c - the list is checked once and kept as it was written. */
#include "control/rollout/spec_notify.h"

#include <string.h>

#define PREFIX "rollout."

static const char *const happenings[] = {
    "started",      "step",        "holding",    "resumed",    "approved",
    "verdict",      "baking",      "finalizing", "aborting",   "reverted",
    "revert_stuck", "rolled_back", "succeeded",  "superseded",
};

static int read_on(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);

    (void)target;
    if (n < 1)
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

    ++*(unsigned *)target;
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

int spec_read_notify(struct spec_reader *rd, const char *pointer, const json_t *v, void *target)
{
    char where[SPEC_POINTER_MAX];
    size_t n = json_array_size(v);

    if (!json_is_array(v) || n > SPEC_NOTIFY)
        return spec_fail(rd, pointer, "must be an array of at most %d", SPEC_NOTIFY);
    for (size_t i = 0; i < n; i++) {
        unsigned targets = 0;
        const struct spec_field fields[] = {
            {"on", read_on, NULL},
            {"webhook", read_target, &targets},
            {"slack", read_target, &targets},
            {"secret", read_secret, NULL},
        };

        spec_at_index(where, pointer, i);
        if (spec_read_object(rd, where, json_array_get(v, i), fields, ARRAY_LEN(fields)) < 0)
            return -1;
        if (targets != 1)
            return spec_fail(rd, where, "must have one of \"webhook\" and \"slack\"");
    }
    return n ? spec_keep_json(rd, pointer, v, target) : 0;
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

/*
 * flagset.c - the flag-set snapshot to a compiled, immutable set.
 *
 * One arena holds everything that a set consists of. What is wrong with one flag is the reason
 * of that flag's quarantine and touches no other.
 */
#include "config/flagset.h"

#include "config/flag_compile.h"
#include "config/flag_guard.h"

#include <jansson.h>
#include <stdio.h>

#define KEY_MAX   1024
#define NAME_MAX_ 256 /* of a variant in a field value */
#define AUTO_MAX  32  /* flags of a set that are handed upstream without being asked to */

struct build { /* what a set is made of, while it is made */
    struct flagset *set;
    struct flag_builder b;
    struct flag_def *flags;
    json_t *doc, *metadata, *overrides, *cells; /* parts are borrowed from doc; or NULL */
};

struct flagset *flagset_ref(struct flagset *f)
{
    f->refs++;
    return f;
}

void flagset_unref(struct flagset *f)
{
    if (!f)
        return;
    ASSERT(f->refs > 0);
    if (--f->refs > 0)
        return;
    arena_release(&f->arena);
    xfree(f);
}

size_t flagset_count(const struct flagset *f)
{
    return f->keys.n;
}

uint64_t flagset_sequence(const struct flagset *f)
{
    return f->sequence;
}

int flagset_find(const struct flagset *f, struct str key)
{
    return (int)flag_index_find(&f->keys, key); /* UINT32_MAX is -1 */
}

struct str flagset_key(const struct flagset *f, int flag)
{
    return f->flags[flag].key;
}

struct str flagset_quarantine(const struct flagset *f, int flag)
{
    return f->flags[flag].quarantine;
}

struct str flagset_metadata(const struct flagset *f, int flag)
{
    return f->flags[flag].metadata;
}

const struct flag_upstream *flagset_upstream(const struct flagset *f, size_t *n)
{
    *n = f->nupstream;
    return f->upstream;
}

/* ---- one flag ---- */

static bool fail(struct build *m, const char *why)
{
    snprintf(m->b.why, sizeof(m->b.why), "%s", why);
    return false;
}

static struct str dump(struct build *m, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
    struct str s = text ? arena_str(&m->set->arena, str_of(text)) : STR("null");

    xfree(text);
    return s;
}

/* S in quotes. */
static struct str quoted(struct build *m, struct str s)
{
    json_t *j = json_stringn_nocheck(s.n ? s.p : "", s.n);
    struct str text = dump(m, j);

    json_decref(j);
    return text;
}

/* RFC 9110 5.5: visible characters, blanks inside. */
static bool header_safe(struct str s)
{
    if (s.n == 0 || s.n > NAME_MAX_ || s.p[0] == ' ' || s.p[s.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    }
    return true;
}

static uint32_t cell_of(const struct build *m, const char *key, const char *variant)
{
    json_int_t n = json_integer_value(json_object_get(json_object_get(m->cells, key), variant));

    return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0; /* the reader knows how many there are */
}

static int variant_named(const struct flag_def *d, const char *name)
{
    for (int i = 0; name && i < d->nvariants; i++) {
        if (str_eq(d->variants[i].name, str_of(name)))
            return i;
    }
    return FLAG_NO_VARIANT;
}

static bool read_variants(struct build *m, const char *key, const json_t *j, struct flag_def *d)
{
    size_t n = json_object_size(j), i = 0;
    struct flag_variant *v;
    const char *name;
    json_t *value;

    if (n == 0 || n > 10000)
        return fail(m, "\"variants\" must be an object with at least one variant");
    d->variants = v = arena_zalloc(&m->set->arena, n * sizeof(*v));
    json_object_foreach((json_t *)j, name, value)
    {
        struct flag_value parsed;

        if (!flag_compile_value(&m->b, value, &parsed))
            return false;
        v[i].name = arena_str(&m->set->arena, str_of(name));
        v[i].kind = parsed.kind;
        v[i].json = dump(m, value);
        v[i].answer = arena_printf(&m->set->arena, ",\"value\":%.*s,\"variant\":%.*s",
                                   STR_ARG(v[i].json), STR_ARG(quoted(m, v[i].name)));
        v[i].header_safe = header_safe(v[i].name);
        v[i].cell = cell_of(m, key, name);
        i++;
    }
    d->nvariants = (int)n;
    return true;
}

static bool read_default(struct build *m, const json_t *j, struct flag_def *d)
{
    d->default_variant = FLAG_NO_VARIANT;
    if (!j || json_is_null(j))
        return true;
    d->default_variant = variant_named(d, json_string_value(j));
    return d->default_variant != FLAG_NO_VARIANT ||
           fail(m, "\"defaultVariant\" is not one of the variants");
}

static bool read_state(struct build *m, const json_t *j, struct flag_def *d)
{
    const char *state = json_string_value(j);

    d->enabled = state && !strcmp(state, "ENABLED");
    return d->enabled || (state && !strcmp(state, "DISABLED")) ||
           fail(m, "\"state\" must be \"ENABLED\" or \"DISABLED\"");
}

static bool read_rule(struct build *m, const json_t *j, struct flag_def *d)
{
    d->rule = FLAG_NO_NODE;
    if (!j || json_is_null(j) || (json_is_object(j) && json_object_size(j) == 0))
        return true;
    if (!json_is_object(j))
        return fail(m, "\"targeting\" must be an object");
    d->rule = flag_compile_rule(&m->b, d->key, j);
    return d->rule != FLAG_NO_NODE;
}

static bool read_guard(struct build *m, const json_t *metadata, struct flag_def *d)
{
    d->guard = flag_guard_parse(&m->set->arena, metadata, m->b.why, sizeof(m->b.why));
    return m->b.why[0] == '\0';
}

static bool read_definition(struct build *m, const char *key, const json_t *j,
                            struct flag_def *d)
{
    m->b.copied = 0;
    if (!json_is_object(j))
        return fail(m, "a flag must be an object");
    if (d->key.n == 0 || d->key.n > KEY_MAX)
        return fail(m, "a key has 1 to 1024 bytes");
    return read_state(m, json_object_get(j, "state"), d) &&
           read_variants(m, key, json_object_get(j, "variants"), d) &&
           read_default(m, json_object_get(j, "defaultVariant"), d) &&
           read_rule(m, json_object_get(j, "targeting"), d) &&
           read_guard(m, json_object_get(j, "metadata"), d);
}

/* {"in":[{"var":attr},values]}: for whom an override is. */
static uint32_t target_of(struct build *m, struct str key, const json_t *targets)
{
    json_t *rule = json_pack("{s:[{s:O},O]}", "in", "var", json_object_get(targets, "attr"),
                             json_object_get(targets, "values"));
    uint32_t node = rule ? flag_compile_rule(&m->b, key, rule) : FLAG_NO_NODE;

    json_decref(rule);
    return node;
}

/* An override that makes no sense is left out: it must not quarantine what it should tame. */
static void read_override(struct build *m, const json_t *j, struct flag_def *d)
{
    const json_t *targets = json_object_get(j, "targets");
    json_int_t until = json_integer_value(json_object_get(j, "until"));

    d->override = (struct flag_override){FLAG_NO_VARIANT, 0, FLAG_NO_NODE};
    if (!j)
        return;
    if (targets && !json_is_null(targets)) {
        d->override.target = target_of(m, d->key, targets);
        if (d->override.target == FLAG_NO_NODE)
            return;
    }
    d->override.until = until > 0 ? (uint64_t)until : 0;
    d->override.variant = variant_named(d, json_string_value(json_object_get(j, "variant")));
}

static void add_primitives(json_t *into, const json_t *from)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)from, name, v)
    {
        if (!json_is_object(v) && !json_is_array(v) && !json_is_null(v))
            json_object_set(into, name, v);
    }
}

static struct str metadata_closing(struct build *m, const json_t *metadata)
{
    return json_object_size(metadata)
               ? arena_printf(&m->set->arena, ",\"metadata\":%.*s}", STR_ARG(dump(m, metadata)))
               : STR("}");
}

static void read_metadata(struct build *m, const json_t *flag, struct flag_def *d)
{
    json_t *all = json_object();
    const json_t *id;

    add_primitives(all, m->metadata);
    add_primitives(all, json_object_get(flag, "metadata"));
    if (json_object_size(all))
        d->metadata = dump(m, all);
    id = json_object_get(all, "flagSetId");
    if (json_is_string(id))
        d->set_id = arena_str(&m->set->arena, str_of(json_string_value(id)));
    d->closing = metadata_closing(m, all);
    if (d->guard && d->guard->nneeds) {
        json_object_set_new(all, "unsatisfied", json_true());
        d->closing_unsatisfied = metadata_closing(m, all);
        json_object_del(all, "unsatisfied");
    }
    if (d->override.variant != FLAG_NO_VARIANT) {
        json_object_set_new(all, "override", json_true());
        d->closing_override = metadata_closing(m, all);
    }
    json_decref(all);
}

static void read_flag(struct build *m, const char *key, const json_t *j, struct flag_def *d)
{
    d->cell = cell_of(m, key, "");
    if (!read_definition(m, key, j, d))
        d->quarantine = arena_str(&m->set->arena, str_of(m->b.why));
    read_override(m, json_object_get(m->overrides, key), d);
    read_metadata(m, j, d);
    d->opening = arena_printf(&m->set->arena, "{\"key\":%.*s", STR_ARG(quoted(m, d->key)));
}

/* All flags are read: what needs others finds them. */
static void link_flag(struct build *m, struct flag_def *d)
{
    if (!d->quarantine.n && !flag_guard_link(m->set, d, m->b.why, sizeof(m->b.why)))
        d->quarantine = arena_str(&m->set->arena, str_of(m->b.why));
    if (d->quarantine.n)
        d->closing_failed = arena_printf(&m->set->arena, ",\"errorDetails\":%.*s}",
                                         STR_ARG(quoted(m, d->quarantine)));
}

/* ---- what goes upstream ---- */

static bool is_token(struct str s) /* RFC 9110 5.6.2 */
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');

        if (!alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_;
}

static bool says(const json_t *j, const char *word, bool truth)
{
    return json_is_boolean(j) ? json_boolean_value(j) == truth
                              : json_is_string(j) && !strcmp(json_string_value(j), word);
}

/* Fields that are taken off what clients send: no other may carry a flag. */
static bool is_ours(struct str field)
{
    struct str prefix = STR("X-Flag-");

    return is_token(field) && field.n > prefix.n &&
           str_ieq((struct str){field.p, prefix.n}, prefix);
}

/* The field for this flag, or STR_NONE: not handed on. */
static struct str upstream_field(struct build *m, const struct flag_def *d, const json_t *flag)
{
    const json_t *metadata = json_object_get(flag, "metadata");
    const json_t *asked = json_object_get(metadata, "proxy.upstream");
    struct str name = str_of(json_string_value(json_object_get(metadata, "proxy.header")));

    if (d->quarantine.n || !d->enabled || says(asked, "false", false))
        return STR_NONE;
    if (name.n)
        return is_ours(name) ? arena_str(&m->set->arena, name) : STR_NONE;
    if (!is_token(d->key) || (m->set->keys.n > AUTO_MAX && !says(asked, "true", true)))
        return STR_NONE;
    return arena_printf(&m->set->arena, "X-Flag-%.*s", STR_ARG(d->key));
}

static void list_upstream(struct build *m)
{
    struct flag_upstream *list = arena_alloc(&m->set->arena, FLAGSET_UPSTREAM * sizeof(*list));
    const json_t *flags = json_object_get(m->doc, "flags");
    size_t n = 0;

    for (uint32_t i = 0; i < m->set->keys.n && n < FLAGSET_UPSTREAM; i++) {
        const struct flag_def *d = &m->flags[i];
        struct str field = upstream_field(m, d, json_object_get(flags, d->key.p));

        if (field.n)
            list[n++] = (struct flag_upstream){(int)i, field};
    }
    m->set->upstream = list;
    m->set->nupstream = n;
}

/* ---- the set ---- */

static const char *check_document(const struct build *m)
{
    const json_t *flags = json_object_get(m->doc, "flags");

    if (json_integer_value(json_object_get(m->doc, "format")) != FLAGSET_FORMAT)
        return "not a flag-set document of format 1";
    if (!json_is_object(flags))
        return "\"flags\" must be an object";
    return json_object_size(flags) > FLAGSET_MAX ? "more than 10000 flags" : NULL;
}

/* As Redis or the metadata says it; the metadata is what flagd keeps. */
static enum flag_bucketing bucketing_of(const struct build *m)
{
    const json_t *j = json_object_get(m->metadata, "bucketing");
    const char *said;

    j = j ? j : json_object_get(m->doc, "bucketing");
    said = json_string_value(j);
    if (!j || (said && (!strcmp(said, "v2") || !*said)))
        return FLAG_BUCKETING_V2;
    if (said && !strcmp(said, "v1"))
        return FLAG_BUCKETING_V1;
    return said && !strcmp(said, "v3") ? FLAG_BUCKETING_V3 : FLAG_BUCKETING_UNKNOWN;
}

static void build_set(struct build *m)
{
    json_t *flags = json_object_get(m->doc, "flags"), *flag;
    struct arena *a = &m->set->arena;
    struct flag_node *nodes;
    const char *key;

    m->set->sequence = (uint64_t)json_integer_value(json_object_get(m->doc, "sequence"));
    m->metadata = json_object_get(m->doc, "metadata");
    if (json_object_size(m->metadata))
        m->set->metadata = dump(m, m->metadata);
    m->overrides = json_object_get(m->doc, "overrides");
    m->cells = json_object_get(m->doc, "cells");
    flag_builder_init(&m->b, a);
    m->b.bucketing = m->set->bucketing = bucketing_of(m);
    m->b.evaluators = json_object_get(m->doc, "evaluators");
    m->flags = arena_zalloc(a, (json_object_size(flags) + 1) * sizeof(*m->flags));
    json_object_foreach(flags, key, flag)
    {
        uint32_t i = flag_index_add(&m->b.keys, a, str_of(key));

        m->flags[i].key = m->b.keys.names[i];
        read_flag(m, key, flag, &m->flags[i]);
    }
    nodes = arena_alloc(a, m->b.nodes.n * sizeof(*nodes) + 1);
    if (m->b.nodes.n)
        memcpy(nodes, m->b.nodes.v, m->b.nodes.n * sizeof(*nodes));
    flag_index_freeze(&m->b.keys, a);
    flag_index_freeze(&m->b.slots, a);
    m->set->flags = m->flags;
    m->set->nodes = nodes;
    m->set->keys = m->b.keys;
    m->set->slots = m->b.slots;
    for (uint32_t i = 0; i < m->set->keys.n; i++)
        link_flag(m, &m->flags[i]);
    list_upstream(m);
    flag_builder_release(&m->b);
}

struct flagset *flagset_compile(struct str doc, char **why)
{
    struct build m = {0};
    json_error_t error;
    const char *bad;

    m.doc = json_loadb(doc.p ? doc.p : "", doc.n, 0, &error);
    if (!m.doc) {
        *why = xasprintf("line %d, column %d: %s", error.line, error.column, error.text);
        return NULL;
    }
    bad = check_document(&m);
    if (bad) {
        *why = xstrdup(bad);
        json_decref(m.doc);
        return NULL;
    }
    m.set = xcalloc(1, sizeof(*m.set));
    m.set->refs = 1;
    arena_init(&m.set->arena, NULL, 0);
    build_set(&m);
    json_decref(m.doc);
    return m.set;
}

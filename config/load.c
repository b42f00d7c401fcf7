/*
 * load.c - walk the field tables along a tree and fill the model.
 *
 * A table's rows are visited in their own order, not in the document's: versions exist before
 * the weights that name them, services before routes.
 */
#include "config/load.h"

#include <unistd.h>

static void load_object(struct loader *l, const struct table *t, struct node *n, char *base);

static void set_defaults(struct loader *l, const struct table *t, char *base)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->fields[i];

        if (f->kind == FIELD_GROUP && !f->absent)
            set_defaults(l, f->of, base + f->offset);
        else
            load_default(l, f, base);
    }
}

static void report_unknown(struct loader *l, const struct table *t, const struct node *n)
{
    struct str names[32];
    struct conf_diag *g = diag_at(l->d, n, AT_KEY, "unknown key \"%.*s\"", STR_ARG(n->key));

    ASSERT(t->n <= ARRAY_LEN(names));
    for (size_t i = 0; i < t->n; i++)
        names[i] = str_of(t->fields[i].name);
    diag_suggest(l->d, g, n->key, names, t->n);
}

static void load_group(struct loader *l, const struct field *f, struct node *n, char *base)
{
    bool given = true;

    base += f->offset;
    if (f->absent)
        set_defaults(l, f->of, base);
    if (f->marked)
        memcpy(base, &given, sizeof(given));
    load_object(l, f->of, n, base);
}

static void check_count(struct loader *l, const struct field *f, const struct node *n)
{
    if (n->n < f->min)
        (void)diag_at(l->d, n, AT_VALUE, "must have at least one %s", f->of->name);
    else if (f->max > 0 && n->n > f->max)
        (void)diag_at(l->d, n, AT_VALUE, "has %zu entries, at most %llu are possible", n->n,
                      (unsigned long long)f->max);
}

/* Thousands of elements share one reading of the defaults, and their texts. */
static const char *prototype(struct loader *l, const struct table *t)
{
    size_t i = 0;
    char *bytes;

    while (i < l->nprototypes && l->prototypes[i].of != t)
        i++;
    if (i == l->nprototypes) {
        ASSERT(i < ARRAY_LEN(l->prototypes));
        bytes = arena_zalloc(&l->tmp, t->size);
        set_defaults(l, t, bytes);
        l->prototypes[l->nprototypes++] = (struct prototype){t, bytes};
    }
    return l->prototypes[i].bytes;
}

/* The elements of a map (with names) or list. False: N is not one. */
static bool load_elements(struct loader *l, const struct field *f, struct node *n, char *base)
{
    bool map = f->kind == FIELD_MAP;

    if (n->kind != (map ? NODE_OBJECT : NODE_ARRAY)) {
        load_wrong_kind(l, n, map ? "an object" : "an array");
        return false;
    }
    check_count(l, f, n);

    const char *fresh = prototype(l, f->of);
    char *list = arena_alloc(l->a, n->n * f->of->size + 1), *at = list;

    field_set_array(f, base, list, n->n);
    for (struct node *e = n->first; e; e = e->next, at += f->of->size) {
        struct str name = map ? arena_str(l->a, e->key) : STR("");

        memcpy(at, fresh, f->of->size);
        if (map)
            memcpy(at, &name, sizeof(name));
        if (map && !conf_name_ok(name)) {
            struct conf_diag *g =
                diag_at(l->d, e, AT_KEY, "not a name: \"%.*s\"", STR_ARG(name));

            diag_hint(l->d, g,
                      "1 to 64 letters, digits, '.', '_', '-'; begins with a letter "
                      "or digit");
        }
        e->target = at;
    }
    return true;
}

static void load_field(struct loader *l, const struct field *f, struct node *n, char *base)
{
    if (f->kind == FIELD_GROUP) {
        load_group(l, f, n, base);
    } else if (f->kind == FIELD_MAP || f->kind == FIELD_LIST) {
        if (!load_elements(l, f, n, base))
            return;
        for (struct node *e = n->first; e; e = e->next) {
            size_t before = l->d->list.n;

            load_object(l, f->of, e, e->target);
            e->faulty = l->d->list.n > before;
        }
    } else {
        load_value(l, f, n, base);
    }
}

/* What a service has without being told: the order of its versions, and its weights. */
static void finish_service(struct conf_service *s, const struct node *n)
{
    for (size_t i = 0; i < s->nversions; i++)
        s->versions[i].age = (uint32_t)i;
    if (s->nversions > 0 && !node_get(n, STR("weights")))
        s->versions[0].weight = CONF_WEIGHT_FULL;
}

/* The index of T's field NAME, looked for from HINT on; t->n: none. */
static size_t index_of(const struct table *t, struct str name, size_t hint)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t k = hint + i < t->n ? hint + i : hint + i - t->n;

        if (field_is(&t->fields[k], name))
            return k;
    }
    return t->n;
}

/* N's members in the order of T's fields; NULL: not there. Most documents have that order. */
static void find_members(struct loader *l, const struct table *t, const struct node *n,
                         struct node *members[FIELDS_MAX])
{
    size_t next = 0;

    ASSERT(t->n <= FIELDS_MAX);
    memset(members, 0, t->n * sizeof(*members));
    for (struct node *c = n->first; c; c = c->next) {
        size_t at = index_of(t, c->key, next);

        if (at == t->n) {
            report_unknown(l, t, c);
            continue;
        }
        if (!members[at])
            members[at] = c;
        next = at + 1;
    }
}

static void load_object(struct loader *l, const struct table *t, struct node *n, char *base)
{
    struct node *members[FIELDS_MAX];

    if (n->kind != NODE_OBJECT) {
        load_wrong_kind(l, n, "an object");
        return;
    }
    if (t->is_service)
        l->service = (struct conf_service *)(void *)base;
    n->target = base;
    find_members(l, t, n, members);
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->fields[i];
        struct node *c = members[i];

        if (c)
            load_field(l, f, c, base);
        else if (f->required && !(l->mode.live && f->kind == FIELD_ENDPOINTS))
            (void)diag_at(l->d, n, n->key.p ? AT_KEY : AT_VALUE, "missing key \"%s\"", f->name);
    }
    if (t->is_service)
        finish_service(l->service, n);
}

static void loader_init(struct loader *l, struct load_mode mode, struct conf_diags *d)
{
    *l = (struct loader){.mode = mode, .d = d, .c = xcalloc(1, sizeof(struct conf))};
    arena_init(&l->tmp, NULL, 0);
    arena_init(&l->c->arena, NULL, 0);
    l->a = &l->c->arena;
}

static uint32_t online_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 64 ? 64 : (uint32_t)n;
}

static void fill(struct loader *l, struct node *root)
{
    set_defaults(l, fields_root(), (char *)l->c);
    load_object(l, fields_root(), root, (char *)l->c);
    load_validate(l, root);
    if (l->c->workers == 0)
        l->c->workers = online_cores();
    l->c->nsecrets = l->secrets.n;
    l->c->secrets = arena_alloc(l->a, l->secrets.n * sizeof(*l->secrets.v) + 1);
    if (l->secrets.n > 0)
        memcpy(l->c->secrets, l->secrets.v, l->secrets.n * sizeof(*l->secrets.v));
}

/* Hand out the model if nothing was wrong; let go of everything else. ROOT may be NULL. */
static struct conf *loader_finish(struct loader *l, struct node *root, size_t diags_before)
{
    struct conf *c = l->c;

    if (root)
        fill(l, root);
    if (l->d->list.n > diags_before) {
        diags_finish(l->d);
        conf_free(c);
        c = NULL;
    }
    vec_release(&l->secrets);
    names_release(&l->services);
    arena_release(&l->tmp);
    return c;
}

struct conf *load_parse(struct load_mode mode, struct str doc, const char *file,
                        struct conf_diags *d)
{
    struct loader l;
    size_t before = d->list.n;

    loader_init(&l, mode, d);
    l.c->source = arena_str(l.a, str_of(file ? file : ""));
    return loader_finish(&l, load_text(&l, doc, file), before);
}

struct conf *load_tree(struct load_mode mode, struct node *root, struct conf_diags *d)
{
    struct loader l;
    size_t before = d->list.n;

    loader_init(&l, mode, d);
    l.c->source = arena_str(l.a, STR(""));
    return loader_finish(&l, root, before);
}

struct conf *conf_load(const char *path, struct conf_diags *d)
{
    struct loader l;
    size_t before = d->list.n;

    loader_init(&l, (struct load_mode){.lookup = true}, d);
    l.c->source = arena_str(l.a, str_of(path));
    return loader_finish(&l, load_files(&l, path), before);
}

/* What POINTER names in the tree, or as much of it as is there. */
static const struct node *node_at(const struct node *root, struct str pointer)
{
    const struct node *n = root, *c;
    uint64_t index;

    pointer = str_skip(pointer, 1);
    while (pointer.n > 0) {
        struct str token = str_cut(&pointer, '/');

        if (n->kind == NODE_ARRAY && str_to_u64(token, n->n, &index))
            for (c = n->first; c && index > 0; index--)
                c = c->next;
        else
            c = node_get(n, token);
        if (!c)
            break;
        n = c;
    }
    return n;
}

void conf_diags_locate(struct conf_diags *d, const char *path)
{
    struct conf_diags ignored;
    struct loader l;
    struct node *root;

    conf_diags_init(&ignored);
    loader_init(&l, (struct load_mode){.lookup = true}, &ignored);
    root = load_files(&l, path);
    for (size_t i = 0; root && i < d->list.n; i++) {
        struct conf_diag *g = &d->list.v[i];

        if (g->line == 0 && g->pointer.n > 0)
            diag_place(d, g, node_at(root, g->pointer));
    }
    conf_free(loader_finish(&l, NULL, 0));
    conf_diags_release(&ignored);
}

struct conf *conf_parse(struct str doc, const char *file, struct conf_diags *d)
{
    return load_parse((struct load_mode){.lookup = true}, doc, file, d);
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    arena_release(&c->arena);
    xfree(c);
}

const struct conf_service *conf_service_find(const struct conf *c, struct str name)
{
    for (size_t i = 0; i < c->nservices; i++)
        if (str_eq(c->services[i].name, name))
            return &c->services[i];
    return NULL;
}

long conf_version_find(const struct conf_service *s, struct str name)
{
    for (size_t i = 0; i < s->nversions; i++)
        if (str_eq(s->versions[i].name, name))
            return (long)i;
    return -1;
}

/*
 * include.c - the files of a configuration, merged into one tree.
 *
 * The first file's tree is the trunk. What an included file says is hung into it: members of
 * maps and groups beside the existing ones, elements of lists behind them. A key given twice
 * names both places. Files are read in the order of their mention, a pattern's in name order.
 */
#include "config/load.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEPTH_MOST = 16, FILES_MOST = 1000 };

/* The absolute folder of PATH, in TMP. */
static struct str folder_of(struct loader *l, const char *path)
{
    struct str copy = arena_str(&l->tmp, str_of(path));
    char real[PATH_MAX];

    if (!realpath(dirname((char *)(uintptr_t)copy.p), real))
        return STR(".");
    return arena_str(&l->tmp, str_of(real));
}

static struct node *parse(struct loader *l, struct source *src)
{
    struct node *root = jsonc_parse(&l->tmp, src, l->d);

    if (!root)
        return NULL;
    l->nfiles++;
    if (root->kind == NODE_OBJECT)
        return root;
    load_wrong_kind(l, root, "an object");
    return NULL;
}

struct node *load_text(struct loader *l, struct str doc, const char *file)
{
    struct source *src = arena_zalloc(&l->tmp, sizeof(*src));
    struct node *root, *include;

    src->file = str_of(file ? file : "");
    src->dir = folder_of(l, file && *file ? file : ".");
    src->text = doc;
    root = parse(l, src);
    if (root && (include = node_get(root, STR("include"))))
        (void)diag_at(l->d, include, AT_KEY, "only files can include others");
    return root;
}

static void report_duplicate(struct loader *l, const struct node *n, const struct node *first)
{
    struct conf_diag *g = diag_at(l->d, n, AT_KEY, "duplicate key \"%.*s\"", STR_ARG(n->key));

    diag_hint(l->d, g, "first given at %.*s", STR_ARG(diag_where(l->d, first)));
}

static void merge_members(struct loader *l, struct node *into, struct node *from)
{
    struct names have;
    struct node *next, *first;

    names_init(&have, into->n + from->n);
    for (struct node *n = into->first; n; n = n->next)
        (void)names_add(&have, n->key, n);
    for (struct node *n = from->first; n; n = next) {
        next = n->next;
        if ((first = names_add(&have, n->key, n)))
            report_duplicate(l, n, first);
        else
            node_append(into, n);
    }
    names_release(&have);
}

static void merge_elements(struct node *into, struct node *from)
{
    struct node *next;

    for (struct node *n = from->first; n; n = next) {
        next = n->next;
        node_append(into, n);
    }
}

static void merge_root(struct loader *l, struct node *trunk, struct node *root)
{
    struct node *next, *have;

    for (struct node *n = root->first; n; n = next) {
        const struct field *f = field_find(fields_root(), n->key);

        next = n->next;
        have = node_get(trunk, n->key);
        if (f && f->kind == FIELD_INCLUDE)
            continue;
        if (f && f->kind == FIELD_FORMAT)
            load_value(l, f, n, NULL);
        else if (!have)
            node_append(trunk, n);
        else if (have->kind == NODE_OBJECT && n->kind == NODE_OBJECT)
            merge_members(l, have, n);
        else if (have->kind == NODE_ARRAY && n->kind == NODE_ARRAY)
            merge_elements(have, n);
        else
            report_duplicate(l, n, have);
    }
}

static struct node *read_file(struct loader *l, struct str path, const struct node *by);

/* The files that PATTERN of node N stands for. A pattern may match nothing, a name may not. */
static void include_pattern(struct loader *l, struct node *trunk, struct node *n)
{
    struct str pattern;
    glob_t found;

    if (!load_string(l, n, &pattern))
        return;

    size_t folder = n->src->file.n;

    while (folder > 0 && n->src->file.p[folder - 1] != '/')
        folder--;
    if (pattern.n == 0 || pattern.p[0] != '/')
        pattern =
            arena_printf(&l->tmp, "%.*s%.*s", (int)folder, n->src->file.p, STR_ARG(pattern));
    if (glob(pattern.p, 0, NULL, &found) != 0) {
        if (!strpbrk(pattern.p, "*?["))
            (void)diag_at(l->d, n, AT_VALUE, "cannot read %s: %s", pattern.p, strerror(ENOENT));
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct node *root = read_file(l, arena_str(&l->tmp, str_of(found.gl_pathv[i])), n);

        if (root)
            merge_root(l, trunk, root);
    }
    globfree(&found);
}

/* Hang everything that ROOT includes into TRUNK. */
static void include_all(struct loader *l, struct node *trunk, struct node *root)
{
    struct node *include = node_get(root, STR("include"));

    if (!include)
        return;
    if (include->kind != NODE_ARRAY) {
        load_wrong_kind(l, include, "an array");
        return;
    }
    for (struct node *n = include->first; n; n = n->next)
        include_pattern(l, trunk, n);
}

/* Whether SRC may be read at all where BY includes it: no cycle, not too deep, not too many. */
static bool may_read(struct loader *l, const struct source *src, const struct node *by)
{
    unsigned depth = 0;

    for (const struct source *s = by->src; s; s = s->from, depth++) {
        if (!str_eq(s->real, src->real))
            continue;
        (void)diag_at(l->d, by, AT_VALUE, "%.*s includes itself", STR_ARG(src->file));
        return false;
    }
    if (depth >= DEPTH_MOST || l->nfiles >= FILES_MOST) {
        (void)diag_at(l->d, by, AT_VALUE, "too many includes: at most %d deep, %d files",
                      DEPTH_MOST, FILES_MOST);
        return false;
    }
    return true;
}

static void report_unreadable(struct loader *l, const struct source *src, const struct node *by)
{
    const char *why = errno == EFBIG ? "larger than 4 MiB" : strerror(errno);

    if (by)
        (void)diag_at(l->d, by, AT_VALUE, "cannot read %.*s: %s", STR_ARG(src->file), why);
    else
        diag_file(l->d, src->file, "cannot read: %s", why);
}

/* PATH is NUL-terminated and stays; BY is the include that names it, or NULL. */
static struct node *read_file(struct loader *l, struct str path, const struct node *by)
{
    struct source *src = arena_zalloc(&l->tmp, sizeof(*src));
    char real[PATH_MAX];

    src->file = path;
    src->real = realpath(path.p, real) ? arena_str(&l->tmp, str_of(real)) : path;
    src->dir = folder_of(l, path.p);
    src->from = by ? by->src : NULL;
    if (by && !may_read(l, src, by))
        return NULL;
    if (sys_read_file(&l->tmp, path.p, JSONC_MAX_BYTES, &src->text) < 0) {
        report_unreadable(l, src, by);
        return NULL;
    }

    struct node *root = parse(l, src);

    if (root)
        include_all(l, root, root);
    return root;
}

struct node *load_files(struct loader *l, const char *path)
{
    return read_file(l, arena_str(&l->tmp, str_of(path)), NULL);
}

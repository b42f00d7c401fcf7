/*
 * manual.c - the field tables as the list of fields in sluice.jsonc(5), in mdoc.
 *
 * A name inside a map is shown as NAME, an element of a list as [].
 */
#include "config/conf.h"
#include "config/fields.h"
#include "config/units.h"
#include "config/writer.h"

enum { LINE_WIDTH = 78 };

static const char *kind_text(const struct field *f)
{
    static const char *const names[] = {
        [FIELD_FORMAT] = "number",
        [FIELD_INCLUDE] = "list of patterns",
        [FIELD_TEXT] = "text",
        [FIELD_NUMBER] = "number",
        [FIELD_BOOL] = "true or false",
        [FIELD_MODE] = "octal text",
        [FIELD_DURATION] = "duration",
        [FIELD_SIZE] = "size",
        [FIELD_WORD] = "one of",
        [FIELD_WORDS] = "list of",
        [FIELD_GROUP] = "object",
        [FIELD_MAP] = "object by name",
        [FIELD_LIST] = "list of objects",
        [FIELD_ENDPOINTS] = "list of addresses",
        [FIELD_WEIGHTS] = "object of numbers",
        [FIELD_MATCHES] = "object of texts",
        [FIELD_HEADERS] = "object of texts",
        [FIELD_TEXTS] = "list of texts",
        [FIELD_KEYS] = "list of texts",
        [FIELD_NETWORKS] = "list of networks",
        [FIELD_SERVICE] = "name of a service",
        [FIELD_VERSION] = "name of a version",
    };
    static const char *const forms[] = {
        [FORM_ANY] = "text",         [FORM_USER] = "user",     [FORM_FILE] = "file path",
        [FORM_SOCKET] = "file path", [FORM_LOG] = "file path", [FORM_LISTEN] = "address",
        [FORM_LOOPBACK] = "address", [FORM_TOKEN] = "text",    [FORM_HOST] = "host",
        [FORM_PREFIX] = "path",      [FORM_TARGET] = "path",   [FORM_NAME] = "name",
        [FORM_FLAG_KEY] = "text",    [FORM_REDIS] = "URL",     [FORM_RATE_KEY] = "key",
        [FORM_METHOD] = "text",      [FORM_EDITABLE] = "text", [FORM_REGEX] = "pattern",
        [FORM_LOCATION] = "URL",     [FORM_BODY] = "text",     [FORM_RESOLVER] = "address",
    };

    return f->kind == FIELD_TEXT ? forms[f->form] : names[f->kind];
}

static void put_range(struct writer *w, struct arena *a, const struct field *f)
{
    if (f->kind == FIELD_NUMBER)
        writer_printf(w, " %llu to %llu", (unsigned long long)f->min,
                      (unsigned long long)f->max);
    if (f->kind == FIELD_DURATION)
        writer_printf(w, " %.*s to %.*s", STR_ARG(conf_duration_text(a, f->min)),
                      STR_ARG(conf_duration_text(a, f->max)));
    if (f->kind == FIELD_SIZE)
        writer_printf(w, " %.*s to %.*s", STR_ARG(unit_size_text(a, f->min)),
                      STR_ARG(unit_size_text(a, f->max)));
    for (const struct word *word = f->words; word && word->name; word++)
        writer_printf(w, "%s %s", word == f->words ? "" : ",", word->name);
}

/* "duration 100ms to 1h, default 1s: time from one check to the next." */
static struct str describe(struct arena *a, const struct field *f)
{
    struct writer w;

    writer_init(&w, 0);
    writer_put(&w, str_of(kind_text(f)));
    put_range(&w, a, f);
    if (f->required)
        writer_put(&w, STR("; required"));
    else if (f->fallback || f->computed)
        writer_printf(&w, "; default: %s", f->fallback ? f->fallback : f->computed);
    writer_put(&w, STR("."));
    return writer_take_arena(&w, a);
}

/* Filled text: an input line of mdoc is short and no line begins with a control character. */
static void put_filled(struct writer *w, struct str text)
{
    size_t column = 0;

    while (text.n > 0) {
        struct str word = str_cut(&text, ' ');
        bool control = word.n > 0 && (word.p[0] == '.' || word.p[0] == '\'');

        if (column > 0 && column + 1 + word.n > LINE_WIDTH && !control) {
            writer_put(w, STR("\n"));
            column = 0;
        }
        writer_printf(w, "%s%.*s", column > 0 ? " " : "", STR_ARG(word));
        column += (column > 0) + word.n;
    }
    writer_put(w, STR("\n"));
}

static void put_table(struct writer *w, struct arena *a, struct str prefix,
                      const struct table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->fields[i];
        struct str path = arena_printf(a, "%.*s%s", STR_ARG(prefix), f->name);

        writer_printf(w, ".It Cm %.*s\n", STR_ARG(path));
        put_filled(w, describe(a, f));
        put_filled(w, arena_printf(a, "%s.", f->doc));
        if (f->of)
            put_table(w, a,
                      arena_printf(a, "%.*s%s", STR_ARG(path),
                                   f->kind == FIELD_MAP    ? ".NAME."
                                   : f->kind == FIELD_LIST ? "[]."
                                                           : "."),
                      f->of);
    }
}

char *conf_manual(void)
{
    struct writer w;
    struct arena a;

    arena_init(&a, NULL, 0);
    writer_init(&w, 0);
    writer_put(&w, STR(".Bl -tag -width Ds\n"));
    put_table(&w, &a, STR(""), fields_root());
    writer_put(&w, STR(".El\n"));
    arena_release(&a);
    return writer_take(&w);
}

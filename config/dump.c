/*
 * dump.c - a model as the JSON of an effective config: every default written out.
 *
 * Walks the field tables as loading does, so that what is dumped is what is read. Text that
 * would look like a variable is escaped: a dump never expands to something else.
 */
#include "config/dump.h"
#include "config/expand.h"
#include "config/load.h"
#include "config/units.h"

struct dumper {
    struct writer *w;
    const struct conf *c;
    const struct conf_service *service; /* the one being written */
    struct arena tmp;
    enum dump_secrets secrets;
};

static void dump_table(struct dumper *d, const struct table *t, const char *base);

/* The URL with "***" for what stands before its '@'. */
static struct str without_password(struct arena *a, struct str url)
{
    const char *mark = memmem(url.p, url.n, "://", 3);
    const char *at = memrchr(url.p, '@', url.n);

    if (!mark || !at || at < mark)
        return url;
    return arena_printf(a, "%.*s***%.*s", (int)(mark + 3 - url.p), url.p,
                        (int)(url.p + url.n - at), at);
}

static struct str shown(const struct dumper *d, struct str s)
{
    for (size_t i = 0; d->secrets == DUMP_REDACTED && i < d->c->nsecrets; i++)
        if (d->c->secrets[i].text == s.p)
            return d->c->secrets[i].shown;
    return s;
}

static void put_text(struct dumper *d, struct str key, struct str s)
{
    writer_text(d->w, key, expand_escape(&d->tmp, shown(d, s)));
}

static void put_text_field(struct dumper *d, const struct field *f, const char *base)
{
    struct str text;

    memcpy(&text, base + f->offset, sizeof(text));
    if (text.n == 0) /* empty means absent */
        return;
    text = shown(d, text);
    if (f->form == FORM_REDIS && d->secrets != DUMP_ALL)
        text = without_password(&d->tmp, text);
    writer_text(d->w, str_of(f->name), expand_escape(&d->tmp, text));
}

static void put_words(struct dumper *d, const struct field *f, unsigned bits)
{
    writer_open_flat(d->w, str_of(f->name), '[');
    for (const struct word *word = f->words; word->name; word++)
        if (bits & (unsigned)word->value)
            writer_text(d->w, STR_NONE, str_of(word->name));
    writer_close(d->w, ']');
}

static void put_elements(struct dumper *d, const struct field *f, const char *base)
{
    bool map = f->kind == FIELD_MAP;
    struct str name = STR_NONE;
    size_t n;
    const char *at = field_array(f, base, &n);

    writer_open(d->w, str_of(f->name), map ? '{' : '[');
    for (size_t i = 0; i < n; i++, at += f->of->size) {
        if (map)
            memcpy(&name, at, sizeof(name));
        if (f->of->is_service)
            d->service = (const struct conf_service *)(const void *)at;
        writer_open(d->w, name, '{');
        dump_table(d, f->of, at);
        writer_close(d->w, '}');
    }
    writer_close(d->w, map ? '}' : ']');
}

static void put_endpoints(struct dumper *d, const struct field *f, const char *base)
{
    size_t n;
    const struct conf_endpoint *list = field_array(f, base, &n);

    if (d->secrets == DUMP_FOR_WORKERS) /* "live" has them */
        return;
    writer_open_flat(d->w, str_of(f->name), '[');
    for (size_t i = 0; i < n; i++) {
        struct str from = list[i].from, name = from.n > 0 ? from : list[i].name;
        if (i > 0 && from.n > 0 && str_eq(from, list[i - 1].from))
            continue; /* addresses of a name follow each other */
        if (list[i].weight == 1 || str_starts(from, STR("srv:"))) {
            put_text(d, STR_NONE, name);
            continue;
        }
        writer_open_flat(d->w, STR_NONE, '{');
        put_text(d, STR("address"), name);
        writer_uint(d->w, STR("weight"), list[i].weight);
        writer_close(d->w, '}');
    }
    writer_close(d->w, ']');
}

static void put_weights(struct dumper *d, const struct field *f)
{
    const struct conf_service *s = d->service;

    writer_open_flat(d->w, str_of(f->name), '{');
    for (size_t i = 0; i < s->nversions; i++)
        writer_raw(d->w, s->versions[i].name,
                   unit_percent_text(&d->tmp, s->versions[i].weight));
    writer_close(d->w, '}');
}

static void put_matches(struct dumper *d, const struct field *f, const char *base)
{
    size_t n, shown = 0;
    const struct conf_match *list = field_array(f, base, &n);

    for (size_t i = 0; i < n; i++) {
        if (list[i].kind != (enum conf_match_kind)f->min)
            continue;
        if (shown++ == 0)
            writer_open_flat(d->w, str_of(f->name), '{');
        if (list[i].present)
            writer_bool(d->w, list[i].name, true);
        else
            put_text(d, list[i].name, list[i].value);
    }
    if (shown > 0)
        writer_close(d->w, '}');
}

static void put_headers(struct dumper *d, const struct field *f, const char *base)
{
    size_t n;
    const struct conf_header *list = field_array(f, base, &n);

    if (n == 0)
        return;
    writer_open_flat(d->w, str_of(f->name), '{');
    for (size_t i = 0; i < n; i++)
        put_text(d, list[i].name, list[i].value);
    writer_close(d->w, '}');
}

static void put_texts(struct dumper *d, const struct field *f, const char *base)
{
    size_t n;
    const struct str *list = field_array(f, base, &n);

    if (n == 0)
        return;
    writer_open_flat(d->w, str_of(f->name), '[');
    for (size_t i = 0; i < n; i++)
        put_text(d, STR_NONE, list[i]);
    writer_close(d->w, ']');
}

static void put_keys(struct dumper *d, const struct field *f, const char *base)
{
    static const char *const prefix[] = {[CONF_KEY_COOKIE] = "cookie:",
                                         [CONF_KEY_HEADER] = "header:",
                                         [CONF_KEY_IP] = "client_ip",
                                         [CONF_KEY_NONE] = "none"};
    size_t n;
    const struct conf_key *list = field_array(f, base, &n);

    writer_open_flat(d->w, str_of(f->name), '[');
    for (size_t i = 0; i < n; i++)
        writer_text(
            d->w, STR_NONE,
            arena_printf(&d->tmp, "%s%.*s", prefix[list[i].source], STR_ARG(list[i].name)));
    writer_close(d->w, ']');
}

static void put_networks(struct dumper *d, const struct field *f, const char *base)
{
    char room[NETWORK_TEXT];
    size_t n;
    const struct network *list = field_array(f, base, &n);

    writer_open_flat(d->w, str_of(f->name), '[');
    for (size_t i = 0; i < n; i++)
        writer_text(d->w, STR_NONE, network_write(&list[i], room));
    writer_close(d->w, ']');
}

static void put_group(struct dumper *d, const struct field *f, const char *base)
{
    base += f->offset;
    if (f->absent && f->absent(base))
        return;
    writer_open(d->w, str_of(f->name), '{');
    dump_table(d, f->of, base);
    writer_close(d->w, '}');
}

/* Would loading find the same without the key? Only told of the kinds that are common. */
static bool is_default(const struct field *f, const char *base)
{
    struct str s = str_of(f->fallback ? f->fallback : "");
    uint64_t wide, number = 0;
    uint32_t small;
    int word;

    if (f->required)
        return false;
    switch (f->kind) {
    case FIELD_NUMBER:
        memcpy(&small, base + f->offset, sizeof(small));
        return (s.n == 0 || str_to_u64(s, f->max, &number)) && number == small;
    case FIELD_DURATION:
        memcpy(&wide, base + f->offset, sizeof(wide));
        return conf_duration(s, &number) && number == wide;
    case FIELD_BOOL:
        return *(const bool *)(const void *)(base + f->offset) == str_eq(s, STR("true"));
    case FIELD_WORD:
        memcpy(&word, base + f->offset, sizeof(word));
        return f->fallback && word_find(f->words, s)->value == word;
    default:
        return false;
    }
}

/* Kinds that are one value in the struct. */
static void put_scalar(struct dumper *d, const struct field *f, const char *base)
{
    struct str key = str_of(f->name);
    uint64_t wide;
    uint32_t number;
    int word;

    switch (f->kind) {
    case FIELD_TEXT:
        put_text_field(d, f, base);
        break;
    case FIELD_NUMBER:
        memcpy(&number, base + f->offset, sizeof(number));
        writer_uint(d->w, key, number);
        break;
    case FIELD_BOOL:
        writer_bool(d->w, key, *(const bool *)(const void *)(base + f->offset));
        break;
    case FIELD_MODE:
        memcpy(&number, base + f->offset, sizeof(number));
        writer_text(d->w, key, arena_printf(&d->tmp, "%04o", number));
        break;
    case FIELD_DURATION:
        memcpy(&wide, base + f->offset, sizeof(wide));
        writer_text(d->w, key, conf_duration_text(&d->tmp, wide));
        break;
    case FIELD_SIZE:
        memcpy(&wide, base + f->offset, sizeof(wide));
        writer_text(d->w, key, unit_size_text(&d->tmp, wide));
        break;
    case FIELD_WORD:
        memcpy(&word, base + f->offset, sizeof(word));
        writer_text(d->w, key, str_of(word_name(f->words, word)));
        break;
    case FIELD_WORDS:
        memcpy(&number, base + f->offset, sizeof(number));
        put_words(d, f, number);
        break;
    default:
        break;
    }
}

static void put_field(struct dumper *d, const struct field *f, const char *base)
{
    struct str key = str_of(f->name);
    size_t index;

    switch (f->kind) {
    case FIELD_FORMAT:
        writer_uint(d->w, key, 1);
        break;
    case FIELD_INCLUDE:
        break;
    case FIELD_GROUP:
        put_group(d, f, base);
        break;
    case FIELD_MAP:
    case FIELD_LIST:
        put_elements(d, f, base);
        break;
    case FIELD_ENDPOINTS:
        put_endpoints(d, f, base);
        break;
    case FIELD_WEIGHTS:
        put_weights(d, f);
        break;
    case FIELD_MATCHES:
        put_matches(d, f, base);
        break;
    case FIELD_KEYS:
        put_keys(d, f, base);
        break;
    case FIELD_NETWORKS:
        put_networks(d, f, base);
        break;
    case FIELD_HEADERS:
        put_headers(d, f, base);
        break;
    case FIELD_TEXTS:
        put_texts(d, f, base);
        break;
    case FIELD_SERVICE:
        memcpy(&index, base + f->offset, sizeof(index));
        if (index != CONF_NO_SERVICE)
            writer_text(d->w, key, d->c->services[index].name);
        break;
    case FIELD_VERSION:
        memcpy(&index, base + f->offset, sizeof(index));
        writer_text(d->w, key, d->service->versions[index].name);
        break;
    default:
        put_scalar(d, f, base);
    }
}

static void dump_table(struct dumper *d, const struct table *t, const char *base)
{
    for (size_t i = 0; i < t->n; i++)
        if (d->secrets != DUMP_FOR_WORKERS || !is_default(&t->fields[i], base))
            put_field(d, &t->fields[i], base);
}

void dump_config(struct writer *w, struct str key, const struct conf *c,
                 enum dump_secrets secrets)
{
    struct dumper d = {.w = w, .c = c, .secrets = secrets};

    arena_init(&d.tmp, NULL, 0);
    writer_open(w, key, '{');
    dump_table(&d, fields_root(), (const char *)c);
    writer_close(w, '}');
    arena_release(&d.tmp);
}

char *conf_dump(const struct conf *c, bool redact)
{
    struct writer w;

    writer_init(&w, 2);
    dump_config(&w, STR_NONE, c, redact ? DUMP_REDACTED : DUMP_ALL);
    return writer_take(&w);
}

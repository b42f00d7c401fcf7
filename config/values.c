/*
 * values.c - one field of a document into one member of the model.
 *
 * A value is first brought to text or a number, then stored by the kind of its row; defaults
 * take the second half of the same way.
 */
#include "config/expand.h"
#include "config/header.h"
#include "config/load.h"
#include "config/units.h"
#include "config/writer.h"
#include "proxy/base/regex.h"

#include <stdio.h>
#include <sys/un.h>

void load_wrong_kind(struct loader *l, const struct node *n, const char *want)
{
    (void)diag_at(l->d, n, AT_VALUE, "must be %s, is %s", want, node_kind_name(n->kind));
}

struct str load_shown(const struct node *n)
{
    return n->shown.p ? n->shown : n->text;
}

void load_keep_secret(struct loader *l, const struct node *n, struct str text)
{
    if (n->shown.p)
        *vec_add(&l->secrets) = (struct conf_secret){text.p, arena_str(l->a, n->shown)};
}

bool load_string(struct loader *l, struct node *n, struct str *out)
{
    struct expansion e;
    struct str dir = n->src ? n->src->dir : STR("");

    if (n->kind != NODE_STRING) {
        load_wrong_kind(l, n, "a string");
        return false;
    }
    if (!expand(&l->tmp, n->written, l->mode.lookup, dir, &e)) {
        struct conf_diag *g = diag_at(l->d, n, AT_VALUE, "%.*s", STR_ARG(e.error));

        if (e.hint.n > 0)
            diag_hint(l->d, g, "%.*s", STR_ARG(e.hint));
        return false;
    }
    n->text = *out = arena_str(l->a, e.text);
    n->shown = e.shown;
    if (unit_text(*out))
        return true;
    (void)diag_at(l->d, n, AT_VALUE, "holds a control character or bytes that are not UTF-8");
    return false;
}

/* A relative path starts in the folder of the file it stands in. */
static struct str absolute(struct loader *l, const struct node *n, struct str path)
{
    if (path.n == 0 || path.p[0] == '/' || !n || !n->src)
        return path;
    return arena_printf(l->a, "%.*s/%.*s", STR_ARG(n->src->dir), STR_ARG(path));
}

static bool is_resolver(struct loader *l, struct str s)
{
    struct str host;
    uint16_t port;

    return unit_ip(s) || (conf_address(&l->tmp, s, &host, &port) && port > 0 && unit_ip(host));
}

static bool is_redis(struct loader *l, struct str url)
{
    struct str host, db;
    uint16_t port;
    uint64_t number;

    if (!str_starts(url, STR("redis://")) && !str_starts(url, STR("rediss://")))
        return false;
    url = str_skip(url, url.p[5] == 's' ? 9 : 8);

    const char *at = url.n ? memrchr(url.p, '@', url.n) : NULL;

    if (at)
        url = str_skip(url, (size_t)(at - url.p) + 1);
    db = url;
    host = str_cut(&db, '/');
    if (db.n > 0 && !str_to_u64(db, 65535, &number))
        return false;
    return conf_address(&l->tmp, host, &host, &port) || unit_ip(host) || unit_hostname(host);
}

static bool is_user(struct str s)
{
    if (s.n == 0 || s.n > 32 || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == ':' || s.p[i] == '/' || s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_listen(struct loader *l, struct str s, bool loopback)
{
    struct str host;
    uint16_t port;

    return conf_address(&l->tmp, s, &host, &port) &&
           (loopback ? unit_loopback(host) : unit_ip(host));
}

static bool is_request_host(struct str s)
{
    if (str_starts(s, STR("*.")))
        return unit_hostname(str_skip(s, 2));
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        return unit_ip((struct str){s.p + 1, s.n - 2});
    return unit_hostname(s) || unit_ip(s);
}

/* "/path" or "http[s]://host/path": with a path, so that what is appended is no part of the
 * host; not "//", which a browser takes for a host. */
static bool is_location(struct str s)
{
    const char *slash;

    if (str_starts(s, STR("/")))
        return unit_path(s, true) && !str_starts(s, STR("//"));
    if (str_starts(s, STR("https://")))
        s = str_skip(s, 8);
    else if (str_starts(s, STR("http://")))
        s = str_skip(s, 7);
    else
        return false;
    slash = s.n ? memchr(s.p, '/', s.n) : NULL;
    return slash && slash > s.p && unit_path(str_skip(s, (size_t)(slash - s.p)), true) &&
           !memchr(s.p, '@', (size_t)(slash - s.p)) &&
           !memchr(s.p, '?', (size_t)(slash - s.p)) && !memchr(s.p, '\\', s.n);
}

/* NULL: S has the form. Otherwise what it must be. */
static const char *form_error(struct loader *l, enum text_form form, struct str s)
{
    switch (form) {
    case FORM_ANY:
        return NULL;
    case FORM_USER:
        return is_user(s) ? NULL : "not the name of a user";
    case FORM_FILE:
    case FORM_LOG:
        return s.n > 0 ? NULL : "must not be empty";
    case FORM_SOCKET:
        if (s.n == 0)
            return "must not be empty";
        return s.n < sizeof(((struct sockaddr_un *)0)->sun_path)
                   ? NULL
                   : "longer than the path of a socket can be (107 bytes)";
    case FORM_LISTEN:
        return is_listen(l, s, false) ? NULL : "not an address to listen on";
    case FORM_LOOPBACK:
        return is_listen(l, s, true) ? NULL : "not a loopback address";
    case FORM_TOKEN:
        return unit_token(s) ? NULL : "not the name of a cookie or header field";
    case FORM_METHOD:
        return unit_token(s) ? NULL : "not a method";
    case FORM_EDITABLE:
        return header_error(s);
    case FORM_REGEX:
        return s.n > 0 ? NULL : "must not be empty"; /* load_text_field compiles it */
    case FORM_LOCATION:
        return is_location(s) ? NULL : "not a location";
    case FORM_BODY:
        return s.n <= CONF_BODY_MAX ? NULL : "longer than 4096 bytes";
    case FORM_HOST:
        return is_request_host(s) ? NULL : "not a host";
    case FORM_PREFIX:
        return unit_path(s, false) ? NULL : "not a path";
    case FORM_TARGET:
        return unit_path(s, true) ? NULL : "not a path";
    case FORM_NAME:
        return conf_name_ok(s) ? NULL : "not a name";
    case FORM_FLAG_KEY:
        return s.n > 0 && s.n <= 256 ? NULL : "must be 1 to 256 bytes";
    case FORM_RATE_KEY:
        return load_rate_key(l, s, &(struct conf_key){0}) ? NULL : "not a key";
    case FORM_RESOLVER:
        return is_resolver(l, s) ? NULL : "not the address of a name server";
    case FORM_REDIS:
        return is_redis(l, s) ? NULL : "not the URL of a Redis server";
    }
    return NULL;
}

static const char *form_hint(enum text_form form, struct str s)
{
    switch (form) {
    case FORM_LISTEN:
        return s.n > 0 && s.p[0] == ':' ? "write 0.0.0.0:PORT for every IPv4 address"
                                        : "write ADDRESS:PORT, as in 0.0.0.0:8080 or [::]:8080";
    case FORM_LOOPBACK:
        return "write 127.0.0.1:PORT or [::1]:PORT";
    case FORM_HOST:
        return memchr(s.p, ':', s.n) ? "leave the port out"
               : memchr(s.p, '*', s.n)
                   ? "a wildcard is written *.example.com; leave host out for any"
                   : "letters, digits, '-' and '.'";
    case FORM_PREFIX:
        return s.n > 0 && s.p[0] == '/' ? "visible ASCII, without '?' and '#'"
                                        : "it begins with '/'";
    case FORM_LOCATION:
        return "write /path or https://host/path";
    case FORM_TARGET:
        return s.n > 0 && s.p[0] == '/' ? "visible ASCII, without '#'" : "it begins with '/'";
    case FORM_NAME:
        return "1 to 64 letters, digits, '.', '_', '-'; begins with a letter or digit";
    case FORM_RATE_KEY:
        return "write client_ip, header:NAME, cookie:NAME or none";
    case FORM_RESOLVER:
        return "write ADDRESS or ADDRESS:PORT, as in 127.0.0.1:5353 or [::1]:53";
    case FORM_REDIS:
        return "write redis://[user:password@]host[:port][/db], or rediss:// for TLS";
    default:
        return NULL;
    }
}

static void put_text(const struct field *f, char *base, struct str s)
{
    memcpy(base + f->offset, &s, sizeof(s));
}

/* A listener's address is kept in parts as well. */
static void split_listener(struct loader *l, char *base)
{
    struct conf_listener *listener = (struct conf_listener *)(void *)base;

    if (!conf_address(l->a, listener->address, &listener->host, &listener->port))
        listener->host = STR("");
}

static struct str shape(struct loader *l, const struct field *f, const struct node *n,
                        struct str s)
{
    char *p = (char *)(uintptr_t)s.p; /* our own copy */

    if (f->form == FORM_FILE || f->form == FORM_SOCKET ||
        (f->form == FORM_LOG && !str_eq(s, STR("-"))))
        return absolute(l, n, s);
    for (size_t i = 0; (f->form == FORM_HOST || f->form == FORM_EDITABLE) && i < s.n; i++)
        p[i] = ascii_lower(p[i]);
    return s;
}

/* Compiled here only to tell mistakes; workers compile what they use. */
static bool compiles(struct loader *l, const struct node *n, struct str pattern)
{
    struct regex_error e = {0};
    struct regex *re = regex_new(pattern, &e);
    bool ok = re != NULL;

    regex_free(re);
    if (!ok) {
        struct conf_diag *g = diag_at(l->d, n, AT_VALUE, "not a regular expression: \"%.*s\"",
                                      STR_ARG(load_shown(n)));

        diag_hint(l->d, g, "%s, at character %zu", e.text, e.at + 1);
    }
    return ok;
}

static bool load_form(struct loader *l, const struct field *f, struct node *n, struct str *out)
{
    const char *error, *hint;
    struct str s;

    if (!load_string(l, n, out))
        return false;
    s = *out = shape(l, f, n, *out);
    error = form_error(l, f->form, s);
    if (error) {
        struct str shown = load_shown(n);
        struct conf_diag *g =
            shown.n > 0 ? diag_at(l->d, n, AT_VALUE, "%s: \"%.*s\"", error, STR_ARG(shown))
                        : diag_at(l->d, n, AT_VALUE, "%s", error);

        if ((hint = form_hint(f->form, s)))
            diag_hint(l->d, g, "%s", hint);
        return false;
    }
    load_keep_secret(l, n, s);
    return f->form != FORM_REGEX || compiles(l, n, s);
}

static void load_text_field(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct str s;

    if (!load_form(l, f, n, &s))
        return;
    put_text(f, base, s);
    if (f->form == FORM_LISTEN)
        split_listener(l, base);
}

static void load_texts(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct str *list = arena_zalloc(l->a, n->n * sizeof(*list) + 1);
    size_t used = 0;

    for (struct node *e = n->first; e; e = e->next)
        used += load_form(l, f, e, &list[used]);
    field_set_array(f, base, list, used);
}

static void load_number(struct loader *l, const struct field *f, struct node *n, char *base)
{
    if (n->kind != NODE_NUMBER) {
        load_wrong_kind(l, n, "a number");
        return;
    }

    int64_t value = n->number.integer;

    if (!n->whole) {
        (void)diag_at(l->d, n, AT_VALUE, "must be a whole number");
    } else if (value < (int64_t)f->min || value > (int64_t)f->max) {
        (void)diag_at(l->d, n, AT_VALUE, "must be %llu to %llu, is %lld",
                      (unsigned long long)f->min, (unsigned long long)f->max, (long long)value);
    } else {
        uint32_t number = (uint32_t)value;

        memcpy(base + f->offset, &number, sizeof(number));
    }
}

static void load_bool(struct loader *l, const struct field *f, struct node *n, char *base)
{
    if (n->kind == NODE_BOOL)
        memcpy(base + f->offset, &n->truth, sizeof(n->truth));
    else
        load_wrong_kind(l, n, "true or false");
}

static void load_mode_field(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct str s;
    uint32_t mode;

    if (!load_string(l, n, &s))
        return;
    if (unit_mode(s, &mode)) {
        memcpy(base + f->offset, &mode, sizeof(mode));
        return;
    }

    struct conf_diag *g =
        diag_at(l->d, n, AT_VALUE, "not a file mode: \"%.*s\"", STR_ARG(load_shown(n)));

    diag_hint(l->d, g, "octal, as in \"0660\"");
}

/* A number with a unit, as text. */
struct quantity {
    const char *a, *not_a, *hint;
    bool (*read)(struct str s, uint64_t *n);
    struct str (*write)(struct arena *a, uint64_t n);
};
static const struct quantity duration = {
    "a duration", "not a duration", "numbers with h, m, s or ms, as in \"1m30s\" or \"500ms\"",
    conf_duration, conf_duration_text};
static const struct quantity size = {"a size", "not a size",
                                     "a number with B, KiB, MiB or GiB, as in \"512MiB\"",
                                     unit_size, unit_size_text};

static void load_quantity(struct loader *l, const struct field *f, const struct quantity *q,
                          struct node *n, char *base)
{
    struct str s;
    uint64_t value;

    if (n->kind != NODE_STRING) {
        load_wrong_kind(l, n, q->a);
        return;
    }
    if (!load_string(l, n, &s))
        return;
    if (!q->read(s, &value)) {
        struct conf_diag *g =
            diag_at(l->d, n, AT_VALUE, "%s: \"%.*s\"", q->not_a, STR_ARG(load_shown(n)));

        diag_hint(l->d, g, "%s", q->hint);
    } else if (value < f->min || value > f->max) {
        (void)diag_at(l->d, n, AT_VALUE, "must be %.*s to %.*s, is %.*s",
                      STR_ARG(q->write(&l->tmp, f->min)), STR_ARG(q->write(&l->tmp, f->max)),
                      STR_ARG(load_shown(n)));
    } else {
        memcpy(base + f->offset, &value, sizeof(value));
    }
}

static void report_word(struct loader *l, const struct field *f, const struct node *n)
{
    struct writer w;
    struct str names[8];
    size_t count = 0;

    writer_init(&w, 0);
    for (const struct word *word = f->words; word->name && count < ARRAY_LEN(names); word++) {
        writer_printf(&w, "%s\"%s\"",
                      count == 0     ? ""
                      : word[1].name ? ", "
                                     : " or ",
                      word->name);
        names[count++] = str_of(word->name);
    }

    struct str choice = writer_take_arena(&w, &l->tmp);
    struct conf_diag *g = diag_at(l->d, n, AT_VALUE, "must be %.*s, is \"%.*s\"",
                                  STR_ARG(choice), STR_ARG(load_shown(n)));

    diag_suggest(l->d, g, n->text, names, count);
}

static const struct word *load_word(struct loader *l, const struct field *f, struct node *n)
{
    struct str s;

    if (!load_string(l, n, &s))
        return NULL;

    const struct word *word = word_find(f->words, s);

    if (!word)
        report_word(l, f, n);
    return word;
}

static void load_words(struct loader *l, const struct field *f, struct node *n, char *base)
{
    unsigned bits = 0;

    for (struct node *e = n->first; e; e = e->next) {
        const struct word *word = load_word(l, f, e);

        if (word && (bits & (unsigned)word->value))
            (void)diag_at(l->d, e, AT_VALUE, "\"%s\" is given twice", word->name);
        if (word)
            bits |= (unsigned)word->value;
    }
    memcpy(base + f->offset, &bits, sizeof(bits));
}

static void index_services(struct loader *l)
{
    names_init(&l->services, l->c->nservices);
    for (size_t i = 0; i < l->c->nservices; i++)
        (void)names_add(&l->services, l->c->services[i].name, &l->c->services[i]);
}

static void load_service_name(struct loader *l, const struct field *f, struct node *n,
                              char *base)
{
    struct str s;
    const struct conf_service *service;

    if (!load_string(l, n, &s))
        return;
    if (!l->services.slots)
        index_services(l);
    service = names_find(&l->services, s);
    if (service) {
        size_t index = (size_t)(service - l->c->services);

        memcpy(base + f->offset, &index, sizeof(index));
        return;
    }

    struct str *names = arena_alloc(&l->tmp, l->c->nservices * sizeof(*names) + 1);
    struct conf_diag *g =
        diag_at(l->d, n, AT_VALUE, "there is no service \"%.*s\"", STR_ARG(load_shown(n)));

    for (size_t i = 0; i < l->c->nservices; i++)
        names[i] = l->c->services[i].name;
    diag_suggest(l->d, g, s, names, l->c->nservices);
}

static void load_version_name(struct loader *l, const struct field *f, struct node *n,
                              char *base)
{
    struct str s;
    long i;

    if (!load_string(l, n, &s) || (i = load_version_index(l, n, AT_VALUE, s)) < 0)
        return;

    size_t index = (size_t)i;

    memcpy(base + f->offset, &index, sizeof(index));
}

static void load_format(struct loader *l, const struct node *n)
{
    int64_t one;

    if (n->kind != NODE_NUMBER)
        load_wrong_kind(l, n, "the number 1");
    else if (!node_whole(n, 1, 1, &one))
        (void)diag_at(l->d, n, AT_VALUE, "this program reads version 1 of the format only");
}

/* The JSON kind that N must have before its field's own function looks at it. */
static bool has_kind(struct loader *l, const struct field *f, const struct node *n)
{
    bool array = f->kind == FIELD_WORDS || f->kind == FIELD_ENDPOINTS ||
                 f->kind == FIELD_KEYS || f->kind == FIELD_TEXTS || f->kind == FIELD_NETWORKS;
    bool object =
        f->kind == FIELD_WEIGHTS || f->kind == FIELD_MATCHES || f->kind == FIELD_HEADERS;

    if (array && n->kind != NODE_ARRAY)
        load_wrong_kind(l, n, "an array");
    else if (object && n->kind != NODE_OBJECT)
        load_wrong_kind(l, n, "an object");
    else
        return true;
    return false;
}

void load_value(struct loader *l, const struct field *f, struct node *n, char *base)
{
    const struct word *word;

    if (!has_kind(l, f, n))
        return;
    switch (f->kind) {
    case FIELD_FORMAT:
        load_format(l, n);
        break;
    case FIELD_TEXT:
        load_text_field(l, f, n, base);
        break;
    case FIELD_NUMBER:
        load_number(l, f, n, base);
        break;
    case FIELD_BOOL:
        load_bool(l, f, n, base);
        break;
    case FIELD_MODE:
        load_mode_field(l, f, n, base);
        break;
    case FIELD_DURATION:
        load_quantity(l, f, &duration, n, base);
        break;
    case FIELD_SIZE:
        load_quantity(l, f, &size, n, base);
        break;
    case FIELD_WORD:
        if ((word = load_word(l, f, n)))
            memcpy(base + f->offset, &word->value, sizeof(word->value));
        break;
    case FIELD_WORDS:
        load_words(l, f, n, base);
        break;
    case FIELD_ENDPOINTS:
        load_endpoints(l, f, n, base);
        break;
    case FIELD_WEIGHTS:
        load_weights(l, n);
        break;
    case FIELD_MATCHES:
        load_matches(l, f, n, base);
        break;
    case FIELD_HEADERS:
        load_headers(l, f, n, base);
        break;
    case FIELD_TEXTS:
        load_texts(l, f, n, base);
        break;
    case FIELD_KEYS:
        load_keys(l, f, n, base);
        break;
    case FIELD_NETWORKS:
        load_networks(l, f, n, base);
        break;
    case FIELD_SERVICE:
        load_service_name(l, f, n, base);
        break;
    case FIELD_VERSION:
        load_version_name(l, f, n, base);
        break;
    case FIELD_INCLUDE: /* done before */
    case FIELD_GROUP:   /* load.c walks these */
    case FIELD_MAP:
    case FIELD_LIST:
        break;
    }
}

static unsigned words_bits(const struct field *f)
{
    struct str rest = str_of(f->fallback);
    unsigned bits = 0;

    while (rest.n > 0)
        bits |= (unsigned)word_find(f->words, str_cut(&rest, ' '))->value;
    return bits;
}

void load_default(struct loader *l, const struct field *f, char *base)
{
    struct str s = str_of(f->fallback ? f->fallback : "");
    size_t nothing = CONF_NO_SERVICE;
    uint64_t number = 0;
    uint32_t small = 0;
    bool ok = true;

    switch (f->kind) {
    case FIELD_TEXT:
        put_text(f, base, arena_str(l->a, s));
        break;
    case FIELD_NUMBER:
        ok = s.n == 0 || str_to_u64(s, f->max, &number);
        small = (uint32_t)number;
        memcpy(base + f->offset, &small, sizeof(small));
        break;
    case FIELD_BOOL:
        *(bool *)(void *)(base + f->offset) = str_eq(s, STR("true"));
        break;
    case FIELD_MODE:
        ok = unit_mode(s, &small);
        memcpy(base + f->offset, &small, sizeof(small));
        break;
    case FIELD_DURATION:
        ok = s.n == 0 || conf_duration(s, &number);
        memcpy(base + f->offset, &number, sizeof(number));
        break;
    case FIELD_SIZE:
        ok = unit_size(s, &number);
        memcpy(base + f->offset, &number, sizeof(number));
        break;
    case FIELD_WORD:
        if (f->fallback)
            memcpy(base + f->offset, &word_find(f->words, s)->value, sizeof(int));
        break;
    case FIELD_WORDS:
        small = words_bits(f);
        memcpy(base + f->offset, &small, sizeof(small));
        break;
    case FIELD_KEYS: {
        struct conf_key *key = arena_zalloc(l->a, sizeof(*key));

        ok = load_key_source(l, s, key);
        field_set_array(f, base, key, 1);
        break;
    }
    case FIELD_SERVICE:
        memcpy(base + f->offset, &nothing, sizeof(nothing));
        break;
    default:
        break;
    }
    ASSERT(ok); /* the tables are ours */
}

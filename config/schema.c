/*
 * schema.c - the field tables as JSON Schema (2020-12), for editors and CI.
 *
 * The schema knows types, ranges and names; what takes more than one field to see is left to
 * the program. A string may hold a variable wherever a form is asked for.
 */
#include "config/conf.h"
#include "config/fields.h"
#include "config/writer.h"
#include "proxy/base/mem.h"

#define VARIABLE "\\$\\{"

static void put_object(struct writer *w, struct str key, const struct table *t,
                       const char *about);

static void put_type(struct writer *w, const char *type)
{
    writer_text(w, STR("type"), str_of(type));
}

/* A string that has the form or a variable in it. */
static void put_form(struct writer *w, const char *pattern)
{
    struct writer both;

    put_type(w, "string");
    if (!pattern)
        return;
    writer_init(&both, 0);
    writer_printf(&both, "%s|" VARIABLE, pattern);
    writer_text(w, STR("pattern"), (struct str){both.p, both.n});
    xfree(writer_take(&both));
}

static const char *pattern_of(const struct field *f)
{
    if (f->kind == FIELD_DURATION)
        return "^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
    if (f->kind == FIELD_SIZE)
        return "^[0-9]+(B|KiB|MiB|GiB)$";
    if (f->kind == FIELD_MODE)
        return "^0?[0-7]{3}$";
    switch (f->form) {
    case FORM_LISTEN:
    case FORM_LOOPBACK:
        return "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$";
    case FORM_TOKEN:
    case FORM_METHOD:
    case FORM_EDITABLE:
        return "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
    case FORM_PREFIX:
        return "^/[^?#]*$";
    case FORM_TARGET:
        return "^/[^#]*$";
    case FORM_NAME:
        return "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
    case FORM_RATE_KEY:
        return "^(cookie:.+|header:.+|client_ip|none)$";
    case FORM_REDIS:
        return "^redis://";
    default:
        return NULL;
    }
}

static void put_words(struct writer *w, const struct word *words)
{
    writer_open(w, STR("anyOf"), '[');
    writer_open_flat(w, STR_NONE, '{');
    writer_open(w, STR("enum"), '[');
    for (; words->name; words++)
        writer_text(w, STR_NONE, str_of(words->name));
    writer_close(w, ']');
    writer_close(w, '}');
    writer_open_flat(w, STR_NONE, '{');
    put_form(w, "^$");
    writer_close(w, '}');
    writer_close(w, ']');
}

static void put_default(struct writer *w, const struct field *f)
{
    struct str rest;

    if (!f->fallback)
        return;
    if (f->kind == FIELD_NUMBER || f->kind == FIELD_BOOL) {
        writer_raw(w, STR("default"), str_of(f->fallback));
    } else if (f->kind == FIELD_WORDS || f->kind == FIELD_KEYS) {
        writer_open_flat(w, STR("default"), '[');
        for (rest = str_of(f->fallback); rest.n > 0;)
            writer_text(w, STR_NONE, str_cut(&rest, ' '));
        writer_close(w, ']');
    } else {
        writer_text(w, STR("default"), str_of(f->fallback));
    }
}

/* An array whose elements are described by what the caller writes between open and close. */
static void open_items(struct writer *w, const struct field *f)
{
    put_type(w, "array");
    if (f->min > 0)
        writer_uint(w, STR("minItems"), f->min);
    writer_open(w, STR("items"), '{');
}

static void put_strings(struct writer *w, const struct field *f, const char *pattern)
{
    open_items(w, f);
    put_form(w, pattern);
    writer_close(w, '}');
}

/* An address, or an object of an address and its weight. */
static void put_endpoints(struct writer *w, const struct field *f)
{
    static const char address[] = "^(.+:[0-9]{1,5}|unix:/.+|srv:_[^.]+[.]_[^.]+[.].+)$";

    open_items(w, f);
    writer_open(w, STR("anyOf"), '[');
    writer_open_flat(w, STR_NONE, '{');
    put_form(w, address);
    writer_close(w, '}');
    writer_open(w, STR_NONE, '{');
    put_type(w, "object");
    writer_open(w, STR("properties"), '{');
    writer_open_flat(w, STR("address"), '{');
    put_form(w, address);
    writer_close(w, '}');
    writer_open_flat(w, STR("weight"), '{');
    put_type(w, "integer");
    writer_uint(w, STR("minimum"), 1);
    writer_uint(w, STR("maximum"), CONF_ENDPOINT_WEIGHT);
    writer_close(w, '}');
    writer_close(w, '}');
    writer_open_flat(w, STR("required"), '[');
    writer_text(w, STR_NONE, STR("address"));
    writer_close(w, ']');
    writer_bool(w, STR("additionalProperties"), false);
    writer_close(w, '}');
    writer_close(w, ']');
    writer_close(w, '}');
}

static void put_map(struct writer *w, const struct field *f)
{
    put_type(w, "object");
    if (f->min > 0)
        writer_uint(w, STR("minProperties"), f->min);
    if (f->max > 0)
        writer_uint(w, STR("maxProperties"), f->max);
    writer_open_flat(w, STR("propertyNames"), '{');
    writer_text(w, STR("pattern"), STR("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"));
    writer_close(w, '}');
    put_object(w, STR("additionalProperties"), f->of, NULL);
}

/* An object whose members all look alike. */
static void put_members(struct writer *w, const char *type)
{
    put_type(w, "object");
    writer_open_flat(w, STR("additionalProperties"), '{');
    put_type(w, type);
    if (strcmp(type, "number") == 0) {
        writer_uint(w, STR("minimum"), 0);
        writer_uint(w, STR("maximum"), 100);
    }
    writer_close(w, '}');
}

/* Texts, or true. */
static void put_match_members(struct writer *w)
{
    put_type(w, "object");
    writer_open_flat(w, STR("additionalProperties"), '{');
    writer_open(w, STR("anyOf"), '[');
    writer_open(w, STR_NONE, '{');
    put_type(w, "string");
    writer_close(w, '}');
    writer_open(w, STR_NONE, '{');
    writer_bool(w, STR("const"), true);
    writer_close(w, '}');
    writer_close(w, ']');
    writer_close(w, '}');
}

static void put_value(struct writer *w, const struct field *f)
{
    switch (f->kind) {
    case FIELD_FORMAT:
        writer_uint(w, STR("const"), 1);
        break;
    case FIELD_NUMBER:
        put_type(w, "integer");
        writer_uint(w, STR("minimum"), f->min);
        writer_uint(w, STR("maximum"), f->max);
        break;
    case FIELD_WORD:
        put_words(w, f->words);
        break;
    case FIELD_WORDS:
        open_items(w, f);
        put_words(w, f->words);
        writer_close(w, '}');
        break;
    case FIELD_MAP:
        put_map(w, f);
        break;
    case FIELD_LIST:
        put_type(w, "array");
        put_object(w, STR("items"), f->of, NULL);
        break;
    case FIELD_WEIGHTS:
        put_members(w, "number");
        break;
    case FIELD_MATCHES:
        put_match_members(w);
        break;
    case FIELD_HEADERS:
        put_members(w, "string");
        break;
    case FIELD_TEXTS:
        put_strings(w, f, pattern_of(f));
        break;
    case FIELD_ENDPOINTS:
        put_endpoints(w, f);
        break;
    case FIELD_KEYS:
        put_strings(w, f, "^(cookie:.+|header:.+|client_ip)$");
        break;
    case FIELD_NETWORKS:
        put_strings(w, f, "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$");
        break;
    case FIELD_BOOL:
        put_type(w, "boolean");
        break;
    case FIELD_INCLUDE:
        put_strings(w, f, NULL);
        break;
    case FIELD_GROUP: /* put_field */
        break;
    case FIELD_TEXT:
    case FIELD_MODE:
    case FIELD_DURATION:
    case FIELD_SIZE:
    case FIELD_SERVICE:
    case FIELD_VERSION:
        put_form(w, pattern_of(f));
        break;
    }
}

static void put_field(struct writer *w, const struct field *f)
{
    if (f->kind == FIELD_GROUP) {
        put_object(w, str_of(f->name), f->of, f->doc);
        return;
    }
    writer_open(w, str_of(f->name), '{');
    writer_text(w, STR("description"), str_of(f->doc));
    put_value(w, f);
    put_default(w, f);
    writer_close(w, '}');
}

static void put_required(struct writer *w, const struct table *t, bool all)
{
    bool any = false;

    for (size_t i = 0; i < t->n; i++)
        any |= t->fields[i].required;
    if (!any)
        return;
    writer_open_flat(w, STR("required"), '[');
    for (size_t i = 0; i < t->n; i++)
        if (t->fields[i].required && (all || t->fields[i].kind == FIELD_FORMAT))
            writer_text(w, STR_NONE, str_of(t->fields[i].name));
    writer_close(w, ']');
}

static void put_members_of(struct writer *w, const struct table *t)
{
    put_type(w, "object");
    writer_open(w, STR("properties"), '{');
    for (size_t i = 0; i < t->n; i++)
        put_field(w, &t->fields[i]);
    writer_close(w, '}');
    writer_bool(w, STR("additionalProperties"), false);
}

static void put_object(struct writer *w, struct str key, const struct table *t,
                       const char *about)
{
    writer_open(w, key, '{');
    if (about)
        writer_text(w, STR("description"), str_of(about));
    put_members_of(w, t);
    put_required(w, t, true);
    writer_close(w, '}');
}

char *conf_schema(void)
{
    struct writer w;

    writer_init(&w, 2);
    writer_open(&w, STR_NONE, '{');
    writer_text(&w, STR("$schema"), STR("https://json-schema.org/draft/2020-12/schema"));
    writer_text(&w, STR("title"), STR("sluice.jsonc"));
    put_members_of(&w, fields_root());
    put_required(&w, fields_root(), false);
    /* With includes the rest may stand in another file. */
    writer_open_flat(&w, STR("if"), '{');
    writer_open(&w, STR("not"), '{');
    writer_open(&w, STR("required"), '[');
    writer_text(&w, STR_NONE, STR("include"));
    writer_close(&w, ']');
    writer_close(&w, '}');
    writer_close(&w, '}');
    writer_open_flat(&w, STR("then"), '{');
    put_required(&w, fields_root(), true);
    writer_close(&w, '}');
    writer_close(&w, '}');
    return writer_take(&w);
}

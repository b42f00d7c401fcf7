/*
 * fields.h - the tables of fields: the only place that lists what a config may say.
 *
 * Loading, the dump, the schema, the manual's table and the suggestions for mistyped keys all
 * walk these tables. A table describes one object of the document and the struct that it
 * fills; a row describes one key of it.
 */
#pragma once
#include "config/model.h"

struct table;

enum field_kind {
    FIELD_FORMAT,    /* "version": the number 1; stored nowhere */
    FIELD_INCLUDE,   /* patterns of files; gone after loading */
    FIELD_TEXT,      /* struct str, checked by .form */
    FIELD_NUMBER,    /* uint32_t in min..max */
    FIELD_MODE,      /* uint32_t, written as octal text */
    FIELD_BOOL,      /* bool */
    FIELD_DURATION,  /* uint64_t of milliseconds in min..max */
    FIELD_SIZE,      /* uint64_t of bytes in min..max */
    FIELD_WORD,      /* int, one of .words */
    FIELD_WORDS,     /* unsigned, bits of .words */
    FIELD_GROUP,     /* object; .of describes it, its struct is at .offset */
    FIELD_MAP,       /* object of named objects: array of structs that begin with their name */
    FIELD_LIST,      /* array of objects: array of structs */
    FIELD_ENDPOINTS, /* array of addresses: array of conf_endpoint */
    FIELD_WEIGHTS,   /* object version -> per cent: conf_version.weight */
    FIELD_MATCHES,   /* object name -> value or true: appends conf_match of kind .min */
    FIELD_HEADERS,   /* object name -> value: array of conf_header */
    FIELD_TEXTS,     /* array of texts: array of struct str, checked by .form */
    FIELD_KEYS,      /* array of sources: array of conf_key */
    FIELD_NETWORKS,  /* array of address prefixes: array of struct network */
    FIELD_SERVICE,   /* name of a service: size_t index; default CONF_NO_SERVICE */
    FIELD_VERSION    /* name of a version of the service around it: size_t index */
};

/* What a FIELD_TEXT must look like. */
enum text_form {
    FORM_ANY,
    FORM_USER,
    FORM_FILE,     /* file path, made absolute */
    FORM_SOCKET,   /* file path, made absolute, fits into sun_path */
    FORM_LOG,      /* "-" or file path, made absolute */
    FORM_LISTEN,   /* address to bind, port 0 allowed; fills the listener */
    FORM_LOOPBACK, /* address to bind on this machine only */
    FORM_TOKEN,    /* RFC 9110 token */
    FORM_METHOD,   /* RFC 9110 token */
    FORM_EDITABLE, /* name of a header field that may be changed, made lower case */
    FORM_HOST,     /* host of a request, "*." in front allowed, made lower case */
    FORM_PREFIX,   /* path of a request */
    FORM_TARGET,   /* path of a request, with a query */
    FORM_REGEX,    /* regex.h */
    FORM_LOCATION, /* "/path" or "http[s]://host/path" */
    FORM_BODY,     /* at most CONF_BODY_MAX bytes */
    FORM_NAME,     /* conf_name_ok */
    FORM_FLAG_KEY,
    FORM_RATE_KEY, /* cookie:NAME, header:NAME, client_ip or none */
    FORM_RESOLVER, /* IP address, with or without a port */
    FORM_REDIS
};

struct word {
    const char *name;
    int value;
};

struct field {
    const char *name;
    enum field_kind kind;
    enum text_form form;
    bool required;
    size_t offset, count; /* of the value, and of the number of elements if it is an array */
    bool marked;          /* groups: the struct begins with a bool: whether it was given */
    uint64_t min, max;    /* range of numbers; of the number of elements, max 0: any */
    const char *fallback; /* default as it would be written, NULL: none */
    const char *computed; /* instead: what the default is, in words */
    const struct word *words; /* ends with a NULL name */
    const struct table *of;
    /* groups that may be absent: whether the struct holds none */
    bool (*absent)(const void *group);
    const char *doc; /* one sentence, no full stop */
};

#define FIELDS_MAX 64 /* of one table */

struct table {
    const char *name; /* of one such object, for messages: "service" */
    size_t size;      /* of the struct of one element */
    bool is_service;  /* rows below find their versions in it */
    const struct field *fields;
    size_t n;
};

const struct table *fields_root(void);
/* Is it F that NAME names? */
static inline bool field_is(const struct field *f, struct str name)
{
    return name.n > 0 && f->name[0] == name.p[0] && str_eq(str_of(f->name), name);
}
const struct field *field_find(const struct table *t, struct str name);
const struct word *word_find(const struct word *words, struct str name);
const char *word_name(const struct word *words, int value); /* NULL: none */

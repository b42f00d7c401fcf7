/*
 * conf.h - documents in, model out, and back.
 *
 * All mistakes of a document are reported at once. Nothing here keeps state.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/base/vec.h"

struct json_t;

struct conf_diag {         /* one mistake; strings live in the list's arena */
    struct str file;       /* as opened; empty for a document without a file */
    unsigned line, column; /* from 1; 0: unknown */
    struct str pointer;    /* RFC 6901, "/services/shop/weights" */
    struct str message;    /* "weights add up to 90, must be 100" */
    struct str hint;       /* "did you mean \"endpoints\"?" or empty */
    struct str excerpt;    /* the source line */
};
struct conf_diags {
    struct arena arena;
    VEC(struct conf_diag) list;
};
void conf_diags_init(struct conf_diags *d);
void conf_diags_release(struct conf_diags *d);
/* Compiler style, with excerpt and caret: "FILE:3:7: /workers: ...". Into A. */
struct str conf_diags_text(struct arena *a, const struct conf_diags *d);
/* JSON array of {file,line,column,pointer,message,hint}. Into A. */
struct str conf_diags_json(struct arena *a, const struct conf_diags *d);

/* Entries that have a pointer only, as what is found out by trying has, get the place that it
 * has in PATH or its includes; of what is not written there, the place of what is around it. */
void conf_diags_locate(struct conf_diags *d, const char *path);

/* Read PATH with its includes, variables and all checks. NULL: D has at least one entry. */
struct conf *conf_load(const char *path, struct conf_diags *d) MUST_CHECK;
/* The same for a document in memory: no includes, FILE is its name in diagnostics. */
struct conf *conf_parse(struct str doc, const char *file, struct conf_diags *d) MUST_CHECK;
void conf_free(struct conf *c);

/* The effective config as JSON, every default written out; FILE and CRED values and passwords
 * in URLs as "***" only when REDACT. Without REDACT conf_parse of it gives C again. Malloc'd
 * (xfree), indented by 2, no newline at the end. */
char *conf_dump(const struct conf *c, bool redact);
/* JSON Schema (2020-12) of the config file, from the same tables. Malloc'd. */
char *conf_schema(void);
/* The manual's table of fields in mdoc, from the same tables. Malloc'd. */
char *conf_manual(void);

/* Lookups; NULL or -1 when there is none. */
const struct conf_service *conf_service_find(const struct conf *c, struct str name);
long conf_version_find(const struct conf_service *s, struct str name);

/* "90s", "1m30s", "500ms", "24h" -> ms. "5" without a unit is refused. */
bool conf_duration(struct str s, uint64_t *ms);
/* ms -> shortest exact form in A: 90000 -> "1m30s", 0 -> "0s". */
struct str conf_duration_text(struct arena *a, uint64_t ms);
/* "host:port", "[v6]:port" -> parts (A owns HOST). False: not an address. */
bool conf_address(struct arena *a, struct str s, struct str *host, uint16_t *port);
/* Names of services, versions, listeners, overrides: 1..64 of [A-Za-z0-9._-], begins with
 * a letter or digit. They end up in header values, labels and paths. */
bool conf_name_ok(struct str s);

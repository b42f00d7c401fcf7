/*
 * client.h - one request to the control API.
 *
 * Paths are made by ctl_path, which escapes what it puts in. Mutations carry --reason.
 */
#pragma once
#include "control/ctl/ctl.h"

struct answer {
    int status; /* 0: no answer */
    char *body; /* owned; NUL-terminated, "" when empty */
    size_t n;
    json_t *json;    /* owned; NULL when the body is no JSON */
    char etag[128];  /* of the answer, or "" */
    char error[256]; /* why there is no answer */
};
void answer_release(struct answer *r);

/* FMT knows %s alone; each value is escaped to be one segment or query value. xfree. */
char *ctl_path(const char *fmt, ...) PRINTF_LIKE(1, 2);

struct call {
    const char *method;     /* NULL: GET */
    const char *path;       /* from ctl_path */
    const json_t *body;     /* NULL: none */
    const char *headers[4]; /* more fields, NULL-terminated */
    long timeout_ms;        /* 0: 60 s */
    /* For streams: gets the body as it comes; false ends it. NULL: the body is kept. */
    bool (*on_data)(void *arg, struct str data);
    void *arg;
};
/* The answer, whatever its status. R is to be released. True: there is one. */
bool client_call(struct ctl *c, const struct call *call, struct answer *r) MUST_CHECK;

/* Exit code that belongs to R; CTL_OK for 2xx. Pure. */
int answer_exit(const struct answer *r);
/* Complain about R, in one line, and return its exit code. */
int answer_complain(struct ctl *c, const struct answer *r);
/*
 * Call and expect 2xx: CTL_OK and *DOC (to be decref'd; NULL when there is no JSON), or a
 * complaint and the exit code. DOC may be NULL.
 */
int client_json(struct ctl *c, const char *method, const char *path, const json_t *body,
                json_t **doc) MUST_CHECK;

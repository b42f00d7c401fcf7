/*
 * ofrep.h - questions of OpenFeature clients and their answers: OFREP 0.3, without the HTTP.
 *
 * A context comes in as JSON, an answer leaves as JSON, with the parts that do not depend on
 * the context rendered when the set was loaded. Nothing is allocated once the buffers have
 * their size. The answer to a question about all flags carries an entity tag over its own
 * bytes: who sends it back learns whether the same context gives the same results, whatever
 * happened to the definitions.
 */
#pragma once
#include "proxy/route/flag_eval.h"
#include "proxy/route/flag_json.h"

#define OFREP_EVENTS     "/ofrep/v1/sse"
#define OFREP_BODY_MAX   1000000 /* bytes of a question */
#define OFREP_ANSWER_MAX 8388608
#define OFREP_TAG        20

struct ofrep { /* kept between questions; zeroed before the first */
    VEC(char) text;
    struct flag_json json;
};
void ofrep_release(struct ofrep *o);

struct ofrep_question {
    const struct flagset *set; /* NULL: there are no flags yet */
    struct flag_ctx *ctx;
    struct arena *arena; /* for the context */
    struct str body;     /* {"context":{…}}, or empty */
    struct str selector; /* "flagSetId=…": flags of this set only; empty: all */
    struct str have;     /* If-None-Match; or empty */
    uint64_t now_unix;
    bool events; /* tell about OFREP_EVENTS */
};

struct ofrep_answer {
    int status;          /* 200, 304, 400, 404, 500 */
    struct str body;     /* valid until the next question */
    char tag[OFREP_TAG]; /* with quotes; empty: none */
    int flag;            /* that was evaluated; -1: none or all */
};

/* The flag KEY. */
void ofrep_ask(struct ofrep *o, const struct ofrep_question *q, struct str key,
               struct ofrep_answer *a);
/* All flags. */
void ofrep_ask_all(struct ofrep *o, const struct ofrep_question *q, struct ofrep_answer *a);

/* Whether the list of entity tags (RFC 9110 13.1) names TAG, compared weakly; clients that
 * leave out the quotes are understood. */
bool ofrep_tag_listed(struct str list, struct str tag);

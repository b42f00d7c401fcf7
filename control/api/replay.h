/*
 * replay.h - answers to requests that carried an Idempotency-Key.
 *
 * The newest REPLAY_MAX answers are kept in memory, at most REPLAY_BODY bytes each; a key that
 * comes again gets the same answer without anything being done. They do not outlive the
 * controller: after its restart a repeated request is carried out, and states that it reached
 * answer 409.
 */
#pragma once
#include "proxy/base/str.h"

#define REPLAY_MAX  256
#define REPLAY_BODY 65536

struct replay;
struct replay_answer {
    uint64_t digest; /* of the request that was answered */
    int status;
    const char *type; /* NULL: no body */
    struct str body;
};

struct replay *replay_new(void);
void replay_free(struct replay *r);
uint64_t replay_digest(struct str method, struct str path, struct str body);
/* Valid until the next replay_keep; NULL: the key is new. */
const struct replay_answer *replay_find(const struct replay *r, struct str key);
void replay_keep(struct replay *r, struct str key, uint64_t digest, int status,
                 const char *type, struct str body);

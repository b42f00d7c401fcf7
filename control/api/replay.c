/* replay.c - a ring of answers, the oldest is overwritten. */
#include "control/api/replay.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"

struct slot {
    char *key, *type, *body; /* owned; key NULL: free */
    struct replay_answer answer;
};

struct replay {
    struct slot slots[REPLAY_MAX];
    size_t next;
};

struct replay *replay_new(void)
{
    return xcalloc(1, sizeof(struct replay));
}

static void slot_release(struct slot *s)
{
    xfree(s->key);
    xfree(s->type);
    xfree(s->body);
    *s = (struct slot){0};
}

void replay_free(struct replay *r)
{
    for (size_t i = 0; r && i < REPLAY_MAX; i++)
        slot_release(&r->slots[i]);
    xfree(r);
}

uint64_t replay_digest(struct str method, struct str path, struct str body)
{
    return hash64(body, hash64(path, hash64(method, 0)));
}

const struct replay_answer *replay_find(const struct replay *r, struct str key)
{
    for (size_t i = 0; i < REPLAY_MAX; i++)
        if (r->slots[i].key && str_eq(str_of(r->slots[i].key), key))
            return &r->slots[i].answer;
    return NULL;
}

void replay_keep(struct replay *r, struct str key, uint64_t digest, int status,
                 const char *type, struct str body)
{
    struct slot *s = &r->slots[r->next];

    if (body.n > REPLAY_BODY)
        return;
    r->next = (r->next + 1) % REPLAY_MAX;
    slot_release(s);
    s->key = xstrndup(key.p, key.n);
    s->type = type ? xstrdup(type) : NULL;
    s->body = xstrndup(body.p, body.n);
    s->answer = (struct replay_answer){digest, status, s->type, {s->body, body.n}};
}

/* handout.c - what is on disk first, then what the controller says, never backwards. */
#include "proxy/proc/handout.h"

#include "config/flagset.h"
#include "config/snapshot.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <string.h>

#define SAVED_MAX (256u << 20) /* bytes of a saved document */

static const char *const names[HANDOUT_KINDS] = {"snapshot", "flag set"};

void handout_init(struct handout *h)
{
    *h = (struct handout){.fd = {-1, -1}};
}

void handout_release(struct handout *h)
{
    for (int k = 0; k < HANDOUT_KINDS; k++)
        sys_close(h->fd[k]);
    handout_init(h);
}

static int put(struct handout *h, enum handout_kind kind, uint64_t number, struct str doc)
{
    int fd = shm_seal(kind == HANDOUT_FLAGS ? "sluice-flags" : "sluice-snapshot", doc);

    if (fd < 0) {
        log_error("cannot keep a %s in memory: %s", names[kind], strerror(errno));
        return -1;
    }
    sys_close(h->fd[kind]);
    h->fd[kind] = fd;
    h->number[kind] = number;
    return 0;
}

/* False: there is none, or it cannot be used, which is logged. */
static bool read_saved(struct arena *a, const char *path, struct str *doc)
{
    if (sys_read_file(a, path, SAVED_MAX, doc) == 0)
        return true;
    if (errno != ENOENT)
        log_warn("cannot read %s: %s", path, strerror(errno));
    return false;
}

static int boot_snapshot(struct handout *h, struct arena *a, struct conf *c)
{
    const char *path = arena_printf(a, "%s/snapshot.json", c->state_dir.p).p;
    struct snapshot s;
    struct str doc;
    char *why;

    if (!read_saved(a, path, &doc))
        return handout_rebuild(h, c);
    if (snapshot_parse(doc, &s, &why) < 0) {
        log_warn("%s is not usable, starting from the config: %s", path, why);
        xfree(why);
        return handout_rebuild(h, c);
    }
    conf_free(s.conf);
    log_info("starting with generation %llu from %s", (unsigned long long)s.generation, path);
    h->saved = s.generation;
    return put(h, HANDOUT_SNAPSHOT, s.generation, doc);
}

static int boot_flags(struct handout *h, struct arena *a, const struct conf *c)
{
    const char *path =
        arena_printf(a, "%s/flags-%s.json", c->state_dir.p, c->flags.env.p ?: "").p;
    struct flagset *f;
    struct str doc;
    uint64_t sequence;
    char *why;

    if (!c->flags.enabled || !read_saved(a, path, &doc))
        return 0;
    f = flagset_compile(doc, &why);
    if (!f) {
        log_warn("%s is not usable, starting without flags: %s", path, why);
        xfree(why);
        return 0;
    }
    sequence = flagset_sequence(f);
    flagset_unref(f);
    return put(h, HANDOUT_FLAGS, sequence, doc);
}

int handout_boot(struct handout *h, struct conf *c)
{
    struct arena a;
    int rc;

    arena_init(&a, NULL, 0);
    snapshot_number(c);
    rc = boot_snapshot(h, &a, c);
    if (rc == 0)
        rc = boot_flags(h, &a, c);
    arena_release(&a);
    return rc;
}

static bool is_readable(enum handout_kind kind, int fd, char **why)
{
    struct snapshot s;
    struct flagset *f = NULL;
    struct str doc;
    bool ok;

    if (shm_map(fd, &doc) < 0) {
        *why = xstrdup(strerror(errno));
        return false;
    }
    if (kind == HANDOUT_FLAGS)
        ok = (f = flagset_compile(doc, why)) != NULL;
    else
        ok = snapshot_parse(doc, &s, why) == 0;
    if (ok && kind == HANDOUT_SNAPSHOT)
        conf_free(s.conf);
    flagset_unref(f);
    shm_unmap(doc);
    return ok;
}

int handout_inherit(struct handout *h, struct conf *c, const int fd[HANDOUT_KINDS],
                    const uint64_t number[HANDOUT_KINDS])
{
    snapshot_number(c);
    for (int k = 0; k < HANDOUT_KINDS; k++) {
        char *why = NULL;

        if (fd[k] < 0)
            continue;
        h->number[k] = number[k];
        if (is_readable(k, fd[k], &why)) {
            h->fd[k] = fd[k];
            continue;
        }
        log_warn("the %s of the program before cannot be used: %s", names[k], why);
        xfree(why);
        sys_close(fd[k]);
    }
    return h->fd[HANDOUT_SNAPSHOT] < 0 ? handout_rebuild(h, c) : 0;
}

int handout_rebuild(struct handout *h, struct conf *c)
{
    uint64_t generation = h->number[HANDOUT_SNAPSHOT] + 1;
    char *doc = snapshot_write(c, generation);
    int rc = put(h, HANDOUT_SNAPSHOT, generation, str_of(doc));

    xfree(doc);
    return rc;
}

bool handout_offer(struct handout *h, enum handout_kind kind, uint64_t number, int fd)
{
    struct str doc;

    if (number <= h->number[kind]) {
        log_warn("%s %llu is not newer than %llu: dropped", names[kind],
                 (unsigned long long)number, (unsigned long long)h->number[kind]);
        sys_close(fd);
        return false;
    }
    if (shm_map(fd, &doc) < 0) {
        log_error("%s %llu cannot be used: %s", names[kind], (unsigned long long)number,
                  strerror(errno));
        sys_close(fd);
        return false;
    }
    shm_unmap(doc);
    sys_close(h->fd[kind]);
    h->fd[kind] = fd;
    h->number[kind] = number;
    return true;
}

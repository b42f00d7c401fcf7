/*
 * boot.c - everything that the supervisor holds before its first child starts.
 *
 * It is opened by the config file, or taken over from the program that was here before an
 * upgrade; then nothing that serves may end because of what the file says by now.
 */
#include "proxy/base/log.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/proc/supervisor_state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int find_user(struct supervisor *s)
{
    const char *name = s->conf->user.p;

    if (geteuid() != 0) {
        if (s->conf->user.n)
            log_debug("not root: \"user\" is not used");
        return 0;
    }
    if (!s->conf->user.n) {
        log_warn("running as root without \"user\": workers and controller are root too");
        return 0;
    }
    if (spawn_user_find(name, &s->user) < 0) {
        log_error("there is no user %s", name);
        return -1;
    }
    return 0;
}

static int make_state_dir(const struct supervisor *s)
{
    const char *path = s->conf->state_dir.p;

    if (sys_mkdirs(path, 0750) == 0 &&
        (!s->user.set || chown(path, s->user.uid, s->user.gid) == 0))
        return 0;
    log_error("cannot make %s: %s", path, strerror(errno));
    return -1;
}

static int open_stats(struct supervisor *s)
{
    s->stats_fd = stats_create(s->conf->workers);
    s->stats = s->stats_fd < 0 ? NULL : stats_map(s->stats_fd, true);
    s->limits_fd = limits_create();
    s->limits = s->limits_fd < 0 ? NULL : limits_map(s->limits_fd);
    if (s->stats && s->limits)
        return 0;
    log_error("cannot make the shared counters: %s", strerror(errno));
    return -1;
}

/* RC, once the log has D's mistakes with their places in the config file. */
static int told(const struct supervisor *s, struct conf_diags *d, int rc)
{
    conf_diags_locate(d, s->options->config);
    log_diags(d);
    conf_diags_release(d);
    return rc;
}

static int load_material(struct supervisor *s)
{
    struct conf_diags d;
    int rc;

    conf_diags_init(&d);
    rc = material_load(&s->material, s->conf, &d);
    return told(s, &d, rc);
}

static int open_sockets(struct supervisor *s)
{
    struct conf_diags d;
    int rc;

    conf_diags_init(&d);
    rc = listeners_update(s->listeners, s->conf, &d, NULL, NULL);
    rc |= try_log(s->conf, &s->log_fd, &d);
    return told(s, &d, rc);
}

static int open_api(struct supervisor *s)
{
    struct conf_diags d;
    int rc;

    conf_diags_init(&d);
    rc = apisock_open(&s->apisock, &s->conf->control, &s->user, &d);
    return told(s, &d, rc);
}

/* In the place of another program. */

/* Counters that this program lays out otherwise start anew, as after a restart. */
static int inherit_stats(struct supervisor *s, const struct handover *h)
{
    s->stats = stats_map(h->stats_fd, true);
    s->limits = limits_map(h->limits_fd);
    if (s->stats && s->limits) {
        s->stats_fd = h->stats_fd;
        s->limits_fd = h->limits_fd;
        s->base = h->base;
        s->elders_count = true;
        stats_use_slabs(s->stats, h->base + h->workers);
        return 0;
    }
    log_warn("the counters of the program before have another layout: they start anew");
    stats_unmap(s->stats);
    limits_unmap(s->limits);
    sys_close(h->stats_fd);
    sys_close(h->limits_fd);
    return open_stats(s);
}

static void inherit_listeners(struct supervisor *s, const struct handover *h)
{
    s->listeners = listeners_new(h->workers);
    for (size_t i = 0; i < h->listeners.n; i++) {
        const struct handover_listener *l = &h->listeners.v[i];

        listeners_inherit(s->listeners, l->name, l->host, l->port, l->fds);
    }
}

/* The config that was in effect; NULL: it is not to be had any more. */
static struct conf *inherit_conf(struct supervisor *s, const struct handover *h)
{
    struct conf_diags d;
    struct conf *c = NULL;
    struct str doc;

    conf_diags_init(&d);
    if (shm_map(h->config_fd, &doc) == 0) {
        c = conf_parse(doc, s->options->config, &d);
        shm_unmap(doc);
    }
    sys_close(h->config_fd);
    log_diags(&d);
    conf_diags_release(&d);
    return c;
}

static void inherit_keys(struct supervisor *s, const struct handover *h)
{
    struct str text;

    if (shm_map(h->keys_fd, &text) == 0) {
        (void)ticket_keys_take(&s->ticket_keys, text);
        shm_unmap(text);
    }
    sys_close(h->keys_fd);
}

/* The config file as it is now if everything in it can be had, else what was in effect. */
static int inherit_config(struct supervisor *s, const struct handover *h)
{
    struct conf *before = inherit_conf(s, h);

    if (s->conf) {
        if (before)
            keep_fixed(s->conf, before);
        if (load_material(s) == 0 && open_sockets(s) == 0) {
            conf_free(before);
            return 0;
        }
        material_release(&s->material);
        sys_close(s->log_fd);
        s->log_fd = -1;
    }
    if (!before)
        return -1;
    log_error("going on with the config of the program before");
    conf_free(s->conf);
    s->conf = before;
    return load_material(s) < 0 ? -1 : open_sockets(s);
}

static int inherit(struct supervisor *s, struct handover *h)
{
    s->elders = h->elders;
    h->elders = (struct elders){0};
    inherit_keys(s, h);
    inherit_listeners(s, h);
    if (inherit_config(s, h) < 0 || find_user(s) < 0 || inherit_stats(s, h) < 0)
        return -1;
    apisock_inherit(&s->apisock, &s->conf->control, h->api);
    log_info("taking over %zu listeners and %zu workers", h->listeners.n, s->elders.list.n);
    return handout_inherit(&s->handout, s->conf, h->fd, h->number);
}

int boot(struct supervisor *s)
{
    s->stats_fd = s->limits_fd = s->log_fd = -1;
    handout_init(&s->handout);
    material_init(&s->material);
    ticket_keys_init(&s->ticket_keys);
    sys_raise_nofile();
    signal(SIGPIPE, SIG_IGN);
    if (s->options->handover)
        return inherit(s, s->options->handover);
    ASSERT(s->conf->workers >= 1 && s->conf->workers <= STATS_MAX_WORKERS);
    s->listeners = listeners_new(s->conf->workers);
    if (load_material(s) < 0 || find_user(s) < 0 || make_state_dir(s) < 0 ||
        open_stats(s) < 0 || open_sockets(s) < 0 || open_api(s) < 0)
        return -1;
    return handout_boot(&s->handout, s->conf);
}

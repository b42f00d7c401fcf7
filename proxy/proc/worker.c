/*
 * worker.c - messages of the supervisor become calls of the data plane.
 *
 * A snapshot is acked after it is live, refused with a reason otherwise; either way exactly one
 * answer goes back for each.
 */
#include "proxy/proc/worker.h"

#include "proxy/base/clock.h"
#include "proxy/base/limits.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "proxy/base/shm.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"
#include "proxy/event/ipc.h"
#include "proxy/proc/spawn.h"
#include "proxy/stream/plane.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define HEARTBEAT_MS 500
#define BIG_SNAPSHOT (1u << 20) /* bytes: reading it leaves megabytes of free memory behind */

#define WORKER_MAGIC 0x574b5231u /* WKR1 */

struct worker { /* on the stack of worker_run */
    uint32_t magic;
    struct loop *loop;
    struct plane *plane;
    struct ipc *ipc;
    struct stats *stats;
    struct limits *limits;
    struct stats_slab *slab; /* ours in it */
    struct timer heartbeat;
    struct flusher turn;
    bool secured; /* a TLS document is in use, possibly an empty one */
    bool draining;
    uint64_t handed_over_ms; /* 0: not; else how long a drain may take */
    bool untidy;             /* a big snapshot was read: much memory is free */
};

/* Once a turn, and the timer sees to it that there are turns. */
static void on_turn(void *arg)
{
    struct worker *w = CAST(worker, WORKER_MAGIC, arg);

    stat_add(&w->slab->loop_turns, 1);
    stat_set(&w->slab->heartbeat_us, loop_now_us(w->loop));
}

static void on_heartbeat(void *arg)
{
    struct worker *w = CAST(worker, WORKER_MAGIC, arg);

    if (w->untidy) /* not when it was applied: others wait for that */
        mem_trim();
    w->untidy = false;
    timer_start(&w->heartbeat, HEARTBEAT_MS);
}

static void refuse(struct worker *w, enum ipc_type type, uint64_t number, const char *why)
{
    struct str text = str_of(why);

    if (text.n > IPC_TEXT_MAX)
        text.n = IPC_TEXT_MAX;
    ipc_send(w->ipc, &(struct ipc_msg){.type = type, .a = number, .fd = -1, .text = text});
}

static int apply_snapshot(struct worker *w, struct str doc, uint64_t number, char **why)
{
    uint64_t generation;

    if (plane_apply_snapshot(w->plane, doc, &generation, why) < 0)
        return -1;
    if (generation != number)
        log_warn("snapshot %llu says that it is %llu", (unsigned long long)number,
                 (unsigned long long)generation);
    stat_set(&w->slab->generation, number);
    w->untidy |= doc.n > BIG_SNAPSHOT;
    return 0;
}

static int apply_flags(struct worker *w, struct str doc, uint64_t number, char **why)
{
    if (plane_apply_flags(w->plane, doc, number, why) < 0)
        return -1;
    stat_set(&w->slab->flags_version, number);
    return 0;
}

static void on_document(struct worker *w, const struct ipc_msg *msg)
{
    bool flags = msg->type == IPC_FLAGS;
    enum ipc_type no = flags ? IPC_NACK_FLAGS : IPC_NACK;
    struct str doc;
    char *why = NULL;

    if (shm_map(msg->fd, &doc) < 0) {
        refuse(w, no, msg->a, strerror(errno));
        return;
    }
    if ((flags ? apply_flags : apply_snapshot)(w, doc, msg->a, &why) == 0) {
        log_debug("%s %llu is live", flags ? "flag set" : "snapshot",
                  (unsigned long long)msg->a);
        ipc_send(w->ipc, &(struct ipc_msg){.type = flags ? IPC_ACK_FLAGS : IPC_ACK_SNAPSHOT,
                                           .a = msg->a,
                                           .fd = -1});
    } else {
        refuse(w, no, msg->a, why ?: "refused");
    }
    xfree(why);
    shm_unmap(doc);
}

/* A worker that cannot secure its listeners must not serve them in the clear. */
static void on_tls(struct worker *w, const struct ipc_msg *msg)
{
    struct str doc;
    char *why = NULL;
    bool ok;

    if (shm_map(msg->fd, &doc) < 0) {
        log_error("cannot read the certificates: %s", strerror(errno));
        loop_stop(w->loop);
        return;
    }
    ok = plane_apply_tls(w->plane, doc, &why) == 0;
    if (!ok)
        log_error("certificates refused: %s", why ?: "unknown reason");
    if (!ok && !w->secured)
        loop_stop(w->loop);
    w->secured |= ok;
    xfree(why);
    shm_unmap(doc);
}

static void on_drained(void *arg)
{
    loop_stop(CAST(worker, WORKER_MAGIC, arg)->loop);
}

static void on_listen(struct worker *w, const struct ipc_msg *msg)
{
    char name[256];

    str_copy(name, sizeof(name), msg->text);
    if (msg->type == IPC_UNLISTEN)
        plane_unlisten(w->plane, name);
    else
        plane_listen(w->plane, name, msg->fd);
}

static void on_limits(struct worker *w, int fd)
{
    if (!w->limits)
        w->limits = limits_map(fd);
    if (!w->limits)
        log_error("cannot use the shared limits: %s", strerror(errno));
    plane_set_limits(w->plane, w->limits);
}

static void drain(struct worker *w, uint64_t deadline_ms, enum ports ports)
{
    if (w->draining)
        return;
    w->draining = true;
    plane_drain(w->plane, deadline_ms, ports, on_drained, w);
}

static void on_line_closed(struct worker *w)
{
    ipc_close(w->ipc);
    w->ipc = NULL;
    if (w->handed_over_ms) {
        log_info("the next workers are there: draining");
        drain(w, w->handed_over_ms, PORTS_TAKEN_OVER);
        return;
    }
    log_warn("the supervisor is gone");
    loop_stop(w->loop);
}

static void on_message(void *arg, const struct ipc_msg *msg)
{
    struct worker *w = CAST(worker, WORKER_MAGIC, arg);

    if (!msg) {
        on_line_closed(w);
        return;
    }
    switch (msg->type) {
    case IPC_LISTEN:
    case IPC_UNLISTEN:
        on_listen(w, msg);
        return;
    case IPC_LOG:
        plane_set_log(w->plane, msg->fd);
        return;
    case IPC_LIMITS:
        on_limits(w, msg->fd);
        break;
    case IPC_SNAPSHOT:
    case IPC_FLAGS:
        on_document(w, msg);
        break;
    case IPC_TLS:
        on_tls(w, msg);
        break;
    case IPC_TICKET_KEYS:
        plane_set_ticket_keys(w->plane, msg->text);
        break;
    case IPC_HANDOVER:
        w->handed_over_ms = msg->a;
        break;
    case IPC_DRAIN:
        drain(w, msg->a, PORTS_CLOSED);
        break;
    default:
        log_error("unexpected message: %s", ipc_name(msg->type));
        break;
    }
    sys_close(msg->fd);
}

/* Under load nothing goes back to the kernel only to be asked for again a moment later. */
static void tune_malloc(void)
{
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

static void prepare_process(void)
{
    static const int not_for_us[] = {SIGTERM, SIGINT,  SIGHUP, SIGUSR1,
                                     SIGUSR2, SIGQUIT, SIGPIPE};

    for (size_t i = 0; i < ARRAY_LEN(not_for_us); i++)
        signal(not_for_us[i], SIG_IGN);
    prctl(PR_SET_NAME, "sluice-worker");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        log_warn("no_new_privs: %s", strerror(errno));
    sys_raise_nofile();
    tune_malloc();
}

static int map_stats(struct worker *w, const struct worker_options *o)
{
    w->stats = stats_map(SPAWN_FD_STATS, true);
    if (!w->stats || o->slot >= o->workers || o->slab >= stats_slabs(w->stats)) {
        log_error("cannot use the shared counters: %s", strerror(errno));
        return -1;
    }
    w->slab = &w->stats->slabs[o->slab];
    stat_set(&w->slab->pid, (uint64_t)getpid());
    stat_set(&w->slab->started_ms, clock_wall_ms());
    return 0;
}

int worker_run(const struct worker_options *o)
{
    struct worker w = {.magic = WORKER_MAGIC};
    uint64_t seed;

    prepare_process();
    if (sys_cloexec(SPAWN_FD_IPC, true) < 0 || sys_cloexec(SPAWN_FD_STATS, true) < 0 ||
        map_stats(&w, o) < 0)
        return 1;
    rng_secure(&seed, sizeof(seed));
    w.loop = loop_new();
    w.plane = plane_new(w.loop, &(struct plane_options){.slot = o->slot,
                                                        .workers = o->workers,
                                                        .slab = o->slab,
                                                        .stats = w.stats,
                                                        .seed = seed});
    w.ipc = ipc_open(w.loop, SPAWN_FD_IPC, on_message, &w);
    timer_init(&w.heartbeat, w.loop, on_heartbeat, &w);
    timer_start(&w.heartbeat, HEARTBEAT_MS);
    loop_add_flusher(w.loop, &w.turn, on_turn, &w);
    loop_run(w.loop);
    timer_stop(&w.heartbeat);
    ipc_close(w.ipc);
    plane_free(w.plane);
    loop_free(w.loop);
    limits_unmap(w.limits);
    stats_unmap(w.stats);
    return 0;
}

/*
 * main.c - sluice-control: the controller process.
 *
 * Started by `sluice` with the supervisor's socket as descriptor 3 and the workers' counters as
 * descriptor 4. It owns nothing that traffic needs: it may die at any moment, and its successor
 * goes on with what the store says.
 */
#include "control/api/api.h"
#include "control/engine/engine.h"
#include "control/link/workers.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FD_SUPERVISOR = 3, FD_STATS = 4 };

#define CONTROLLER_MAGIC 0x4354524cu /* CTRL */

struct held { /* a listening socket that came before there was anything to ask */
    int fd;
    bool telemetry;
};

struct controller {
    uint32_t magic;
    struct loop *loop;
    struct stats *stats;
    uint64_t boot;
    struct workers *workers;
    struct engine *engine; /* NULL until the first config, as is the API */
    struct api *api;
    VEC(struct held) held;
    struct sig term, interrupt;
    int status;
};

/* --- from the supervisor --- */

static void serve(struct controller *c, int fd, bool telemetry)
{
    if (api_listen(c->api, fd, telemetry) == 0)
        return;
    log_error("cannot serve the control API: %s", strerror(errno));
    sys_close(fd);
}

static void begin(struct controller *c, struct str doc, struct str path, uint64_t generation,
                  uint64_t sequence)
{
    char *why = NULL;

    c->engine = engine_new(&(struct engine_options){.loop = c->loop,
                                                    .stats = c->stats,
                                                    .workers = c->workers,
                                                    .boot = c->boot,
                                                    .doc = doc,
                                                    .path = path,
                                                    .generation = generation,
                                                    .sequence = sequence},
                           &why);
    if (!c->engine) {
        log_error("%s", why);
        xfree(why);
        c->status = 1;
        loop_stop(c->loop);
        return;
    }
    c->api = api_new(c->loop, c->engine);
    for (size_t i = 0; i < c->held.n; i++)
        serve(c, c->held.v[i].fd, c->held.v[i].telemetry);
    vec_release(&c->held);
    workers_ready(c->workers);
}

static void on_config(void *arg, struct str doc, struct str path, uint64_t generation,
                      uint64_t sequence)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    if (c->engine)
        engine_config(c->engine, doc, path);
    else
        begin(c, doc, path, generation, sequence);
}

static void on_certificates(void *arg, struct str doc)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    if (c->engine)
        engine_certificates(c->engine, doc);
}

static void on_check_tls(void *arg, struct str doc)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    if (c->engine)
        engine_check_tls(c->engine, doc);
}

static void on_worker(void *arg, const struct workers_row *row)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    if (c->engine)
        engine_worker(c->engine, row);
}

static void on_reloaded(void *arg, bool ok, struct str diags)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    if (c->engine)
        engine_reloaded(c->engine, ok, diags);
}

/* Until the engine is there clients wait in the socket's queue. */
static void on_listen_api(void *arg, struct str kind, int fd)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);
    bool telemetry = str_eq(kind, STR("telemetry"));

    if (c->api)
        serve(c, fd, telemetry);
    else
        *vec_add(&c->held) = (struct held){fd, telemetry};
}

static void on_draining(void *arg, uint64_t deadline_ms)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    (void)deadline_ms;
    if (c->engine)
        c->engine->draining = true;
}

static void on_supervisor_gone(void *arg)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    log_info("the supervisor is gone");
    loop_stop(c->loop);
}

static void on_stop(void *arg)
{
    struct controller *c = CAST(controller, CONTROLLER_MAGIC, arg);

    loop_stop(c->loop);
}

/* --- life --- */

static int run(struct controller *c)
{
    static const struct workers_callbacks callbacks = {
        .config = on_config,
        .worker = on_worker,
        .certificates = on_certificates,
        .check_tls = on_check_tls,
        .reloaded = on_reloaded,
        .listen_api = on_listen_api,
        .draining = on_draining,
        .gone = on_supervisor_gone,
    };

    c->loop = loop_new();
    sig_start(&c->term, c->loop, SIGTERM, on_stop, c);
    sig_start(&c->interrupt, c->loop, SIGINT, on_stop, c);
    c->workers = workers_open(c->loop, FD_SUPERVISOR, &callbacks, c);
    loop_run(c->loop);

    for (size_t i = 0; i < c->held.n; i++)
        sys_close(c->held.v[i].fd);
    vec_release(&c->held);
    api_free(c->api);
    engine_free(c->engine);
    workers_close(c->workers);
    sig_stop(&c->term);
    sig_stop(&c->interrupt);
    loop_free(c->loop);
    return c->status;
}

static int usage(FILE *out)
{
    fputs("sluice-control: the controller of Sluice. It takes no arguments and is started by\n"
          "sluice(8); an operator talks to it with sluicectl(1).\n"
          "  --version  print the version\n"
          "  --help     print this\n",
          out);
    return out == stdout ? 0 : 2;
}

static int map_stats(struct controller *c)
{
    struct stat st;

    if (fstat(FD_SUPERVISOR, &st) != 0 || !S_ISSOCK(st.st_mode) || fstat(FD_STATS, &st) != 0)
        return -1;
    c->boot = (uint64_t)st.st_ino;
    c->stats = stats_map(FD_STATS, 0);
    return c->stats ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct controller c = {.magic = CONTROLLER_MAGIC};

    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("sluice-control %s\n", SLUICE_VERSION);
        return 0;
    }
    if (argc > 1)
        return usage(strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    log_init("controller", getenv("SLUICE_DEBUG") ? LOG_DEBUG : LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    if (map_stats(&c) != 0) {
        fputs("sluice-control is started by sluice(8), not by hand\n", stderr);
        return 2;
    }
    if (sys_cloexec(FD_SUPERVISOR, true) != 0 || sys_cloexec(FD_STATS, true) != 0)
        log_warn("descriptors stay open in children: %s", strerror(errno));
    int status = run(&c);
    stats_unmap(c.stats);
    return status;
}

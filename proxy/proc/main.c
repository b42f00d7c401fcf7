/*
 * main.c - the command line of sluice(8).
 *
 * The supervisor and its workers are the same program: a worker is started with --worker, which
 * is not for people. Nor is --adopts, by which a supervisor asks a new version in its trial.
 */
#include "config/conf.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/proc/material.h"
#include "proxy/proc/supervisor.h"
#include "proxy/proc/version.h"
#include "proxy/proc/worker.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/sluice/sluice.jsonc"

enum { EXIT_USAGE = 2, EXIT_CONFIG = 11 };
enum mode { RUN, CHECK, DUMP };

struct command { /* what the command line asks for */
    enum mode mode;
    const char *config, *program;
    bool verbose;
    long worker, workers, slab; /* -1: not a worker */
    const char *adopts;         /* version of a handover that the asker would leave; or NULL */
};

static const char usage_text[] =
    "usage: sluice [-tTvVh] [-c FILE]\n"
    "\n"
    "  -c, --config FILE  configuration (default " DEFAULT_CONFIG ")\n"
    "  -t, --check        check it, report every mistake, exit 0 or 11\n"
    "  -T, --dump         print what is in effect, defaults included, secrets hidden\n"
    "  -v, --verbose      log debug lines as well\n"
    "  -V, --version      versions of sluice and its libraries, how it was built\n"
    "  -h, --help         this\n"
    "\n"
    "Signals: TERM and INT drain, HUP reloads, USR1 opens the access log again,\n"
    "USR2 goes on with the program file as it is now, QUIT or a second INT stops at once.\n";

/* The number of a hidden option, or -1. */
static long number(const char *text)
{
    uint64_t n;

    return str_to_u64(str_of(text), 65535, &n) ? (long)n : -1;
}

/* Exits for -V, -h and mistakes. */
static struct command parse(int argc, char **argv)
{
    enum { OPT_WORKER = 256, OPT_WORKERS, OPT_SLAB, OPT_ADOPTS };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 't'},
        {"dump", no_argument, NULL, 'T'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"worker", required_argument, NULL, OPT_WORKER},
        {"workers", required_argument, NULL, OPT_WORKERS},
        {"slab", required_argument, NULL, OPT_SLAB},
        {"adopts", required_argument, NULL, OPT_ADOPTS},
        {NULL, 0, NULL, 0},
    };
    struct command c = {.config = DEFAULT_CONFIG, .worker = -1, .workers = -1, .slab = -1};
    int o;

    while ((o = getopt_long(argc, argv, "c:tTvVh", options, NULL)) != -1)
        switch (o) {
        case 'c':
            c.config = optarg;
            break;
        case 't':
            c.mode = CHECK;
            break;
        case 'T':
            c.mode = DUMP;
            break;
        case 'v':
            c.verbose = true;
            break;
        case 'V':
            version_print(stdout);
            exit(EXIT_SUCCESS);
        case 'h':
            fputs(usage_text, stdout);
            exit(EXIT_SUCCESS);
        case OPT_WORKER:
            c.worker = number(optarg);
            break;
        case OPT_WORKERS:
            c.workers = number(optarg);
            break;
        case OPT_SLAB:
            c.slab = number(optarg);
            break;
        case OPT_ADOPTS:
            c.adopts = optarg;
            break;
        default:
            fputs(usage_text, stderr);
            exit(EXIT_USAGE);
        }
    if (optind < argc) {
        fprintf(stderr, "sluice: unexpected argument \"%s\"\n%s", argv[optind], usage_text);
        exit(EXIT_USAGE);
    }
    return c;
}

/* NULL: it has mistakes, and they are on stderr. */
static struct conf *load(const char *path)
{
    struct conf_diags d;
    struct conf *conf;

    conf_diags_init(&d);
    conf = conf_load(path, &d);
    if (d.list.n) {
        struct str text = conf_diags_text(&d.arena, &d);

        fwrite(text.p, 1, text.n, stderr);
    }
    conf_diags_release(&d);
    return conf;
}

/* Also the files that are only read at the start. */
static int check(const struct command *c, const struct conf *conf)
{
    struct conf_diags d;
    struct material m;
    int rc;

    conf_diags_init(&d);
    rc = material_load(&m, conf, &d);
    if (rc == 0) {
        material_release(&m);
        if (!c->adopts) /* that is a trial, and stdout may be somebody's access log */
            printf("%s: fine\n", c->config);
    } else {
        struct str text = conf_diags_text(&d.arena, &d);

        fwrite(text.p, 1, text.n, stderr);
    }
    conf_diags_release(&d);
    return rc == 0 ? EXIT_SUCCESS : EXIT_CONFIG;
}

static int dump(const struct conf *conf)
{
    char *text = conf_dump(conf, true);
    int rc = puts(text) < 0 || fflush(stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

    xfree(text);
    return rc;
}

/* The whole life of the proxy. The path is made absolute, for status shows it to people who are
 * elsewhere; symbolic links in it stay, so that a reload follows them anew. */
static int supervise(const struct command *c, struct conf *conf, struct handover *h)
{
    char here[PATH_MAX], path[2 * PATH_MAX];
    const char *shown = c->config;

    if (shown[0] != '/' && getcwd(here, sizeof(here))) {
        snprintf(path, sizeof(path), "%s/%s", here, shown);
        shown = path;
    }
    return supervisor_run(&(struct supervisor_options){.config = shown,
                                                       .conf = conf,
                                                       .program = c->program,
                                                       .verbose = c->verbose,
                                                       .handover = h});
}

/* Where the program is, as whoever started it said: an upgrade may replace a link in it. */
static const char *program_path(const char *name, char *buf, size_t cap)
{
    char here[PATH_MAX];
    ssize_t n;

    if (name[0] == '/')
        return name;
    if (strchr(name, '/') && getcwd(here, sizeof(here))) {
        snprintf(buf, cap, "%s/%s", here, name);
        return buf;
    }
    n = readlink("/proc/self/exe", buf, cap - 1);
    buf[n < 0 ? 0 : n] = '\0';
    return buf;
}

static int serve(const struct command *c)
{
    struct handover h;
    int rc = handover_take(&h), status = EXIT_FAILURE;
    struct conf *conf;

    if (rc >= 0) {
        conf = load(c->config);
        if (conf || rc == 1)
            status = supervise(c, conf, rc == 1 ? &h : NULL);
        else
            status = EXIT_CONFIG;
    }
    handover_release(&h);
    return status;
}

static int run(const struct command *c)
{
    struct conf *conf = NULL;
    int rc = EXIT_SUCCESS;

    if (c->adopts && strcmp(c->adopts, HANDOVER_VERSION) != 0) {
        fputs("sluice: cannot take over from this version: restart it\n", stderr);
        return EXIT_USAGE;
    }
    if (c->mode == RUN)
        return serve(c);
    conf = load(c->config);
    if (!conf)
        return EXIT_CONFIG;
    if (c->mode == CHECK)
        rc = check(c, conf);
    else
        rc = dump(conf);
    conf_free(conf);
    return rc;
}

static int run_worker(const struct command *c)
{
    char who[32];

    if (c->worker < 0 || c->workers < 1 || c->slab < 0)
        return EXIT_USAGE;
    snprintf(who, sizeof(who), "worker/%ld", c->worker);
    log_init(who, c->verbose ? LOG_DEBUG : LOG_INFO);
    return worker_run(&(struct worker_options){.slot = (unsigned)c->worker,
                                               .workers = (unsigned)c->workers,
                                               .slab = (unsigned)c->slab});
}

/* Descriptors 0 to 2 exist, so that no socket ever becomes somebody's stderr. */
static void open_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    sys_close(fd);
}

int main(int argc, char **argv)
{
    char program[2 * PATH_MAX];
    struct command c;

    open_standard_fds();
    c = parse(argc, argv);
    c.program = program_path(argv[0], program, sizeof(program));
    if (c.worker != -1 || c.workers != -1)
        return run_worker(&c);
    log_init("supervisor", c.verbose ? LOG_DEBUG : LOG_INFO);
    return run(&c);
}

/*
 * router.c - what routing costs, and what a big snapshot costs a worker.
 *
 *   router [SECONDS]
 *
 * First the time of a match among 10 to 10,000 hosts, and among 10,000 paths of one host, each
 * asked for in random order so that caches do not hide what memory costs. Then a snapshot with
 * 10,000 routes, 1,000 services and 10,000 endpoints: how long it takes to parse and to make a
 * router of it, and how much memory stays.
 */
#include "proxy/route/router.h"
#include "config/snapshot.h"
#include "proxy/base/check.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUERIES   16384 /* what is asked for, again and again */
#define SERVICES  1000
#define ROUTES    10000
#define ENDPOINTS 10 /* of a service */

struct query {
    char host[40], path[40];
    uint8_t nhost, npath;
};

/* CPU time of this process: other work on the machine does not count. */
static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mb(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
        abort();
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* N hosts with a route each, or one host with N. With SERVICES the endpoints too. */
static char *document(size_t n, size_t hosts, size_t services)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        abort();
    fprintf(f, "{\"version\": 1, \"listeners\": {\"http\": {\"address\": \"127.0.0.1:0\"}}, "
               "\"services\": {");
    for (size_t i = 0; i < services; i++) {
        fprintf(f, "%s\"service-%zu\": {\"versions\": {\"v1\": {\"endpoints\": [",
                i ? ", " : "", i);
        for (size_t k = 0; k < ENDPOINTS; k++)
            fprintf(f, "%s\"10.%zu.%zu.%zu:8080\"", k ? ", " : "", i / 256, i % 256, k + 1);
        fprintf(f, "]}}}");
    }
    fprintf(f, "}, \"routes\": [");
    for (size_t i = 0; i < n; i++)
        fprintf(f,
                "%s{\"host\": \"shop-%zu.example.com\", \"path\": \"/part-%zu/\", "
                "\"service\": \"service-%zu\"}",
                i ? ", " : "", i % hosts, i / hosts, i % services);
    fprintf(f, "]}");
    fclose(f);
    return text;
}

static struct conf *load(size_t n, size_t hosts, size_t services)
{
    char *text = document(n, hosts, services);
    struct conf_diags d;
    struct conf *c;

    conf_diags_init(&d);
    c = conf_parse(str_of(text), NULL, &d);
    if (!c)
        abort();
    conf_diags_release(&d);
    free(text);
    return c;
}

static struct query *ask(size_t n, size_t hosts)
{
    struct query *all = xcalloc(QUERIES, sizeof(*all));
    struct rng rng;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < QUERIES; i++) {
        size_t k = rng_below(&rng, (uint32_t)n);
        struct query *q = &all[i];

        q->nhost =
            (uint8_t)snprintf(q->host, sizeof(q->host), "shop-%zu.example.com", k % hosts);
        q->npath = (uint8_t)snprintf(q->path, sizeof(q->path), "/part-%zu/x", k / hosts);
    }
    return all;
}

static void run(size_t n, size_t hosts, double seconds)
{
    struct conf *c = load(n, hosts, 10);
    struct router *r = router_new(c, 42);
    struct query *all = ask(n, hosts);
    double start = cpu_seconds(), took = 0;
    unsigned long done = 0;

    while (took < seconds) {
        for (size_t i = 0; i < QUERIES; i++) {
            const struct query *q = &all[i];

            if (!router_match(r, (struct str){q->host, q->nhost},
                              (struct str){q->path, q->npath}, NULL, NULL))
                abort();
        }
        done += QUERIES;
        took = cpu_seconds() - start;
    }
    printf("%6zu routes of %5zu hosts   %6.1f ns\n", n, hosts, took / (double)done * 1e9);
    xfree(all);
    router_free(r);
    conf_free(c);
}

static void big_snapshot(void)
{
    struct conf *c = load(ROUTES, ROUTES, SERVICES);
    struct snapshot s;
    struct router *r;
    char *doc, *why = NULL;
    double before, start, parsed, made, trimmed;

    snapshot_number(c);
    doc = snapshot_write(c, 1);
    conf_free(c);
    mem_trim();
    before = resident_mb();
    start = cpu_seconds();
    if (snapshot_parse(str_of(doc), &s, &why) < 0)
        abort();
    parsed = cpu_seconds();
    r = router_new(s.conf, 42);
    made = cpu_seconds();
    mem_trim();
    trimmed = cpu_seconds();
    printf("snapshot of %.1f MB: parsed in %.0f ms, router in %.1f ms, trimmed in %.1f ms, "
           "%.1f MB more resident\n",
           (double)strlen(doc) / 1e6, (parsed - start) * 1e3, (made - parsed) * 1e3,
           (trimmed - made) * 1e3, resident_mb() - before);
    router_free(r);
    conf_free(s.conf);
    xfree(doc);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;

    big_snapshot();
    for (size_t n = 10; n <= ROUTES; n *= 10)
        run(n, n, seconds);
    run(ROUTES, 1, seconds);
    return 0;
}

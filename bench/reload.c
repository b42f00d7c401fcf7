/*
 * reload.c - what a new snapshot costs a worker, all of it.
 *
 *   reload [ROUNDS]
 *
 * A plane takes snapshots of 1,000 services, 10,000 routes and 10,000 endpoints, one after the
 * other, as a worker does: parse, build tables beside those of the one before, swap, let go of
 * the old. Once with services that say nothing, once with limits, TLS and an outlier rule each.
 * Printed is the least CPU time of a round; what other programs do to the caches only adds.
 */
#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/stream/plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SERVICES  1000
#define ROUTES    10000
#define ENDPOINTS 10 /* of a service */

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void write_services(FILE *f, const char *settings)
{
    for (size_t i = 0; i < SERVICES; i++) {
        fprintf(f, "%s\"service-%zu\": {%s\"versions\": {\"v1\": {\"endpoints\": [",
                i ? ", " : "", i, settings);
        for (size_t k = 0; k < ENDPOINTS; k++)
            fprintf(f, "%s\"10.%zu.%zu.%zu:8080\"", k ? ", " : "", i / 256, i % 256, k + 1);
        fprintf(f, "]}}}");
    }
}

/* The snapshot that the controller would publish for it; malloc'd (xfree). */
static char *snapshot(const char *settings)
{
    char *text = NULL, *doc;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    struct conf_diags d;
    struct conf *c;

    if (!f)
        abort();
    fprintf(f, "{\"version\": 1, \"listeners\": {\"http\": {\"address\": \"127.0.0.1:0\"}}, "
               "\"services\": {");
    write_services(f, settings);
    fprintf(f, "}, \"routes\": [");
    for (size_t i = 0; i < ROUTES; i++)
        fprintf(f, "%s{\"host\": \"shop-%zu.example.com\", \"service\": \"service-%zu\"}",
                i ? ", " : "", i, i % SERVICES);
    fprintf(f, "]}");
    fclose(f);
    conf_diags_init(&d);
    c = conf_parse(str_of(text), NULL, &d);
    if (!c)
        abort();
    conf_diags_release(&d);
    free(text);
    snapshot_number(c);
    doc = snapshot_write(c, 1);
    conf_free(c);
    return doc;
}

static double parse_once(const char *doc)
{
    double start = cpu_ms();
    struct snapshot s;
    char *why;

    if (snapshot_parse(str_of(doc), &s, &why) < 0)
        abort();
    conf_free(s.conf);
    return cpu_ms() - start;
}

static double apply_once(struct plane *p, const char *doc)
{
    double start = cpu_ms();
    uint64_t generation;
    char *why;

    if (plane_apply_snapshot(p, str_of(doc), &generation, &why) < 0)
        abort();
    return cpu_ms() - start;
}

static void run(const char *what, const char *settings, unsigned rounds)
{
    struct stats *stats = xcalloc(1, sizeof(*stats));
    struct loop *loop = loop_new();
    struct plane *p = plane_new(loop, &(struct plane_options){0, 1, stats, 42});
    char *doc = snapshot(settings);
    double parsed = 1e9, applied = 1e9, first = apply_once(p, doc);

    for (unsigned i = 0; i < rounds; i++) {
        double a = parse_once(doc), b = apply_once(p, doc);

        parsed = a < parsed ? a : parsed;
        applied = b < applied ? b : applied;
    }
    printf("%-8s %4.1f MB   first %6.1f ms   again %6.1f ms   of that parsing %6.1f ms\n", what,
           (double)strlen(doc) / 1e6, first, applied, parsed);
    plane_free(p);
    loop_free(loop);
    xfree(doc);
    xfree(stats);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;

    run("plain", "", rounds);
    run("limits",
        "\"limits\": {\"max_connections\": 100, \"max_pending\": 10}, "
        "\"outlier\": {\"consecutive_errors\": 5}, \"tls\": {}, ",
        rounds);
    return 0;
}

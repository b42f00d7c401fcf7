/*
 * dns.c - names and their answers.
 *
 * An entry is a name that is wanted; it has its timer running or a job under way, never both. A
 * job is one round of questions for it and outlives it when the name is forgotten meanwhile: it
 * then ends without effect. Jobs end inside c-ares, so their end starts no question.
 */
#include "control/link/dns.h"
#include "config/endpoint.h"
#include "control/link/dns_ares.h"
#include "control/link/dns_srv.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "proxy/base/vec.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#define JOBS_MAX  64   /* under way at a time */
#define BUSY_MS   20   /* until a name that found no room for its job tries again */
#define FIRST_MS  2    /* first questions are spread by so much for each name */
#define FOUND_MAX 4096 /* addresses that are looked at in one job */
#define TYPE_SRV  33
#define CLASS_IN  1

struct job;

struct entry { /* owned by dns */
    struct dns *dns;
    char *source;
    struct timer timer;
    struct job *job;
    bool wanted;
    enum dns_state state;
    char error[120];
    VEC(struct dns_address) addresses;
    uint64_t since_ms, lookups, failures;
    LIST_ENTRY(entry) link;
};

struct question { /* one family of one host */
    struct job *job;
    uint16_t port, priority, weight;
    uint64_t origin;
};

struct job { /* owned by dns */
    struct dns *dns;
    struct entry *entry; /* NULL: nobody wants it any more */
    unsigned pending;
    struct question *questions;
    VEC(struct dns_address) found;
    uint32_t ttl_s;
    int status;  /* of the first question that failed, ARES_SUCCESS: none */
    int missing; /* ARES_ENOTFOUND or ARES_ENODATA: the latest empty answer */
    bool reused; /* something of the last answer stands in for a question that failed */
    LIST_ENTRY(job) link;
};

struct dns {
    struct loop *loop;
    struct dns_ares ares;
    struct conf_dns conf; /* times only */
    dns_cb *cb;
    void *arg;
    struct rng rng;
    unsigned njobs;
    size_t nentries;
    LIST_HEAD(, entry) entries;
    LIST_HEAD(, job) jobs;
};

static void fill_row(const struct entry *e, struct dns_row *row)
{
    *row = (struct dns_row){.state = e->state,
                            .error = e->error,
                            .addresses = e->addresses.v,
                            .naddresses = e->addresses.n,
                            .since_ms = e->since_ms,
                            .lookups = e->lookups,
                            .failures = e->failures};
}

/* --- addresses --- */

static uint64_t origin_of(struct str host, uint16_t port, int family)
{
    return hash64(host, (uint64_t)port << 16 | (uint64_t)family);
}

/* Nobody can be connected to at these: wildcard, multicast, broadcast, mapped, link-local. */
static bool is_possible(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        uint32_t ip = ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr);
        return ip >> 24 != 0 && ip >> 28 < 0xe;
    }
    const struct in6_addr *ip = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    return sa->sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(ip) &&
           !IN6_IS_ADDR_MULTICAST(ip) && !IN6_IS_ADDR_V4MAPPED(ip) &&
           !IN6_IS_ADDR_LINKLOCAL(ip);
}

static void add_found(struct job *j, const struct question *q, const struct sockaddr *sa)
{
    char ip[INET6_ADDRSTRLEN];
    bool v6 = sa->sa_family == AF_INET6;
    const void *raw =
        v6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr
           : (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;

    if (j->found.n >= FOUND_MAX || !is_possible(sa))
        return;
    struct dns_address *a = vec_add(&j->found);
    *a =
        (struct dns_address){.priority = q->priority, .weight = q->weight, .origin = q->origin};
    inet_ntop(sa->sa_family, raw, ip, sizeof(ip));
    snprintf(a->text, sizeof(a->text), v6 ? "[%s]:%u" : "%s:%u", ip, q->port);
}

static int in_order(const void *a, const void *b)
{
    const struct dns_address *x = a, *y = b;

    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return strcmp(x->text, y->text);
}

/* Sorted, each address once, at most DNS_ADDRESSES. */
static size_t settle(struct dns_address *v, size_t n)
{
    size_t kept = 0;

    if (n > 0)
        qsort(v, n, sizeof(*v), in_order);
    for (size_t i = 0; i < n && kept < DNS_ADDRESSES; i++) {
        bool seen = false;
        for (size_t k = 0; k < kept && !seen; k++)
            seen = strcmp(v[k].text, v[i].text) == 0;
        if (!seen)
            v[kept++] = v[i];
    }
    return kept;
}

static bool same_addresses(const struct entry *e, const struct job *j)
{
    if (e->addresses.n != j->found.n)
        return false;
    for (size_t i = 0; i < j->found.n; i++) {
        const struct dns_address *a = &e->addresses.v[i], *b = &j->found.v[i];
        if (in_order(a, b) != 0 || a->weight != b->weight)
            return false;
    }
    return true;
}

/* --- the end of a job --- */

static void job_free(struct job *j)
{
    LIST_REMOVE(j, link);
    j->dns->njobs--;
    vec_release(&j->found);
    xfree(j->questions);
    xfree(j);
}

static void set_state(struct entry *e, enum dns_state state, int status)
{
    const char *why = status == ARES_ENOTFOUND  ? "no such name"
                      : status == ARES_ENODATA  ? "the name has no addresses"
                      : status == ARES_ETIMEOUT ? "no answer"
                      : status                  ? ares_strerror(status)
                                                : "";

    snprintf(e->error, sizeof(e->error), "%s", why);
    if (e->state != state)
        e->since_ms = loop_wall_ms(e->dns->loop);
    e->state = state;
}

/* Until the next question: what the answer says, within bounds, a little less by chance. */
static uint64_t next_ms(struct dns *d, const struct entry *e, uint32_t ttl_s)
{
    uint64_t ms = (uint64_t)ttl_s * 1000;

    if (e->state == DNS_FAILING)
        ms = d->conf.negative_ms;
    else if (ms > d->conf.max_ttl_ms)
        ms = d->conf.max_ttl_ms;
    if (e->state == DNS_GOOD && ms < d->conf.min_ttl_ms)
        return d->conf.min_ttl_ms;
    return ms - rng_below(&d->rng, (uint32_t)(ms / 10) + 1);
}

/* What J found becomes the answer of its entry. True: other addresses than before. */
static bool adopt(struct entry *e, struct job *j)
{
    j->found.n = settle(j->found.v, j->found.n);
    if (j->found.n == 0) {
        set_state(e, DNS_FAILING, j->status ? j->status : j->missing);
        return false;
    }
    set_state(e, j->reused ? DNS_FAILING : DNS_GOOD, j->reused ? j->status : 0);
    if (same_addresses(e, j))
        return false;
    vec_reserve(&e->addresses, j->found.n);
    memcpy(e->addresses.v, j->found.v, j->found.n * sizeof(*j->found.v));
    e->addresses.n = j->found.n;
    return true;
}

static void job_end(struct job *j)
{
    struct dns *d = j->dns;
    struct entry *e = j->entry;
    struct dns_row row;

    if (!e) {
        job_free(j);
        return;
    }
    enum dns_state before = e->state;
    bool changed = adopt(e, j);
    uint32_t ttl_s = j->ttl_s;
    e->job = NULL;
    e->lookups++;
    e->failures += e->state == DNS_FAILING;
    job_free(j);
    timer_start(&e->timer, next_ms(d, e, ttl_s));
    if (!changed && e->state == before)
        return;
    fill_row(e, &row);
    d->cb(d->arg, str_of(e->source), &row, changed);
}

static void job_done_one(struct job *j)
{
    if (--j->pending == 0)
        job_end(j);
}

/* --- questions --- */

/* Q could not be asked: what it gave the last time stays. */
static void reuse(struct job *j, const struct question *q)
{
    const struct entry *e = j->entry;

    for (size_t i = 0; e && i < e->addresses.n && j->found.n < FOUND_MAX; i++) {
        if (e->addresses.v[i].origin != q->origin)
            continue;
        struct dns_address *a = vec_add(&j->found);
        *a = e->addresses.v[i];
        a->priority = q->priority;
        a->weight = q->weight;
        j->reused = true;
    }
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct question *q = arg;
    struct job *j = q->job;

    (void)timeouts;
    for (const struct ares_addrinfo_node *n = result ? result->nodes : NULL; n;
         n = n->ai_next) {
        uint32_t ttl = n->ai_ttl < 0 ? 0 : (uint32_t)n->ai_ttl;
        j->ttl_s = ttl < j->ttl_s ? ttl : j->ttl_s;
        add_found(j, q, n->ai_addr);
    }
    if (result)
        ares_freeaddrinfo(result);
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA) {
        j->missing = status;
    } else if (status != ARES_SUCCESS) {
        j->status = j->status ? j->status : status;
        reuse(j, q);
    }
    job_done_one(j);
}

/* Both families of HOST; Q has room for two. */
static void ask(struct job *j, struct question *q, const char *host, const struct dns_srv *of)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        /* not sorted: that would open sockets to what a stranger says */
        struct ares_addrinfo_hints hints = {
            .ai_flags = ARES_AI_NOSORT, .ai_family = families[i], .ai_socktype = SOCK_STREAM};
        q[i] = (struct question){j, of->port, of->priority, of->weight,
                                 origin_of(str_of(host), of->port, families[i])};
        j->pending++;
        ares_getaddrinfo(j->dns->ares.channel, host, NULL, &hints, on_addresses, &q[i]);
    }
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *msg, int n)
{
    struct job *j = arg;
    struct dns_srv list[DNS_SRV_MAX];
    int count = 0;

    (void)timeouts;
    if (status == ARES_SUCCESS)
        count = dns_srv_parse(msg, (size_t)n, list, DNS_SRV_MAX, &j->ttl_s);
    if (count < 0)
        status = ARES_EBADRESP;
    else if (status == ARES_SUCCESS && count == 0)
        status = ARES_ENODATA;
    j->status = status;
    if (status == ARES_SUCCESS && j->entry) {
        j->questions = xcalloc((size_t)count * 2, sizeof(*j->questions));
        for (int i = 0; i < count; i++)
            ask(j, &j->questions[2 * i], list[i].target, &list[i]);
    }
    job_done_one(j);
}

static void on_due(void *arg)
{
    struct entry *e = arg;
    struct dns *d = e->dns;
    struct endpoint_query q = endpoint_query(str_of(e->source));
    struct dns_srv plain = {.port = q.port, .weight = 1};

    if (d->njobs >= JOBS_MAX || !d->ares.channel) {
        timer_start(&e->timer, BUSY_MS);
        return;
    }
    struct job *j = e->job = xcalloc(1, sizeof(*j));
    char *name = xstrndup(q.name.p, q.name.n);
    j->dns = d;
    j->entry = e;
    j->ttl_s = UINT32_MAX;
    j->missing = ARES_ENODATA;
    LIST_INSERT_HEAD(&d->jobs, j, link);
    d->njobs++;
    j->pending = 1; /* this function: answers may come from the hosts file at once */
    if (q.port == 0) {
        j->pending++;
        ares_search(d->ares.channel, name, CLASS_IN, TYPE_SRV, on_srv, j);
    } else {
        j->questions = xcalloc(2, sizeof(*j->questions));
        ask(j, j->questions, name, &plain);
    }
    xfree(name);
    dns_ares_arm(&d->ares);
    job_done_one(j);
}

/* --- names --- */

static struct entry *find(const struct dns *d, struct str source)
{
    struct entry *e;

    LIST_FOREACH (e, &d->entries, link)
        if (str_eq(str_of(e->source), source))
            return e;
    return NULL;
}

static void entry_free(struct entry *e)
{
    if (e->job)
        e->job->entry = NULL;
    timer_stop(&e->timer);
    LIST_REMOVE(e, link);
    e->dns->nentries--;
    vec_release(&e->addresses);
    xfree(e->source);
    xfree(e);
}

/* Addresses of an earlier run get their origin back where the name tells it. */
static void take_known(struct entry *e, const struct dns_address *known, size_t n)
{
    struct endpoint_query q = endpoint_query(str_of(e->source));

    for (size_t i = 0; i < n && i < DNS_ADDRESSES; i++) {
        struct dns_address *a = vec_add(&e->addresses);
        *a = known[i];
        if (q.port)
            a->origin = origin_of(q.name, q.port, a->text[0] == '[' ? AF_INET6 : AF_INET);
    }
}

void dns_begin(struct dns *d)
{
    struct entry *e;

    LIST_FOREACH (e, &d->entries, link)
        e->wanted = false;
}

void dns_want(struct dns *d, struct str source, const struct dns_address *known, size_t n)
{
    struct entry *e = find(d, source);

    if (!e) {
        e = xcalloc(1, sizeof(*e));
        e->dns = d;
        e->source = xstrndup(source.p, source.n);
        take_known(e, known, n);
        timer_init(&e->timer, d->loop, on_due, e);
        timer_start(&e->timer, d->nentries++ * FIRST_MS);
        LIST_INSERT_HEAD(&d->entries, e, link);
    }
    e->wanted = true;
}

void dns_end(struct dns *d)
{
    struct entry *e, *next;

    for (e = LIST_FIRST(&d->entries); e; e = next) {
        next = LIST_NEXT(e, link);
        if (!e->wanted)
            entry_free(e);
    }
}

bool dns_get(const struct dns *d, struct str source, struct dns_row *row)
{
    const struct entry *e = find(d, source);

    if (e)
        fill_row(e, row);
    return e != NULL;
}

/* --- life --- */

static int open_channel(struct dns *d, const struct conf_dns *conf)
{
    d->conf = *conf;
    d->conf.resolvers = NULL;
    return dns_ares_open(&d->ares, d->loop, conf);
}

struct dns *dns_new(struct loop *l, const struct conf_dns *conf, dns_cb *cb, void *arg,
                    const char **why)
{
    struct dns *d = xcalloc(1, sizeof(*d));
    uint64_t seed;

    rng_secure(&seed, sizeof(seed));
    rng_seed(&d->rng, seed);
    d->loop = l;
    d->cb = cb;
    d->arg = arg;
    LIST_INIT(&d->entries);
    LIST_INIT(&d->jobs);
    int rc = open_channel(d, conf);
    if (rc == ARES_SUCCESS)
        return d;
    *why = ares_strerror(rc);
    xfree(d);
    return NULL;
}

/* Questions under way end without effect. */
static void abandon_jobs(struct dns *d)
{
    struct job *j;

    LIST_FOREACH (j, &d->jobs, link) {
        if (!j->entry)
            continue;
        j->entry->job = NULL;
        timer_start(&j->entry->timer, 0);
        j->entry = NULL;
    }
    dns_ares_close(&d->ares);
}

void dns_configure(struct dns *d, const struct conf_dns *conf)
{
    struct entry *e;

    abandon_jobs(d);
    if (open_channel(d, conf) != ARES_SUCCESS)
        LIST_FOREACH (e, &d->entries, link)
            set_state(e, DNS_FAILING, ARES_EBADSTR);
    LIST_FOREACH (e, &d->entries, link)
        timer_start(&e->timer, 0);
}

void dns_free(struct dns *d)
{
    struct entry *e;

    if (!d)
        return;
    abandon_jobs(d);
    while ((e = LIST_FIRST(&d->entries)))
        entry_free(e);
    xfree(d);
}

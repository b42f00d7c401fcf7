/* dns_ares.c - c-ares on the loop. */
#include "control/link/dns_ares.h"
#include "config/conf.h"
#include "config/units.h"
#include "proxy/base/mem.h"

#define TRIES 2 /* of each server */

struct dns_socket { /* owned by the list, as long as c-ares wants to know of it */
    struct dns_ares *owner;
    struct watch watch;
    ares_socket_t fd;
    LIST_ENTRY(dns_socket) link;
};

/* The watch may be stopped and its socket freed in here: nothing is touched afterwards. */
static void on_socket(void *arg, unsigned what)
{
    struct dns_socket *s = arg;
    struct dns_ares *a = s->owner;
    ares_socket_t fd = s->fd;

    ares_process_fd(a->channel, what & WATCH_READ ? fd : ARES_SOCKET_BAD,
                    what & WATCH_WRITE ? fd : ARES_SOCKET_BAD);
    dns_ares_arm(a);
}

static void socket_free(struct dns_socket *s)
{
    watch_stop(&s->watch);
    LIST_REMOVE(s, link);
    xfree(s);
}

static void on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_ares *a = arg;
    struct dns_socket *s;

    LIST_FOREACH (s, &a->sockets, link)
        if (s->fd == fd)
            break;
    if (!readable && !writable) {
        if (s)
            socket_free(s);
        return;
    }
    if (!s) {
        s = xcalloc(1, sizeof(*s));
        s->owner = a;
        s->fd = fd;
        LIST_INSERT_HEAD(&a->sockets, s, link);
    }
    watch_stop(&s->watch);
    watch_start(&s->watch, a->loop, fd,
                (readable ? WATCH_READ : 0) | (writable ? WATCH_WRITE : 0), on_socket, s);
}

static void on_timer(void *arg)
{
    struct dns_ares *a = arg;

    ares_process_fd(a->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_ares_arm(a);
}

void dns_ares_arm(struct dns_ares *a)
{
    struct timeval tv, *next = ares_timeout(a->channel, NULL, &tv);

    if (next)
        timer_start(&a->timer,
                    (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1);
    else
        timer_stop(&a->timer);
}

/* "127.0.0.1:5353,[::1]:53" */
static char *server_list(const struct conf_dns *conf)
{
    struct arena a;
    char *list = xstrdup(""), *longer;

    arena_init(&a, NULL, 0);
    for (size_t i = 0; i < conf->nresolvers; i++) {
        struct str host = conf->resolvers[i];
        uint16_t port = 53;
        if (!unit_ip(host) && !conf_address(&a, conf->resolvers[i], &host, &port))
            continue;
        bool v6 = memchr(host.p, ':', host.n) != NULL;
        longer = xasprintf(v6 ? "%s%s[%.*s]:%u" : "%s%s%.*s:%u", list, i ? "," : "",
                           STR_ARG(host), port);
        xfree(list);
        list = longer;
    }
    arena_release(&a);
    return list;
}

int dns_ares_open(struct dns_ares *a, struct loop *l, const struct conf_dns *conf)
{
    static char lookups[] = "fb"; /* the hosts file first */
    struct ares_options o = {.timeout = (int)conf->timeout_ms,
                             .tries = TRIES,
                             .lookups = lookups,
                             .sock_state_cb = on_interest,
                             .sock_state_cb_data = a};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;

    a->loop = l;
    a->channel = NULL;
    LIST_INIT(&a->sockets);
    timer_init(&a->timer, l, on_timer, a);
    if (conf->nresolvers > 0) { /* theirs alone: the system's search list is not for them */
        o.flags = ARES_FLAG_NOSEARCH;
        mask |= ARES_OPT_FLAGS | ARES_OPT_DOMAINS;
    }
    int rc = ares_init_options(&a->channel, &o, mask);
    if (rc != ARES_SUCCESS) {
        a->channel = NULL;
        return rc;
    }
    if (conf->nresolvers > 0) {
        char *list = server_list(conf);
        rc = ares_set_servers_ports_csv(a->channel, list);
        xfree(list);
    }
    if (rc != ARES_SUCCESS)
        dns_ares_close(a);
    return rc;
}

void dns_ares_close(struct dns_ares *a)
{
    struct dns_socket *s;

    if (a->channel)
        ares_destroy(a->channel);
    a->channel = NULL;
    timer_stop(&a->timer);
    while ((s = LIST_FIRST(&a->sockets)))
        socket_free(s);
}

/*
 * resolve.c - host names of endpoints, looked up once, at load.
 *
 * IPv4 comes first: a service on this machine that is written "localhost" more often listens on
 * 127.0.0.1 than on ::1. The latest answer is kept, for long lists of one host's ports.
 */
#include "config/load.h"

#include <arpa/inet.h>
#include <netdb.h>

static int lookup(const char *name, int family, char text[INET6_ADDRSTRLEN])
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list;
    int rc = getaddrinfo(name, NULL, &hints, &list);

    if (rc != 0)
        return rc;
    rc = getnameinfo(list->ai_addr, list->ai_addrlen, text, INET6_ADDRSTRLEN, NULL, 0,
                     NI_NUMERICHOST);
    freeaddrinfo(list);
    return rc;
}

bool load_resolve(struct loader *l, struct str name, struct str *host, const char **why)
{
    char text[INET6_ADDRSTRLEN];
    int rc;

    if (l->last_name.n > 0 && str_eq(l->last_name, name)) {
        *host = l->last_host;
        return true;
    }

    struct str name0 = arena_str(&l->tmp, name);

    rc = lookup(name0.p, AF_INET, text);
    if (rc != 0)
        rc = lookup(name0.p, AF_INET6, text);
    if (rc != 0) {
        *why = gai_strerror(rc);
        return false;
    }
    *host = arena_str(l->a, str_of(text));
    l->last_name = name0;
    l->last_host = *host;
    return true;
}

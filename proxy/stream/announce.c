/* announce.c - the PROXY header that tells an endpoint who a request comes from. */
#include "proxy/stream/announce.h"

#include "proxy/upstream/upconn1.h"

#include <sys/socket.h>

/* IP (16 bytes, IPv4 mapped) as an address; as IPv6 in any case when WIDE. */
static void fill(union proxy_address *a, const uint8_t ip[16], in_port_t port, bool wide)
{
    *a = (union proxy_address){0};
    if (!wide) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = port;
        memcpy(&a->v4.sin_addr, ip + 12, 4);
        return;
    }
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = port;
    memcpy(&a->v6.sin6_addr, ip, 16);
}

static in_port_t port_of(const union proxy_address *a)
{
    return a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port;
}

static bool is_v4(const uint8_t ip[16])
{
    return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)ip);
}

static struct str announcement(const struct stream *s, int version, char room[PROXY_HEADER_OUT])
{
    union proxy_address peer = {0}, local = {0}, from = {0}, to = {0};
    socklen_t peer_len = sizeof(peer), local_len = sizeof(local);
    uint8_t client[16], there[16], here[16];
    bool known = network_ip(s->client, client) &&
                 getpeername(s->to.fd, &peer.any, &peer_len) == 0 &&
                 getsockname(s->to.fd, &local.any, &local_len) == 0 &&
                 network_of(&peer.any, there) && network_of(&local.any, here);

    if (known) {
        bool wide = !is_v4(client) || !is_v4(here);
        bool itself = memcmp(client, there, sizeof(client)) == 0;

        fill(&from, client, itself ? port_of(&peer) : 0, wide);
        fill(&to, here, port_of(&local), wide);
    }
    return (struct str){room, proxy_header_write(room, version, &from.any, &to.any)};
}

struct upconn *announce_connect(const struct stream *s, struct endpoint *ep, int version,
                                loop_cb *on_open)
{
    struct upconn *u = upconn_connect(ep, on_open);
    char room[PROXY_HEADER_OUT];

    if (u)
        upconn1_announce(u, announcement(s, version, room));
    return u;
}

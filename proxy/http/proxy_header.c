/*
 * proxy_header.c - the PROXY protocol (proxy-protocol.txt of HAProxy, sections 2.1 and 2.2).
 *
 * Version 1 is one line of at most 107 bytes, version 2 a fixed part of 16 bytes that says how
 * much follows. Extensions (TLVs) are bounded and skipped.
 */
#include "proxy/http/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>

#define V1_MAX   107 /* with its CRLF */
#define V2_FIXED 16

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };

/* ---- version 1 ---- */

/* "0" to "65535" without leading zeros. */
static bool read_port(struct str text, in_port_t *port)
{
    uint64_t value;

    if (text.n > 5 || !str_to_u64(text, 65535, &value) || (text.n > 1 && text.p[0] == '0'))
        return false;
    *port = htons((uint16_t)value);
    return true;
}

static bool read_ip(int family, struct str text, void *out)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n))
        return false;
    str_copy(copy, sizeof(copy), text);
    return inet_pton(family, copy, out) == 1;
}

static bool read_address(int family, struct str ip, struct str port, union proxy_address *a)
{
    a->any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        return read_ip(family, ip, &a->v4.sin_addr) && read_port(port, &a->v4.sin_port);
    return read_ip(family, ip, &a->v6.sin6_addr) && read_port(port, &a->v6.sin6_port);
}

/* LINE without its CRLF, behind "PROXY ". */
static bool read_line(struct str line, struct proxy_header *h)
{
    struct str word = str_cut(&line, ' '), part[4];
    int family = str_eq(word, STR("TCP4")) ? AF_INET : AF_INET6;

    if (str_eq(word, STR("UNKNOWN")))
        return true; /* whatever follows is to be ignored */
    if (family == AF_INET6 && !str_eq(word, STR("TCP6")))
        return false;
    for (size_t i = 0; i < 4; i++)
        part[i] = str_cut(&line, ' ');
    h->known = line.n == 0 && part[3].p + part[3].n == line.p &&
               read_address(family, part[0], part[2], &h->from) &&
               read_address(family, part[1], part[3], &h->to);
    return h->known;
}

static enum proxy_header_result parse_v1(struct str in, struct proxy_header *h)
{
    struct str prefix = STR("PROXY ");
    const char *end = memchr(in.p, '\n', in.n < V1_MAX ? in.n : V1_MAX);
    size_t n = end ? (size_t)(end - in.p) + 1 : in.n;

    if (memcmp(in.p, prefix.p, n < prefix.n ? n : prefix.n) != 0)
        return PROXY_HEADER_BAD;
    if (!end)
        return in.n < V1_MAX ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;
    if (n < prefix.n + 2 || end[-1] != '\r')
        return PROXY_HEADER_BAD;
    h->size = n;
    return read_line((struct str){in.p + prefix.n, n - prefix.n - 2}, h) ? PROXY_HEADER_DONE
                                                                         : PROXY_HEADER_BAD;
}

/* ---- version 2 ---- */

/* Bytes of addresses that FAMILY brings; -1: not of a stream, or unknown. */
static int address_bytes(unsigned char family)
{
    switch (family) {
    case 0: /* unspecified */
        return 0;
    case V2_TCP4:
        return 12;
    case V2_TCP6:
        return 36;
    case V2_UNIX:
        return 216;
    default:
        return -1;
    }
}

static void take_addresses(unsigned char family, const char *p, struct proxy_header *h)
{
    if (family == V2_TCP4) {
        h->from.v4.sin_family = h->to.v4.sin_family = AF_INET;
        memcpy(&h->from.v4.sin_addr, p, 4);
        memcpy(&h->to.v4.sin_addr, p + 4, 4);
        memcpy(&h->from.v4.sin_port, p + 8, 2);
        memcpy(&h->to.v4.sin_port, p + 10, 2);
    } else if (family == V2_TCP6) {
        h->from.v6.sin6_family = h->to.v6.sin6_family = AF_INET6;
        memcpy(&h->from.v6.sin6_addr, p, 16);
        memcpy(&h->to.v6.sin6_addr, p + 16, 16);
        memcpy(&h->from.v6.sin6_port, p + 32, 2);
        memcpy(&h->to.v6.sin6_port, p + 34, 2);
    } else {
        return;
    }
    h->known = true;
}

static enum proxy_header_result parse_v2(struct str in, struct proxy_header *h)
{
    const unsigned char *p = (const unsigned char *)in.p;

    if (memcmp(in.p, signature, in.n < sizeof(signature) ? in.n : sizeof(signature)) != 0)
        return PROXY_HEADER_BAD;
    if (in.n > 12 && p[12] != V2_LOCAL && p[12] != V2_PROXY)
        return PROXY_HEADER_BAD;
    if (in.n > 13 && p[12] == V2_PROXY && address_bytes(p[13]) < 0)
        return PROXY_HEADER_BAD;
    if (in.n < V2_FIXED)
        return PROXY_HEADER_MORE;

    size_t rest = (size_t)p[14] << 8 | p[15];

    if (V2_FIXED + rest > PROXY_HEADER_MAX ||
        (p[12] == V2_PROXY && rest < (size_t)address_bytes(p[13])))
        return PROXY_HEADER_BAD;
    h->size = V2_FIXED + rest;
    if (in.n < h->size)
        return PROXY_HEADER_MORE;
    if (p[12] == V2_PROXY)
        take_addresses(p[13], in.p + V2_FIXED, h);
    return PROXY_HEADER_DONE;
}

enum proxy_header_result proxy_header_parse(struct str in, struct proxy_header *h)
{
    *h = (struct proxy_header){0};
    if (in.n == 0)
        return PROXY_HEADER_MORE;
    return in.p[0] == 'P' ? parse_v1(in, h) : parse_v2(in, h);
}

/* ---- writing ---- */

static size_t write_v1(char *room, const union proxy_address *from,
                       const union proxy_address *to, int family)
{
    char ip[2][INET6_ADDRSTRLEN];
    bool v4 = family == AF_INET;

    if (family == AF_UNSPEC)
        return str_copy(room, PROXY_HEADER_OUT, STR("PROXY UNKNOWN\r\n"));
    inet_ntop(family, v4 ? (const void *)&from->v4.sin_addr : &from->v6.sin6_addr, ip[0],
              sizeof(ip[0]));
    inet_ntop(family, v4 ? (const void *)&to->v4.sin_addr : &to->v6.sin6_addr, ip[1],
              sizeof(ip[1]));
    return (size_t)snprintf(room, PROXY_HEADER_OUT, "PROXY %s %s %s %u %u\r\n",
                            v4 ? "TCP4" : "TCP6", ip[0], ip[1],
                            ntohs(v4 ? from->v4.sin_port : from->v6.sin6_port),
                            ntohs(v4 ? to->v4.sin_port : to->v6.sin6_port));
}

static size_t write_v2(char *room, const union proxy_address *from,
                       const union proxy_address *to, int family)
{
    char *p = room + V2_FIXED;

    memcpy(room, signature, sizeof(signature));
    room[12] = family == AF_UNSPEC ? V2_LOCAL : V2_PROXY;
    room[13] = (char)(family == AF_INET ? V2_TCP4 : family == AF_INET6 ? V2_TCP6 : 0);
    if (family == AF_INET) {
        memcpy(p, &from->v4.sin_addr, 4);
        memcpy(p + 4, &to->v4.sin_addr, 4);
        memcpy(p + 8, &from->v4.sin_port, 2);
        memcpy(p + 10, &to->v4.sin_port, 2);
    } else if (family == AF_INET6) {
        memcpy(p, &from->v6.sin6_addr, 16);
        memcpy(p + 16, &to->v6.sin6_addr, 16);
        memcpy(p + 32, &from->v6.sin6_port, 2);
        memcpy(p + 34, &to->v6.sin6_port, 2);
    }
    room[14] = 0;
    room[15] = (char)(family == AF_INET ? 12 : family == AF_INET6 ? 36 : 0);
    return V2_FIXED + (size_t)room[15];
}

size_t proxy_header_write(char room[PROXY_HEADER_OUT], int version, const struct sockaddr *from,
                          const struct sockaddr *to)
{
    int family = from->sa_family == to->sa_family ? from->sa_family : AF_UNSPEC;
    union proxy_address a = {0}, b = {0};

    if (family == AF_INET) {
        memcpy(&a, from, sizeof(a.v4));
        memcpy(&b, to, sizeof(b.v4));
    } else if (family == AF_INET6) {
        memcpy(&a, from, sizeof(a.v6));
        memcpy(&b, to, sizeof(b.v6));
    } else {
        family = AF_UNSPEC;
    }
    return version == 1 ? write_v1(room, &a, &b, family) : write_v2(room, &a, &b, family);
}

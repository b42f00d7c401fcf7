/* network.c - sets of IP addresses as prefixes. */
#include "proxy/base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

static bool is_mapped(const uint8_t ip[16])
{
    return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

bool network_ip(struct str text, uint8_t ip[16])
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n))
        return false;
    str_copy(copy, sizeof(copy), text);
    if (inet_pton(AF_INET6, copy, ip) == 1)
        return true;
    memcpy(ip, mapped, sizeof(mapped));
    return inet_pton(AF_INET, copy, ip + sizeof(mapped)) == 1;
}

bool network_of(const struct sockaddr *sa, uint8_t ip[16])
{
    if (sa->sa_family == AF_INET) {
        memcpy(ip, mapped, sizeof(mapped));
        memcpy(ip + sizeof(mapped), &((const struct sockaddr_in *)sa)->sin_addr, 4);
        return true;
    }
    if (sa->sa_family != AF_INET6)
        return false;
    memcpy(ip, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
    return true;
}

/* The bits of byte I that belong to a prefix of BITS. */
static uint8_t mask(unsigned bits, unsigned i)
{
    if (bits >= 8 * (i + 1))
        return 0xff;
    return bits <= 8 * i ? 0 : (uint8_t)(0xff << (8 - bits % 8));
}

bool network_parse(struct str text, struct network *n)
{
    struct str bits = text, address = str_cut(&bits, '/');
    bool alone = address.n == text.n;
    uint64_t value;

    if (!network_ip(address, n->address))
        return false;

    bool v4 = !memchr(address.p, ':', address.n);

    value = v4 ? 32 : 128;
    if (!alone && (bits.n > 3 || !str_to_u64(bits, value, &value)))
        return false;
    n->bits = (uint8_t)(value + (v4 ? 96 : 0));
    for (unsigned i = 0; i < 16; i++)
        if (n->address[i] & ~mask(n->bits, i))
            return false;
    return true;
}

struct str network_write(const struct network *n, char room[NETWORK_TEXT])
{
    bool v4 = n->bits >= 96 && is_mapped(n->address);
    unsigned shown = v4 ? n->bits - 96u : n->bits;
    size_t used;

    inet_ntop(v4 ? AF_INET : AF_INET6, n->address + (v4 ? 12 : 0), room, INET6_ADDRSTRLEN);
    used = strlen(room);
    if (n->bits < 128)
        used += (size_t)snprintf(room + used, NETWORK_TEXT - used, "/%u", shown);
    return (struct str){room, used};
}

static bool holds(const struct network *n, const uint8_t ip[16])
{
    unsigned whole = n->bits / 8;

    if (memcmp(n->address, ip, whole) != 0)
        return false;
    return whole == 16 || ((n->address[whole] ^ ip[whole]) & mask(n->bits, whole)) == 0;
}

bool network_match(const struct network *list, size_t n, const uint8_t ip[16])
{
    for (size_t i = 0; i < n; i++)
        if (holds(&list[i], ip))
            return true;
    return false;
}

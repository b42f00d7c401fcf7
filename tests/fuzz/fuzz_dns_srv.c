/*
 * fuzz_dns_srv.c - answers to a question for SRV records: what is taken from one is within
 * bounds, names a host, and does not depend on how much room there is for it.
 */
#include "config/units.h"
#include "control/link/dns_srv.h"
#include "proxy/base/str.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct dns_srv list[DNS_SRV_MAX], first;
    uint32_t ttl_s, again_s;
    unsigned char *copy = malloc(n ? n : 1); /* of its own, so that ASan sees */
    int found;

    memcpy(copy, data, n);
    found = dns_srv_parse(copy, n, list, DNS_SRV_MAX, &ttl_s);
    ASSERT(found >= -1 && found <= DNS_SRV_MAX);
    for (int i = 0; i < found; i++) {
        struct str target = str_of(list[i].target);

        ASSERT(list[i].port > 0 && unit_hostname(target));
        for (size_t k = 0; k < target.n; k++)
            ASSERT(ascii_lower(target.p[k]) == target.p[k]);
    }
    if (found > 0) {
        ASSERT(ttl_s <= INT32_MAX);
        ASSERT(dns_srv_parse(copy, n, &first, 1, &again_s) == 1 && again_s == ttl_s);
        ASSERT(strcmp(first.target, list[0].target) == 0 && first.port == list[0].port);
    }
    free(copy);
    return 0;
}

/* fuzz_proxy_header.c - PROXY headers: every cut agrees, and what is read can be written. */
#include "proxy/base/check.h"
#include "proxy/http/proxy_header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_again(const struct proxy_header *h)
{
    struct proxy_header again;
    char room[PROXY_HEADER_OUT];

    for (int version = 1; version <= 2; version++) {
        size_t m = proxy_header_write(room, version, &h->from.any, &h->to.any);

        ASSERT(m <= sizeof(room));
        ASSERT(proxy_header_parse((struct str){room, m}, &again) == PROXY_HEADER_DONE);
        ASSERT(again.size == m && again.known);
        ASSERT(memcmp(&again.from, &h->from, sizeof(h->from)) == 0);
        ASSERT(memcmp(&again.to, &h->to, sizeof(h->to)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct proxy_header whole, h;
    enum proxy_header_result all = proxy_header_parse((struct str){(const char *)data, n},
                                                      &whole),
                             r = PROXY_HEADER_MORE;

    ASSERT(all != PROXY_HEADER_MORE || n < PROXY_HEADER_MAX);
    for (size_t m = 1; m <= n && r == PROXY_HEADER_MORE; m++) {
        char *copy = malloc(m); /* of its own, so that ASan sees */

        memcpy(copy, data, m);
        r = proxy_header_parse((struct str){copy, m}, &h);
        ASSERT(r != PROXY_HEADER_DONE || h.size == m);
        free(copy);
    }
    ASSERT(r == all);
    if (all == PROXY_HEADER_DONE) {
        ASSERT(whole.size == h.size && whole.known == h.known);
        if (whole.known)
            check_again(&whole);
    }
    return 0;
}

/* fuzz_grpc.c - values of gRPC fields: what is read can be written and reads the same. */
#include "control/link/grpc_health.h"
#include "proxy/base/check.h"
#include "proxy/http/grpc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_timeout(struct str s)
{
    uint64_t us, again;
    char room[GRPC_TIMEOUT_MAX];
    struct out o = out_init(room, sizeof(room));

    if (!grpc_timeout_parse(s, &us))
        return;
    grpc_timeout_write(&o, us);
    ASSERT(!o.full && grpc_timeout_parse(out_text(&o), &again));
    ASSERT(again <= us && us - again <= us / 16666);
}

/* A message is one line of printable ASCII, at most three times as long. */
static void check_message(struct str s)
{
    char *room = malloc(3 * s.n + 1);
    struct out o = out_init(room, 3 * s.n);

    grpc_message_write(&o, s);
    ASSERT(!o.full && field_value_ok(str_trim(out_text(&o))));
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *copy = malloc(n + 1); /* so that ASan sees its end */
    struct str s = {copy, n};
    int told;

    memcpy(copy, data, n);
    told = grpc_status_of_lines(s);
    ASSERT(told >= -1 && told < GRPC_STATUS_COUNT);
    ASSERT((unsigned)grpc_status_parse(s) < GRPC_STATUS_COUNT);
    (void)grpc_type(s);
    (void)grpc_health_serving(s);
    check_timeout(s);
    check_message(s);
    free(copy);
    return 0;
}

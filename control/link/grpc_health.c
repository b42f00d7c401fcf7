/* grpc_health.c - the question and the answer of a gRPC health check. */
#include "control/link/grpc_health.h"

#define FRAMING 5
#define SERVING 1

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct str grpc_health_ask(char room[GRPC_HEALTH_ASK], struct str service)
{
    size_t n = FRAMING;

    ASSERT(service.n <= GRPC_HEALTH_NAME);
    memset(room, 0, FRAMING);
    if (service.n) {
        room[n++] = 1 << 3 | WIRE_BYTES;
        if (service.n > 127)
            room[n++] = (char)(service.n | 0x80);
        room[n++] = (char)(service.n > 127 ? service.n >> 7 : service.n);
        memcpy(room + n, service.p, service.n);
        n += service.n;
    }
    room[FRAMING - 1] = (char)(n - FRAMING);
    return (struct str){room, n};
}

static bool take_varint(struct str *s, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && s->n; shift += 7) {
        unsigned char c = (unsigned char)s->p[0];

        *s = str_skip(*s, 1);
        *value |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

/* A field of another kind than a number. */
static bool skip(struct str *s, unsigned kind)
{
    uint64_t n = kind == WIRE_64 ? 8 : 4;

    if (kind != WIRE_64 && kind != WIRE_32 && kind != WIRE_BYTES)
        return false;
    if ((kind == WIRE_BYTES && !take_varint(s, &n)) || n > s->n)
        return false;
    *s = str_skip(*s, n);
    return true;
}

/* Is BODY one whole message, not compressed? Then only what is inside is left of it. */
static bool unframe(struct str *body)
{
    uint32_t n = 0;

    if (body->n < FRAMING || body->p[0] != 0)
        return false;
    for (int i = 1; i < FRAMING; i++)
        n = n << 8 | (unsigned char)body->p[i];
    *body = str_skip(*body, FRAMING);
    return n == body->n;
}

bool grpc_health_serving(struct str s)
{
    uint64_t status = 0, tag, value;

    if (!unframe(&s))
        return false;
    while (s.n) {
        if (!take_varint(&s, &tag))
            return false;
        if ((tag & 7) != WIRE_VARINT) {
            if (!skip(&s, tag & 7))
                return false;
            continue;
        }
        if (!take_varint(&s, &value))
            return false;
        if (tag >> 3 == 1)
            status = value;
    }
    return status == SERVING;
}

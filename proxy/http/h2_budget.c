/*
 * h2_budget.c - frame headers, one after the other, and what each of them costs.
 *
 * Invariant: `skip` and `head` say where in the stream of frames the next byte belongs, however
 * the bytes were cut.
 */
#include "proxy/http/h2_budget.h"

#define PREFACE     24
#define FLAG_END    1 /* END_STREAM */
#define FLAG_FIELDS 4 /* END_HEADERS */
#define USEFUL      1024

enum { DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION = 9 };

void h2_budget_init(struct h2_budget *b, uint64_t now_us)
{
    *b = (struct h2_budget){
        .at_us = now_us,
        .control = H2_CONTROL_MOST,
        .resets = H2_RESETS_MOST,
        .skip = PREFACE,
    };
}

/* Servers begin with a frame. */
void h2_budget_init_server(struct h2_budget *b, uint64_t now_us)
{
    h2_budget_init(b, now_us);
    b->server = true;
    b->skip = 0;
}

static int32_t filled(int32_t tokens, uint64_t us, uint64_t rate, int32_t most)
{
    uint64_t more = us * rate / 1000000;

    return more >= (uint64_t)(most - tokens) ? most : tokens + (int32_t)more;
}

/* Ten times a second at most, so that no fraction of a token is lost for long. */
static void fill_up(struct h2_budget *b, uint64_t now_us)
{
    uint64_t us = now_us - b->at_us;

    if (us < 100000)
        return;
    b->at_us = now_us;
    b->control = filled(b->control, us, H2_CONTROL_RATE, H2_CONTROL_MOST);
    b->resets = filled(b->resets, us, H2_RESETS_RATE, H2_RESETS_MOST);
}

static void refund(int32_t *tokens, int32_t n, int32_t most)
{
    *tokens = *tokens + n > most ? most : *tokens + n;
}

static bool broken(struct h2_budget *b, const char *why)
{
    b->why = why;
    return false;
}

static bool pay(struct h2_budget *b)
{
    return --b->control >= 0 || broken(b, "too many frames without use");
}

bool h2_budget_reset(struct h2_budget *b)
{
    return --b->resets >= 0 || broken(b, "too many streams were reset");
}

void h2_budget_done(struct h2_budget *b)
{
    refund(&b->resets, 1, H2_RESETS_MOST);
}

void h2_budget_sent(struct h2_budget *b)
{
    refund(&b->control, 2, H2_CONTROL_MOST);
}

static bool see_block(struct h2_budget *b, uint32_t length, uint8_t flags)
{
    b->block += length;
    b->in_last = flags & FLAG_FIELDS;
    b->in_block = !b->in_last;
    return b->block <= H2_BLOCK_MAX || broken(b, "a header block without end");
}

static bool see_headers(struct h2_budget *b, uint32_t length, uint8_t flags, uint32_t id)
{
    b->blocks++;
    b->block = 0;
    b->continuations = 0;
    if (b->server && (flags & FLAG_END))
        refund(&b->control, 2, H2_CONTROL_MOST);
    else if (b->server && !pay(b))
        return false;
    if (!b->server && !h2_numbers_open(&b->numbers, id)) {
        b->lies = true;
        return broken(b, "a stream that was passed over");
    }
    return see_block(b, length, flags);
}

static bool see_continuation(struct h2_budget *b, uint32_t length, uint8_t flags)
{
    if (++b->continuations > H2_CONTINUATIONS)
        return broken(b, "too many CONTINUATION frames");
    return see_block(b, length, flags) && (length > 0 || pay(b));
}

static bool see_data(struct h2_budget *b, uint32_t length, uint8_t flags)
{
    if (length == 0 && !(flags & FLAG_END))
        return pay(b);
    if (length >= USEFUL)
        refund(&b->control, 1, H2_CONTROL_MOST);
    if (b->server && (flags & FLAG_END))
        refund(&b->control, 2, H2_CONTROL_MOST);
    return true;
}

/* The header of a frame is complete. */
static bool see(struct h2_budget *b)
{
    const uint8_t *h = b->head;
    uint32_t length = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
    uint32_t id =
        ((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8]) & INT32_MAX;

    b->skip = length;
    b->in_last = false;
    switch (h[3]) {
    case DATA:
        return see_data(b, length, h[4]);
    case HEADERS:
        return see_headers(b, length, h[4], id);
    case CONTINUATION:
        return see_continuation(b, length, h[4]);
    case RST_STREAM:
        return h2_budget_reset(b);
    default:
        return pay(b);
    }
}

uint32_t h2_budget_in_block(const struct h2_budget *b)
{
    return b->in_block || (b->in_last && b->skip) ? b->blocks : 0;
}

size_t h2_budget_look(struct h2_budget *b, struct str in, uint64_t now_us)
{
    size_t at = 0;

    fill_up(b, now_us);
    while (at < in.n) {
        size_t n = in.n - at < b->skip ? in.n - at : b->skip;

        at += n;
        b->skip -= (uint32_t)n;
        if (b->skip || at == in.n)
            break;
        b->head[b->have++] = (uint8_t)in.p[at++];
        if (b->have < sizeof(b->head))
            continue;
        b->have = 0;
        if (!see(b))
            return at >= sizeof(b->head) ? at - sizeof(b->head) : 0;
    }
    return at;
}

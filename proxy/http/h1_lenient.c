/*
 * h1_lenient.c - leniency towards clients that cannot be mended.
 *
 * None of it reaches a field that frames, routes or ends at this hop: in those a fold or a
 * control character is how requests are smuggled, and no honest client has them there.
 */
#include "proxy/http/h1_lenient.h"

#include "proxy/http/chars.h"

#define EXACT (FIELD_FRAMING | FIELD_HOP | FIELD_ONCE)

void h1_parser_lenient(struct h1_parser *p, uint32_t kinds)
{
    ASSERT(!p->response && (kinds & ~H1_LENIENT) == 0);
    p->lenient = kinds;
}

bool h1_forgiven(struct h1_parser *p, enum stats_violation kind)
{
    if (!(p->lenient >> kind & 1))
        return false;
    p->forgiven |= 1u << kind;
    return true;
}

static bool exact(enum field_id id)
{
    return field_traits(id) & EXACT;
}

/* A lenient caller's bytes are writable: see h1_parser_lenient. */
static char *writable(const char *buf)
{
    return (char *)buf;
}

bool h1_scrub(struct h1_parser *p, enum field_id id, const char *buf, size_t at)
{
    if (buf[at] == '\r' || buf[at] == '\n' || exact(id) ||
        !h1_forgiven(p, STATS_BAD_FIELD_VALUE))
        return false;
    writable(buf)[at] = ' ';
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

const char *h1_unfold(struct h1_parser *p, struct head *h, const char *buf, size_t at,
                      size_t end)
{
    struct field *f = &h->fields[h->nfields - 1];
    char *to = writable(buf) + f->value_at + f->value_n;

    while (at < end && is_blank(buf[at]))
        at++;
    while (end > at && is_blank(buf[end - 1]))
        end--;
    if (exact(f->id))
        return "folded line in a field that frames or routes";
    if (at == end)
        return "folded line of blanks only";
    if (f->value_n + (end - at) >= HEAD_MAX_LINE)
        return "folded field too long";
    if (!h1_forgiven(p, STATS_BAD_OBS_FOLD))
        return "folded line";
    if (f->value_n)
        *to++ = ' ';
    memmove(to, buf + at, end - at);
    f->value_n = (uint16_t)(to + (end - at) - buf - f->value_at);
    return NULL;
}

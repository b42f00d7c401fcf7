/*
 * field.c - interning of field names by length, then by comparison with the few of that length.
 */
#include "proxy/http/field.h"

#include "proxy/base/check.h"
#include "proxy/http/chars.h"

#define LONGEST 25 /* of the names in the list */

static const struct {
    struct str name;
    unsigned traits;
} known[FIELD_NIDS] = {
#define X(A, id, name, traits) [FIELD_##id] = {STR_INIT(name), traits},
    FIELD_LIST(X, )
#undef X
};

/* 1 + how many names are shorter than LEN: the first id of that length. */
#define SHORTER(len, id, name, traits) +(sizeof(name) - 1 < (len))
#define FIRST(len)                     (1 FIELD_LIST(SHORTER, len))
#define FIRST5(len)                                                                            \
    FIRST(len), FIRST((len) + 1), FIRST((len) + 2), FIRST((len) + 3), FIRST((len) + 4)

static const uint8_t first_of_length[LONGEST + 2] = {
    FIRST5(0), FIRST5(5), FIRST5(10), FIRST5(15), FIRST5(20), FIRST(25), FIRST(26)};

_Static_assert(FIRST(LONGEST + 1) == FIELD_NIDS, "LONGEST is the longest name of the list");

/*
 * NAME is a token: bit 5 folds its letters, and no other token character folds into one of
 * the letters and hyphens that known names are made of.
 */
static bool same(const char *name, const char *lower, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t a, b;
        memcpy(&a, name + i, 8);
        memcpy(&b, lower + i, 8);
        if ((a | 0x2020202020202020u) != b)
            return false;
    }
    for (; i < n; i++)
        if ((name[i] | 0x20) != lower[i])
            return false;
    return true;
}

enum field_id field_id(struct str name)
{
    if (name.n > LONGEST)
        return FIELD_OTHER;
    for (unsigned id = first_of_length[name.n]; id < first_of_length[name.n + 1]; id++)
        if (same(name.p, known[id].name.p, name.n))
            return id;
    return FIELD_OTHER;
}

struct str field_name(enum field_id id)
{
    ASSERT(id < FIELD_NIDS);
    return known[id].name;
}

unsigned field_traits(enum field_id id)
{
    ASSERT(id < FIELD_NIDS);
    return known[id].traits;
}

/* The letters of NAME, folded, into OUT; how many, or SIZE_MAX when there are more than
 * LONGEST. */
static size_t letters(struct str name, char out[LONGEST], bool *digits)
{
    size_t n = 0;

    *digits = false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i] | 0x20;
        if (char_is(name.p[i], CHAR_DIGIT))
            *digits = true;
        if (c < 'a' || c > 'z')
            continue;
        if (n == LONGEST)
            return SIZE_MAX;
        out[n++] = c;
    }
    return n;
}

static bool same_letters(struct str twin, const char *text, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < twin.n; i++)
        if (twin.p[i] != '-' && (at == n || twin.p[i] != text[at++]))
            return false;
    return at == n;
}

enum field_id field_twin(struct str name)
{
    static const enum field_id twins[] = {
#define X(A, id, name, traits) (traits) & FIELD_TWIN ? FIELD_##id : FIELD_OTHER,
        FIELD_LIST(X, )
#undef X
    };
#define X(A, id, name, traits) | ((traits)&FIELD_TWIN ? 1u << (name[0] - 'a') : 0)
    const uint32_t initials = 0 FIELD_LIST(X, );
#undef X
    char text[LONGEST];
    bool digits;
    size_t n = letters(name, text, &digits);

    if (n == 0 || n > LONGEST || !(initials >> (text[0] - 'a') & 1))
        return FIELD_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(twins); i++)
        if (twins[i] != FIELD_OTHER && same_letters(known[twins[i]].name, text, n) &&
            (!digits || (known[twins[i]].traits & FIELD_FRAMING)))
            return twins[i];
    return FIELD_OTHER;
}

bool field_name_ok(struct str name)
{
    return name.n > 0 && name.n <= FIELD_NAME_MAX &&
           chars_run(name.p, name.n, CHAR_TOKEN) == name.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool field_value_ok(struct str value)
{
    if (value.n == 0)
        return true;
    return chars_value(value.p, value.n) == value.n && !is_blank(value.p[0]) &&
           !is_blank(value.p[value.n - 1]);
}

bool field_list_next(struct str *rest, struct str *element)
{
    while (rest->n) {
        *element = str_trim(str_cut(rest, ','));
        if (element->n)
            return true;
    }
    return false;
}

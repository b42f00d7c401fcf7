/* ending.c - why an exchange ended: the table. */
#include "proxy/stream/ending.h"

#include "proxy/base/check.h"

const struct ending_row *ending_row(enum ending e)
{
    static const struct ending_row rows[END_COUNT] = {
#define X(id, word, status, text, blame)                                                       \
    [END_##id] = {STR_INIT(word), STR_INIT(text), status, blame},
        ENDINGS(X)
#undef X
    };
    ASSERT(e < END_COUNT);
    return &rows[e];
}

/*
 * suggest.c - the optimal string alignment distance, cut off above two edits.
 *
 * Names here are short (at most 64 bytes); longer ones are never near.
 */
#include "config/suggest.h"

enum { MOST = 64, FAR = 3 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned suggest_distance(struct str a, struct str b)
{
    unsigned rows[3][MOST + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    if (a.n > MOST || b.n > MOST || a.n > b.n + 2 || b.n > a.n + 2)
        return FAR;
    memset(rows, 0, sizeof(rows));
    for (unsigned j = 0; j <= b.n; j++)
        last[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            bool same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]);

            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }

        unsigned *spare = before;

        before = last;
        last = row;
        row = spare;
    }
    return least(last[b.n], FAR);
}

long suggest_pick(struct str word, const struct str *names, size_t n)
{
    unsigned best = word.n < 2 ? 0 : word.n < 4 ? 2 : FAR; /* exclusive */
    long found = -1;

    for (size_t i = 0; i < n; i++) {
        unsigned d = suggest_distance(word, names[i]);

        if (d < best) {
            best = d;
            found = (long)i;
        }
    }
    return found;
}

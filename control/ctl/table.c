/* table.c - aligned columns of text. */
#include "control/ctl/table.h"

#include "proxy/base/mem.h"
#include "proxy/base/str.h"
#include "proxy/base/vec.h"

#include <stdarg.h>

struct table {
    unsigned columns;
    bool right[TABLE_COLUMNS];
    VEC(char *) cells; /* row by row, the heads first */
};

size_t text_width(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

struct table *table_new(const char *heads)
{
    struct table *t = xcalloc(1, sizeof(*t));
    struct str rest = str_of(heads);

    while (rest.n && t->columns < TABLE_COLUMNS) {
        struct str head = str_cut(&rest, '|');

        if (str_ends(head, STR(">"))) {
            t->right[t->columns] = true;
            head.n--;
        }
        t->columns++;
        *vec_add(&t->cells) = xstrndup(head.p, head.n);
    }
    return t;
}

void table_cell(struct table *t, const char *fmt, ...)
{
    char buf[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    *vec_add(&t->cells) = xstrdup(buf);
}

void table_print(struct table *t, FILE *out)
{
    size_t width[TABLE_COLUMNS] = {0};

    for (size_t i = 0; i < t->cells.n; i++) {
        size_t n = text_width(t->cells.v[i]);

        if (n > width[i % t->columns])
            width[i % t->columns] = n;
    }
    for (size_t i = 0, blanks = 0; i < t->cells.n; i++) {
        size_t col = i % t->columns, pad = width[col] - text_width(t->cells.v[i]);

        blanks += t->right[col] ? pad : 0; /* blanks are only written before a text */
        if (t->cells.v[i][0]) {
            fprintf(out, "%*s%s", (int)blanks, "", t->cells.v[i]);
            blanks = 0;
        }
        blanks += (t->right[col] ? 0 : pad) + 2;
        if (col + 1 == t->columns) {
            fputc('\n', out);
            blanks = 0;
        }
    }
    for (size_t i = 0; i < t->cells.n; i++)
        xfree(t->cells.v[i]);
    vec_release(&t->cells);
    xfree(t);
}

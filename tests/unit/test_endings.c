/* test_endings.c - the manual explains every word why an exchange ended, and no other. */
#include "proxy/base/arena.h"
#include "proxy/base/sys.h"
#include "proxy/stream/ending.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PAGE "proxy/proc/sluice.8"
#define ITEM ".It Cm "

/* The next word that is explained in REST, which goes on behind it; empty: none. */
static struct str next_word(struct str *rest)
{
    const char *at = memmem(rest->p, rest->n, ITEM, strlen(ITEM));

    if (!at)
        return STR_NONE;
    *rest = str_skip(*rest, (size_t)(at - rest->p) + strlen(ITEM));
    return str_cut(rest, '\n');
}

START_TEST(the_manual_explains_every_word)
{
    struct arena arena;
    struct str page, rest;
    const char *begin, *end;

    arena_init(&arena, NULL, 0);
    ck_assert_int_eq(sys_read_file(&arena, PAGE, 1 << 20, &page), 0);
    begin = memmem(page.p, page.n, "endings: begin", 14);
    end = memmem(page.p, page.n, "endings: end", 12);
    ck_assert_ptr_nonnull(begin);
    ck_assert_ptr_nonnull(end);
    rest = (struct str){begin, (size_t)(end - begin)};
    for (int i = 0; i < END_COUNT; i++) { /* in the order of the table */
        struct str word = next_word(&rest), want = ending_row((enum ending)i)->word;

        ck_assert_msg(str_eq(word, want), "%s: here comes %.*s, not %.*s", PAGE, STR_ARG(want),
                      STR_ARG(word));
    }
    ck_assert_uint_eq(next_word(&rest).n, 0);
    arena_release(&arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("endings");
    TCase *t = tcase_create("endings");

    tcase_add_test(t, the_manual_explains_every_word);
    suite_add_tcase(s, t);
    return unit_run(s);
}

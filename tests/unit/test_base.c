/* test_base.c - slices, arena, hashes, random numbers, histogram, sealed documents. */
#include "proxy/base/arena.h"
#include "proxy/base/check.h"
#include "proxy/base/clock.h"
#include "proxy/base/hash.h"
#include "proxy/base/hist.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "proxy/base/shm.h"
#include "proxy/base/str.h"
#include "proxy/base/sys.h"
#include "proxy/base/vec.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(test_str_parts)
{
    struct str rest = STR("a,b,,c"), tok;

    tok = str_cut(&rest, ',');
    ck_assert(str_eq(tok, STR("a")));
    tok = str_cut(&rest, ',');
    ck_assert(str_eq(tok, STR("b")));
    tok = str_cut(&rest, ',');
    ck_assert_uint_eq(tok.n, 0);
    tok = str_cut(&rest, ',');
    ck_assert(str_eq(tok, STR("c")));
    ck_assert_uint_eq(rest.n, 0);
    ck_assert(str_eq(str_trim(STR(" \t x y\t ")), STR("x y")));
    ck_assert_uint_eq(str_trim(STR(" \t")).n, 0);
    ck_assert(str_ieq(STR("Content-LENGTH"), STR("content-length")));
    ck_assert(!str_ieq(STR("a@"), STR("a`"))); /* only letters fold */
    ck_assert(str_starts(STR("/api/x"), STR("/api/")));
    ck_assert(!str_starts(STR("/ap"), STR("/api/")));
    ck_assert(str_ends(STR("a.example"), STR(".example")));
    ck_assert_int_lt(str_cmp(STR("a"), STR("ab")), 0);
    ck_assert_int_gt(str_cmp(STR("b"), STR("ab")), 0);
}
END_TEST

START_TEST(test_str_numbers)
{
    static const struct {
        const char *in;
        uint64_t max;
        bool ok;
        uint64_t want;
    } rows[] = {
        {"0", 10, true, 0},
        {"010", 10, true, 10},
        {"11", 10, false, 0},
        {"", 10, false, 0},
        {"+1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"-1", 10, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t got = 0;

        ck_assert_msg(str_to_u64(str_of(rows[i].in), rows[i].max, &got) == rows[i].ok, "%s",
                      rows[i].in);
        if (rows[i].ok)
            ck_assert_uint_eq(got, rows[i].want);
    }
}
END_TEST

START_TEST(test_str_copy_truncates)
{
    char room[4];

    ck_assert_uint_eq(str_copy(room, sizeof(room), STR("abcdef")), 3);
    ck_assert_str_eq(room, "abc");
    ck_assert_uint_eq(str_copy(room, sizeof(room), STR("x")), 1);
    ck_assert_str_eq(room, "x");
}
END_TEST

START_TEST(test_arena_uses_first_room_before_malloc)
{
    char room[512];
    struct arena a;
    uint64_t before;

    arena_init(&a, room, sizeof(room));
    before = mem_allocations();
    for (int i = 0; i < 10; i++) {
        char *p = arena_alloc(&a, 40);

        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        ck_assert(p >= room && p + 40 <= room + sizeof(room));
    }
    ck_assert_uint_eq(mem_allocations(), before);
    arena_alloc(&a, 1000); /* does not fit: one chunk */
    ck_assert_uint_eq(mem_allocations(), before + 1);
    arena_reset(&a);
    ck_assert((char *)arena_alloc(&a, 1) < room + 16);
    arena_release(&a);
}
END_TEST

START_TEST(test_arena_grows_into_mapped_chunks)
{
    enum { PIECES = 60000, SIZE = 100 };
    static char *piece[PIECES];
    struct arena a;

    arena_init(&a, NULL, 0);
    for (size_t i = 0; i < PIECES; i++) {
        piece[i] = arena_zalloc(&a, SIZE);
        memset(piece[i], (int)(i % 251), SIZE);
    }
    memset(arena_zalloc(&a, 5 << 20), 1, 5 << 20); /* more than any chunk has */
    for (size_t i = 0; i < PIECES; i++) {
        ck_assert_int_eq((unsigned char)piece[i][0], i % 251);
        ck_assert_int_eq((unsigned char)piece[i][SIZE - 1], i % 251);
    }
    arena_reset(&a);
    arena_str(&a, STR("again"));
    arena_release(&a);
}
END_TEST

START_TEST(test_arena_strings_end_in_nul)
{
    struct arena a;
    struct str s;

    arena_init(&a, NULL, 0);
    s = arena_str(&a, (struct str){"abcdef", 3});
    ck_assert_str_eq(s.p, "abc");
    s = arena_printf(&a, "%d-%s", 42, "x");
    ck_assert_str_eq(s.p, "42-x");
    ck_assert_uint_eq(s.n, 4);
    for (size_t n = 1; n < 200000; n *= 3)
        memset(arena_zalloc(&a, n), 1, n);
    arena_release(&a);
}
END_TEST

START_TEST(test_vec_grows)
{
    VEC(int) v = {0};

    for (int i = 0; i < 1000; i++)
        *vec_add(&v) = i;
    ck_assert_uint_eq(v.n, 1000);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(v.v[i], i);
    vec_release(&v);
    ck_assert_ptr_null(v.v);
}
END_TEST

/* Published vectors of both algorithms: stored splits depend on these values for ever. */
START_TEST(test_hash_vectors)
{
    ck_assert_uint_eq(hash64(STR(""), 0), 0xef46db3751d8e999u);
    ck_assert_uint_eq(hash64(STR("a"), 0), 0xd24ec4f1a98c6e5bu);
    ck_assert_uint_eq(hash64(STR("abc"), 0), 0x44bc2cf5ad770999u);
    ck_assert_uint_eq(hash64(STR("Nobody inspects the spammish repetition"), 0),
                      0xfbcea83c8a378bf1u);
    ck_assert_uint_eq(hash_murmur3(STR(""), 0), 0);
    ck_assert_uint_eq(hash_murmur3(STR("hello"), 0), 0x248bfa47u);
    ck_assert_uint_eq(hash_murmur3(STR("hello, world"), 0), 0x149bbb7fu);
    ck_assert_uint_eq(hash_murmur3(STR("The quick brown fox jumps over the lazy dog"), 0),
                      0x2e4ff723u);
}
END_TEST

START_TEST(test_rng_is_seeded_and_uniform)
{
    struct rng a, b;
    unsigned counts[10] = {0};

    rng_seed(&a, 7);
    rng_seed(&b, 7);
    for (int i = 0; i < 100000; i++) {
        uint32_t x = rng_below(&a, 10);

        ck_assert_uint_eq(x, rng_below(&b, 10));
        counts[x]++;
    }
    for (int i = 0; i < 10; i++)
        ck_assert(counts[i] > 9500 && counts[i] < 10500);
}
END_TEST

START_TEST(test_hist_edges)
{
    ck_assert_int_eq(hist_bucket(0), 0);
    ck_assert_int_eq(hist_bucket(99), 0);
    ck_assert_int_eq(hist_bucket(200), 16);
    ck_assert_int_eq(hist_bucket(UINT64_MAX >> 17), HIST_BUCKETS - 1);
    for (int b = 0; b < HIST_BUCKETS; b++) {
        uint64_t upper = hist_upper_us(b);

        ck_assert_int_eq(hist_bucket(upper - 1), b);
        if (b < HIST_BUCKETS - 1)
            ck_assert_int_eq(hist_bucket(upper), b + 1);
        if (b > 32) { /* 4.4 % wide */
            double w = (double)upper / (double)hist_upper_us(b - 1);

            ck_assert_msg(w > 1.04 && w < 1.05, "bucket %d is %g wide", b, w);
        }
    }
}
END_TEST

START_TEST(test_hist_quantiles)
{
    uint64_t h[HIST_BUCKETS] = {0};

    ck_assert_int_eq(hist_quantile(h, 0.5), -1);
    for (uint64_t us = 1000; us <= 100000; us += 1000)
        h[hist_bucket(us)]++;
    ck_assert_uint_eq(hist_total(h), 100);
    ck_assert_int_eq(hist_quantile(h, 0.5), hist_bucket(51000));
    ck_assert_int_eq(hist_quantile(h, 0.99), hist_bucket(100000));
    ck_assert_uint_eq(hist_above(h, hist_bucket(100000)), 0);
    ck_assert_uint_eq(hist_above(h, -1), 100);
}
END_TEST

START_TEST(test_clock_stamp)
{
    char buf[CLOCK_STAMP];

    ck_assert_str_eq(clock_stamp(buf, 1764000000123), "2025-11-24T16:00:00.123Z");
    ck_assert_uint_gt(clock_mono_us(), 0);
}
END_TEST

START_TEST(test_shm_maps_only_what_is_sealed)
{
    struct str doc;
    int fd = shm_seal("test", STR("hello")), open_fd;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(shm_map(fd, &doc), 0);
    ck_assert(str_eq(doc, STR("hello")));
    shm_unmap(doc);
    ck_assert_int_lt(write(fd, "x", 1), 0); /* sealed */
    close(fd);

    open_fd = memfd_create("open", MFD_ALLOW_SEALING);
    ck_assert_int_ge(open_fd, 0);
    ck_assert_int_eq(shm_map(open_fd, &doc), -1);
    ck_assert_int_eq(errno, EPERM);
    close(open_fd);
}
END_TEST

START_TEST(test_sys_files)
{
    char dir[] = "/tmp/test_base.XXXXXX", path[80], deep[64];
    struct arena a;
    struct str got;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(deep, sizeof(deep), "%s/a/b/c", dir);
    ck_assert_int_eq(sys_mkdirs(deep, 0755), 0);
    ck_assert_int_eq(sys_mkdirs(deep, 0755), 0); /* again is fine */
    snprintf(path, sizeof(path), "%s/f", deep);
    ck_assert_int_eq(sys_write_file(path, STR("one"), 0600), 0);
    ck_assert_int_eq(sys_write_file(path, STR("second"), 0600), 0);
    arena_init(&a, NULL, 0);
    ck_assert_int_eq(sys_read_file(&a, path, 100, &got), 0);
    ck_assert_str_eq(got.p, "second");
    ck_assert_int_eq(sys_read_file(&a, path, 5, &got), -1);
    ck_assert_int_eq(errno, EFBIG);
    ck_assert_int_eq(sys_read_file(&a, "/nonexistent", 5, &got), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(sys_write_file("/nonexistent/x", STR("a"), 0600), -1);
    arena_release(&a);
    unlink(path);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(rmdir(deep), 0);
        *strrchr(deep, '/') = '\0';
    }
}
END_TEST

START_TEST(test_assert_is_on)
{
    ASSERT(1 + 1 == 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");

    tcase_add_test(t, test_str_parts);
    tcase_add_test(t, test_str_numbers);
    tcase_add_test(t, test_str_copy_truncates);
    tcase_add_test(t, test_arena_uses_first_room_before_malloc);
    tcase_add_test(t, test_arena_grows_into_mapped_chunks);
    tcase_add_test(t, test_arena_strings_end_in_nul);
    tcase_add_test(t, test_vec_grows);
    tcase_add_test(t, test_hash_vectors);
    tcase_add_test(t, test_rng_is_seeded_and_uniform);
    tcase_add_test(t, test_hist_edges);
    tcase_add_test(t, test_hist_quantiles);
    tcase_add_test(t, test_clock_stamp);
    tcase_add_test(t, test_shm_maps_only_what_is_sealed);
    tcase_add_test(t, test_sys_files);
    tcase_add_test_raise_signal(t, test_assert_is_on, 6);
    suite_add_tcase(s, t);
    return unit_run(s);
}

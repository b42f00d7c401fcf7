/* test_access_log.c - lines of hostile text, full buffers, readers that do not read. */
#include "proxy/base/mem.h"
#include "proxy/stream/access_log.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct access_entry entry(void)
{
    return (struct access_entry){
        .wall_ms = 1764000000123,
        .duration_us = 12345,
        .method = STR("GET"),
        .path = STR("/p"),
        .end = STR("done"),
        .status = 200,
        .grpc_status = -1,
        .protocol = STR("HTTP/1.1"),
    };
}

static json_t *parse(const struct access_entry *e)
{
    static char line[ACCESS_LINE];
    size_t n = access_line_write(line, CONF_LOG_JSON, e);
    json_t *j;

    ck_assert_uint_gt(n, 1);
    ck_assert_int_eq(line[n - 1], '\n');
    ck_assert_ptr_null(memchr(line, '\n', n - 1));
    j = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(j);
    return j;
}

START_TEST(every_byte_makes_good_json)
{
    struct access_entry e = entry();
    char bytes[256];
    json_t *j;

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(i ? i : 1); /* the reader refuses NUL in strings, not in text */
    e.path = (struct str){bytes, sizeof(bytes)};
    j = parse(&e);
    ck_assert_uint_eq(json_string_length(json_object_get(j, "path")), 128 + 2 * 128);
    json_decref(j);
    e.path = STR("/\"\\\n\x01");
    j = parse(&e);
    ck_assert_str_eq(json_string_value(json_object_get(j, "path")), "/\"\\\n\x01");
    json_decref(j);
}
END_TEST

START_TEST(only_calls_have_a_status_of_grpc)
{
    struct access_entry e = entry();
    json_t *j = parse(&e);

    ck_assert_ptr_null(json_object_get(j, "grpc_status"));
    json_decref(j);
    e.grpc_status = 0;
    j = parse(&e);
    ck_assert_int_eq(json_integer_value(json_object_get(j, "grpc_status")), 0);
    ck_assert(json_is_integer(json_object_get(j, "grpc_status")));
    json_decref(j);
}
END_TEST

START_TEST(fields_have_their_types)
{
    struct access_entry e = entry();
    json_t *j = parse(&e);

    ck_assert_int_eq(json_integer_value(json_object_get(j, "status")), 200);
    ck_assert(json_real_value(json_object_get(j, "duration_ms")) > 12.344);
    ck_assert(json_real_value(json_object_get(j, "duration_ms")) < 12.346);
    ck_assert(json_is_null(json_object_get(j, "service")));
    ck_assert_str_eq(json_string_value(json_object_get(j, "protocol")), "HTTP/1.1");
    json_decref(j);
}
END_TEST

START_TEST(long_fields_are_cut)
{
    struct access_entry e = entry();
    char *big = xmalloc(60000);
    json_t *j;

    memset(big, '"', 60000); /* the worst: six bytes each */
    e.path = (struct str){big, 60000};
    j = parse(&e);
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(j, "path"))), 1024);
    json_decref(j);
    xfree(big);
}
END_TEST

static const char *plain(enum conf_log_format format, const struct access_entry *e)
{
    static char line[ACCESS_LINE + 1];
    size_t n = access_line_write(line, format, e);

    ck_assert_uint_gt(n, 1);
    line[n] = '\0';
    return line;
}

START_TEST(common_and_combined_are_what_log_readers_know)
{
    struct access_entry e = entry();

    e.client = STR("192.0.2.1");
    e.bytes_out = 4711;
    e.referer = STR("http://a/");
    e.user_agent = STR("curl/8");
    ck_assert_str_eq(
        plain(CONF_LOG_COMMON, &e),
        "192.0.2.1 - - [24/Nov/2025:16:00:00 +0000] \"GET /p HTTP/1.1\" 200 4711\n");
    ck_assert_str_eq(plain(CONF_LOG_COMBINED, &e),
                     "192.0.2.1 - - [24/Nov/2025:16:00:00 +0000] \"GET /p HTTP/1.1\" 200 4711 "
                     "\"http://a/\" \"curl/8\"\n");
    e.method = e.referer = e.user_agent = STR_NONE;
    e.status = 0;
    ck_assert_str_eq(plain(CONF_LOG_COMBINED, &e),
                     "192.0.2.1 - - [24/Nov/2025:16:00:00 +0000] \"-\" - 4711 \"-\" \"-\"\n");
}
END_TEST

START_TEST(no_byte_makes_a_second_field_or_line)
{
    struct access_entry e = entry();
    char bytes[256];
    const char *line;
    size_t quotes = 0;

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    e.user_agent = e.path = e.referer = (struct str){bytes, sizeof(bytes)};
    line = plain(CONF_LOG_COMBINED, &e);
    for (const char *c = line; *c; c++) {
        quotes += *c == '"';
        ck_assert(*c >= 0x20 || (*c == '\n' && !c[1]));
        ck_assert(*c < 0x7f);
    }
    ck_assert_uint_eq(quotes, 6);
    ck_assert_ptr_nonnull(strstr(line, "!\\x22#"));
    ck_assert_ptr_nonnull(strstr(line, "[\\x5c]"));
}
END_TEST

START_TEST(good_answers_are_sampled_and_others_never)
{
    static struct access_log l;
    struct access_entry e = entry();
    stat_t dropped = 0;
    size_t line, n = 0;

    access_log_init(&l, &dropped);
    access_log_open(&l, open("/dev/null", O_WRONLY));
    access_log_add(&l, &e);
    line = l.n;
    l.n = 0;
    access_log_set(&l, &(struct conf_access_log){.format = CONF_LOG_JSON, .sample = 30});
    for (int i = 0; i < 10; i++)
        access_log_add(&l, &e);
    ck_assert_uint_eq(l.n, 3 * line);
    e.status = 404;
    for (int i = 0; i < 10; i++)
        access_log_add(&l, &e);
    ck_assert_uint_eq(l.n, 13 * line);
    e.status = 200;
    access_log_set(&l, &(struct conf_access_log){.format = CONF_LOG_JSON, .sample = 0});
    n = l.n;
    for (int i = 0; i < 1000; i++)
        access_log_add(&l, &e);
    ck_assert_uint_eq(l.n, n);
    e.grpc_status = 13;
    access_log_add(&l, &e);
    ck_assert_uint_gt(l.n, n);
    access_log_open(&l, -1);
}
END_TEST

START_TEST(a_reader_that_does_not_read_never_blocks)
{
    static struct access_log l;
    struct access_entry e = entry();
    stat_t dropped = 0;
    uint64_t lines = 0, got = 0;
    char buf[65536];
    ssize_t n;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    access_log_init(&l, &dropped);
    access_log_open(&l, fds[1]);
    for (; stat_get(&dropped) == 0; lines++) {
        ck_assert_uint_lt(lines, 100000);
        access_log_add(&l, &e);
    }
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 16; i++) { /* drain it: every other line is whole */
        while ((n = read(fds[0], buf, sizeof(buf))) > 0)
            for (ssize_t k = 0; k < n; k++)
                got += buf[k] == '\n';
        access_log_flush(&l);
    }
    ck_assert_uint_eq(got + stat_get(&dropped), lines);
    access_log_open(&l, -1);
    close(fds[0]);
}
END_TEST

START_TEST(lines_are_dropped_and_counted_when_the_disk_is_full)
{
    static struct access_log l;
    struct access_entry e = entry();
    stat_t dropped = 0;
    int fd = open("/dev/full", O_WRONLY);

    ck_assert_int_ge(fd, 0);
    access_log_init(&l, &dropped);
    access_log_open(&l, fd);
    for (int i = 0; i < 5; i++)
        access_log_add(&l, &e);
    access_log_flush(&l);
    ck_assert_uint_eq(stat_get(&dropped), 5);
    access_log_open(&l, -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("access_log");
    TCase *t = tcase_create("access_log");

    tcase_add_test(t, every_byte_makes_good_json);
    tcase_add_test(t, only_calls_have_a_status_of_grpc);
    tcase_add_test(t, fields_have_their_types);
    tcase_add_test(t, long_fields_are_cut);
    tcase_add_test(t, common_and_combined_are_what_log_readers_know);
    tcase_add_test(t, no_byte_makes_a_second_field_or_line);
    tcase_add_test(t, good_answers_are_sampled_and_others_never);
    tcase_add_test(t, a_reader_that_does_not_read_never_blocks);
    tcase_add_test(t, lines_are_dropped_and_counted_when_the_disk_is_full);
    suite_add_tcase(s, t);
    return unit_run(s);
}

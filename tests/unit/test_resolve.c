/*
 * test_resolve.c - numbers, the hosts file, and a resolver of our own that answers late: the
 * loop goes on meanwhile.
 */
#include "control/link/resolve.h"

#include "proxy/base/str.h"
#include "proxy/event/loop.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static struct timer tick;
static unsigned ticks, calls;
static size_t found;
static char first[64], reason[128];
static int resolver; /* UDP */
static char resolver_address[32];

static void on_tick(void *arg)
{
    (void)arg;
    ticks++;
    timer_start(&tick, 1);
}

static void setup(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    loop = loop_new();
    timer_init(&tick, loop, on_tick, NULL);
    timer_start(&tick, 1);
    ticks = calls = 0;
    resolver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(resolver, (struct sockaddr *)&at, len), 0);
    getsockname(resolver, (struct sockaddr *)&at, &len);
    snprintf(resolver_address, sizeof(resolver_address), "127.0.0.1:%u", ntohs(at.sin_port));
}

static void teardown(void)
{
    timer_stop(&tick);
    loop_turn(loop); /* what was buried */
    loop_free(loop);
    close(resolver);
}

static void on_answer(void *arg, const struct sockaddr_storage *list, size_t n, const char *why)
{
    (void)arg;
    calls++;
    found = n;
    ck_assert((list != NULL) == (n > 0));
    str_copy(reason, sizeof(reason), str_of(why));
    if (!list)
        return;
    const struct sockaddr_in *v4 = (const void *)list;
    const struct sockaddr_in6 *v6 = (const void *)list;
    inet_ntop(list->ss_family,
              list->ss_family == AF_INET ? (const void *)&v4->sin_addr
                                         : (const void *)&v6->sin6_addr,
              first, sizeof(first));
    ck_assert_uint_eq(ntohs(list->ss_family == AF_INET ? v4->sin_port : v6->sin6_port), 6379);
}

static struct resolve *ask(const char *host, uint64_t timeout_ms)
{
    struct str list[1] = {str_of(resolver_address)};
    struct conf_dns conf = {.resolvers = list, .nresolvers = 1, .timeout_ms = timeout_ms};
    struct resolve *r = resolve_start(loop, &conf, host, 6379, on_answer, NULL);

    ck_assert_uint_eq(calls, 0); /* never before it returns */
    return r;
}

static void wait_for_answer(void)
{
    while (calls == 0)
        loop_turn(loop);
    ck_assert_uint_eq(calls, 1);
}

START_TEST(numbers_are_addresses)
{
    ck_assert_ptr_nonnull(ask("10.1.2.3", 1000));
    wait_for_answer();
    ck_assert_str_eq(first, "10.1.2.3");
    calls = 0;
    ck_assert_ptr_nonnull(ask("2001:db8::7", 1000));
    wait_for_answer();
    ck_assert_str_eq(first, "2001:db8::7");
    calls = 0;
    ck_assert_ptr_nonnull(ask("localhost", 1000));
    wait_for_answer();
    ck_assert_uint_ge(found, 1);
}
END_TEST

/* The next question, answered with 10.9.8.7 if it is for an IPv4 address, else with nothing. */
static bool answer_one(void)
{
    static const char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\x09\x08\x07";
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    char msg[1024];
    ssize_t n = recvfrom(resolver, msg, 512, 0, (struct sockaddr *)&from, &len);
    size_t end = 12;

    if (n < 12)
        return false;
    while (end < (size_t)n && msg[end])
        end += 1 + (size_t)msg[end];
    end += 5; /* the root, type, class; what follows is left out */
    bool v4 = msg[end - 3] == 1;
    msg[2] = (char)0x81;
    msg[3] = (char)0x80;
    msg[7] = v4;
    msg[9] = msg[11] = 0;
    memcpy(msg + end, record, sizeof(record) - 1);
    end += v4 ? sizeof(record) - 1 : 0;
    sendto(resolver, msg, end, 0, (struct sockaddr *)&from, len);
    return true;
}

START_TEST(the_loop_goes_on_meanwhile)
{
    ck_assert_ptr_nonnull(ask("late.test", 60000));
    while (ticks < 20) /* nobody answers, and yet */
        loop_turn(loop);
    ck_assert_uint_eq(calls, 0);
    while (calls == 0) {
        answer_one();
        loop_turn(loop);
    }
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(found, 1);
    ck_assert_str_eq(first, "10.9.8.7");
}
END_TEST

START_TEST(no_answer_is_a_reason)
{
    ck_assert_ptr_nonnull(ask("silent.test", 10));
    wait_for_answer();
    ck_assert_uint_eq(found, 0);
    ck_assert_str_eq(reason, "no answer to a question for its address");
}
END_TEST

START_TEST(who_cancels_is_not_called)
{
    struct resolve *r = ask("late.test", 10);

    loop_turn(loop);
    resolve_cancel(r);
    resolve_cancel(ask("10.1.2.3", 10));
    resolve_cancel(NULL);
    for (ticks = 0; ticks < 30;)
        loop_turn(loop);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("resolve");
    TCase *t = tcase_create("resolve");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, numbers_are_addresses);
    tcase_add_test(t, the_loop_goes_on_meanwhile);
    tcase_add_test(t, no_answer_is_a_reason);
    tcase_add_test(t, who_cancels_is_not_called);
    suite_add_tcase(s, t);
    return unit_run(s);
}

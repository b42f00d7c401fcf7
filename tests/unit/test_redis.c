/*
 * test_redis.c - the Redis client against a real server, and against none.
 *
 * Every test turns the loop until what it waits for has come, or fails after five seconds.
 */
#include "control/link/redis.h"

#include "proxy/base/mem.h"
#include "proxy/event/loop.h"
#include "tests/unit/redis_server.h"
#include "tests/unit/unit.h"

#include <check.h>

struct world {
    struct loop *loop;
    struct redis *redis;
    struct timer tick;
    struct redis_server server;
    unsigned ups, downs, answers, failures, messages;
    char text[256]; /* of the latest answer or reason */
    char message[64];
    int64_t number;
};

static void on_tick(void *arg)
{
    struct world *w = arg;

    timer_start(&w->tick, 5);
}

static void on_up(void *arg)
{
    ((struct world *)arg)->ups++;
}

static void on_down(void *arg, const char *why)
{
    struct world *w = arg;

    w->downs++;
    str_copy(w->text, sizeof(w->text), str_of(why));
}

static void on_message(void *arg, struct str text)
{
    struct world *w = arg;

    w->messages++;
    str_copy(w->message, sizeof(w->message), text);
}

static const struct redis_events events = {on_up, on_down, on_message};

static void on_answer(void *arg, const struct resp *r, const char *why)
{
    struct world *w = arg;

    ck_assert((r == NULL) == (why != NULL));
    w->answers++;
    w->failures += r == NULL;
    w->number = r && r->type == RESP_INT ? r->n : -1;
    str_copy(w->text, sizeof(w->text), r ? r->s : str_of(why));
}

static void begin(struct world *w)
{
    *w = (struct world){.loop = loop_new()};
    timer_init(&w->tick, w->loop, on_tick, w);
    timer_start(&w->tick, 5);
}

static struct redis *open_to(struct world *w, const char *credentials, const char *channel,
                             uint64_t command_ms, size_t max_reply)
{
    char *url = xasprintf("redis://%s127.0.0.1:%d/1", credentials, w->server.port);
    char *why = NULL;
    struct redis_options o = {.url = str_of(url),
                              .channel = str_of(channel),
                              .connect_ms = 1000,
                              .command_ms = command_ms,
                              .backoff_max_ms = 200,
                              .max_reply = max_reply};
    struct redis *r = redis_open(w->loop, &o, &events, w, &why);

    ck_assert_msg(r != NULL, "%s", why);
    xfree(url);
    return r;
}

static void end(struct world *w)
{
    redis_close(w->redis);
    timer_stop(&w->tick);
    loop_free(w->loop);
    redis_server_stop(&w->server);
}

/* Turn the loop until *COUNT is at least WANT. */
static void wait_for(struct world *w, const unsigned *count, unsigned want)
{
    uint64_t end_ms = loop_now_ms(w->loop) + 60000;

    while (*count < want) {
        loop_turn(w->loop);
        ck_assert_msg(loop_now_ms(w->loop) < end_ms, "waited in vain; last: %s", w->text);
    }
}

static void command(struct world *w, const char *a, const char *b, const char *c)
{
    struct str argv[3] = {str_of(a), str_of(b), str_of(c)};
    unsigned before = w->answers;

    redis_command(w->redis, c ? 3 : b ? 2 : 1, argv, on_answer, w);
    ck_assert_uint_eq(w->answers, before); /* never before it returns */
}

START_TEST(commands_are_answered_in_order)
{
    struct world w;

    begin(&w);
    ck_assert(redis_server_start(&w.server));
    w.redis = open_to(&w, "", NULL, 0, 0);
    ck_assert(!redis_is_up(w.redis));
    wait_for(&w, &w.ups, 1);
    ck_assert(redis_is_up(w.redis));
    command(&w, "SET", "a", "hello \r\n world");
    command(&w, "GET", "a", NULL);
    wait_for(&w, &w.answers, 2);
    ck_assert_str_eq(w.text, "hello \r\n world");
    command(&w, "GET", "nothing", NULL);
    wait_for(&w, &w.answers, 3);
    ck_assert_str_eq(w.text, "");
    command(&w, "NONSENSE", NULL, NULL);
    wait_for(&w, &w.answers, 4);
    ck_assert(strstr(w.text, "ERR unknown command") != NULL);
    for (int i = 0; i < 1000; i++)
        command(&w, "INCR", "n", NULL);
    wait_for(&w, &w.answers, 1004);
    ck_assert_int_eq(w.number, 1000);
    ck_assert_uint_eq(w.failures, 0);
    end(&w);
}
END_TEST

START_TEST(comes_back_after_a_loss)
{
    struct world w;

    begin(&w);
    ck_assert(redis_server_start(&w.server));
    w.redis = open_to(&w, "", NULL, 0, 0);
    wait_for(&w, &w.ups, 1);
    redis_server_stop(&w.server);
    command(&w, "GET", "a", NULL); /* perhaps sent, surely not answered */
    wait_for(&w, &w.failures, 1);
    wait_for(&w, &w.downs, 1);
    command(&w, "GET", "a", NULL);
    wait_for(&w, &w.failures, 2);
    ck_assert_str_eq(w.text, "not connected");
    ck_assert(redis_server_start(&w.server));
    wait_for(&w, &w.ups, 2);
    command(&w, "SET", "a", "b");
    wait_for(&w, &w.answers, 3);
    ck_assert_uint_eq(w.failures, 2);
    end(&w);
}
END_TEST

START_TEST(no_server_is_down_and_tried_again)
{
    struct world w;

    begin(&w);
    ck_assert(redis_server_start(&w.server));
    redis_server_stop(&w.server); /* the port is free, surely */
    w.redis = open_to(&w, "", NULL, 0, 0);
    wait_for(&w, &w.downs, 3);
    ck_assert_uint_eq(w.ups, 0);
    ck_assert(strstr(w.text, "connect") != NULL);
    end(&w);
}
END_TEST

START_TEST(a_server_that_hangs_is_left)
{
    struct world w;

    begin(&w);
    ck_assert(redis_server_start(&w.server));
    w.redis = open_to(&w, "", NULL, 200, 0);
    wait_for(&w, &w.ups, 1);
    kill(w.server.pid, SIGSTOP);
    command(&w, "GET", "a", NULL);
    command(&w, "GET", "b", NULL);
    wait_for(&w, &w.failures, 2);
    ck_assert(strstr(w.text, "no answer within 200 ms") != NULL);
    ck_assert_uint_ge(w.downs, 1);
    kill(w.server.pid, SIGCONT);
    wait_for(&w, &w.ups, 2);
    end(&w);
}
END_TEST

START_TEST(passwords)
{
    struct world w;

    begin(&w);
    w.server.password = "p@ss/word";
    ck_assert(redis_server_start(&w.server));
    w.redis = open_to(&w, "", NULL, 0, 0);
    wait_for(&w, &w.downs, 1);
    ck_assert(strstr(w.text, "NOAUTH") != NULL);
    redis_close(w.redis);
    w.redis = open_to(&w, ":wrong@", NULL, 0, 0);
    wait_for(&w, &w.downs, 2);
    ck_assert(strstr(w.text, "WRONGPASS") != NULL || strstr(w.text, "invalid") != NULL);
    redis_close(w.redis);
    w.redis = open_to(&w, "default:p%40ss%2fword@", NULL, 0, 0);
    wait_for(&w, &w.ups, 1);
    end(&w);
}
END_TEST

START_TEST(messages_of_a_channel)
{
    struct redis *listener;
    struct world w;

    begin(&w);
    ck_assert(redis_server_start(&w.server));
    listener = open_to(&w, "", "news", 0, 0);
    w.redis = open_to(&w, "", NULL, 0, 0);
    wait_for(&w, &w.ups, 2);
    command(&w, "PUBLISH", "other", "x");
    command(&w, "PUBLISH", "news", "epoch 7");
    wait_for(&w, &w.answers, 2);
    wait_for(&w, &w.messages, 1);
    ck_assert_str_eq(w.message, "epoch 7");
    ck_assert_uint_eq(w.messages, 1);
    redis_close(listener);
    end(&w);
}
END_TEST

START_TEST(answers_are_bounded)
{
    char *big = xmalloc(300001);
    struct world w;

    memset(big, 'x', 300000);
    big[300000] = 0;
    begin(&w);
    ck_assert(redis_server_start(&w.server));
    w.redis = open_to(&w, "", NULL, 0, 200000);
    wait_for(&w, &w.ups, 1);
    command(&w, "SET", "big", big);
    wait_for(&w, &w.answers, 1);
    ck_assert_uint_eq(w.failures, 0);
    command(&w, "GET", "big", NULL);
    wait_for(&w, &w.failures, 1);
    ck_assert_str_eq(w.text, "an answer of more than 200000 bytes");
    end(&w);
    xfree(big);
}
END_TEST

START_TEST(closing_tells_nobody)
{
    struct world w;

    begin(&w);
    ck_assert(redis_server_start(&w.server));
    w.redis = open_to(&w, "", NULL, 0, 0);
    wait_for(&w, &w.ups, 1);
    command(&w, "GET", "a", NULL);
    redis_close(w.redis);
    redis_close(w.redis);
    w.redis = NULL;
    for (int i = 0; i < 20; i++)
        loop_turn(w.loop);
    ck_assert_uint_eq(w.answers, 0);
    ck_assert_uint_eq(w.downs, 0);
    end(&w);
}
END_TEST

START_TEST(bad_urls)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1:6379",
                                      "rediss:/127.0.0.1",
                                      "redis://",
                                      "redis://:6379",
                                      "redis://h:0",
                                      "redis://h:99999",
                                      "redis://h:x",
                                      "redis://h/db",
                                      "redis://[::1]x"};
    struct world w;

    begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct redis_options o = {.url = str_of(bad[i])};
        char *why = NULL;

        ck_assert_msg(redis_open(w.loop, &o, &events, &w, &why) == NULL, "%s", bad[i]);
        ck_assert_ptr_nonnull(why);
        xfree(why);
    }
    end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis");
    TCase *t = tcase_create("redis");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, commands_are_answered_in_order);
    tcase_add_test(t, comes_back_after_a_loss);
    tcase_add_test(t, no_server_is_down_and_tried_again);
    tcase_add_test(t, a_server_that_hangs_is_left);
    tcase_add_test(t, passwords);
    tcase_add_test(t, messages_of_a_channel);
    tcase_add_test(t, answers_are_bounded);
    tcase_add_test(t, closing_tells_nobody);
    tcase_add_test(t, bad_urls);
    return unit_run(s);
}

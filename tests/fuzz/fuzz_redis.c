/*
 * fuzz_redis.c - a server that answers a Redis connection with anything, in pieces. Commands
 * are answered at most once, in order, never inside redis_command; what is taken of an answer
 * is within its bound.
 *
 * Input: a byte of ways (bit 0: a listener; 1: the server hangs up; the rest: the size of
 * pieces), then what the server says.
 */
#include "control/link/redis.h"
#include "proxy/base/mem.h"
#include "proxy/event/loop.h"
#include "tests/fuzz/input.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define COMMANDS  3
#define REPLY_MAX 4096
#define INPUT_MAX 8192

static struct world {
    struct loop *loop;
    struct timer tick; /* a turn is never long */
    int listening;
    char url[64];
    struct redis *redis;
    bool up, down, asking;
    unsigned asked, answered;
} world;

static size_t size_of(const struct resp *r)
{
    size_t n = r->s.n;

    for (size_t i = 0; i < r->nitems; i++)
        n += size_of(&r->items[i]);
    return n;
}

static void on_answer(void *arg, const struct resp *r, const char *why)
{
    const unsigned *number = arg;

    ASSERT(!world.asking && (r == NULL) == (why != NULL));
    ASSERT(*number == world.answered);
    world.answered++;
    ASSERT(!r || size_of(r) <= INPUT_MAX);
}

static void on_up(void *arg)
{
    static const unsigned numbers[COMMANDS] = {0, 1, 2};
    struct str get[2] = {STR("GET"), STR("key")};

    (void)arg;
    ASSERT(!world.up && !world.down && redis_is_up(world.redis));
    world.up = true;
    world.asking = true;
    for (; world.asked < COMMANDS; world.asked++)
        redis_command(world.redis, 2, get, on_answer, (void *)(uintptr_t)&numbers[world.asked]);
    world.asking = false;
}

static void on_listening(void *arg)
{
    (void)arg;
    ASSERT(!world.up && !world.down);
    world.up = true;
}

static void on_message(void *arg, struct str text)
{
    (void)arg;
    ASSERT(world.up && !world.down && text.n <= INPUT_MAX);
}

static void on_down(void *arg, const char *why)
{
    (void)arg;
    ASSERT(!world.down && why[0]);
    world.down = true;
}

static void on_tick(void *arg)
{
    (void)arg;
    timer_start(&world.tick, 1);
}

static void set_up(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    world.loop = loop_new();
    world.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(world.listening, (struct sockaddr *)&at, len) == 0);
    ASSERT(listen(world.listening, 4) == 0);
    ASSERT(getsockname(world.listening, (struct sockaddr *)&at, &len) == 0);
    snprintf(world.url, sizeof(world.url), "redis://127.0.0.1:%u", ntohs(at.sin_port));
    timer_init(&world.tick, world.loop, on_tick, NULL);
    timer_start(&world.tick, 1);
}

/* The server's end of the connection. */
static int take_peer(void)
{
    struct linger gone = {.l_onoff = 1}; /* no port waits for its name to be forgotten */
    struct pollfd p = {.fd = world.listening, .events = POLLIN};
    int fd;

    while (poll(&p, 1, 0) == 0)
        loop_turn(world.loop);
    fd = accept4(world.listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ASSERT(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &gone, sizeof(gone));
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct redis_events commands = {on_up, on_down, NULL};
    static const struct redis_events listener = {on_listening, on_down, on_message};
    struct str in = {(const char *)data, n};
    uint8_t how = take(&in);
    size_t piece = 1 + (size_t)(how >> 2) * 8;
    char *why = NULL;

    if (n > INPUT_MAX)
        return -1;
    if (!world.loop)
        set_up();
    world.up = world.down = false;
    world.asked = world.answered = 0;
    struct redis_options o = {.url = str_of(world.url), .max_reply = REPLY_MAX};
    o.channel = how & 1 ? STR("news") : STR("");
    world.redis = redis_open(world.loop, &o, how & 1 ? &listener : &commands, NULL, &why);
    ASSERT(world.redis);

    int peer = take_peer();
    for (unsigned pieces = 0; in.n && !world.down && pieces < 64; pieces++) {
        struct str now = {in.p, in.n < piece ? in.n : piece};

        ASSERT(send(peer, now.p, now.n, MSG_NOSIGNAL) == (ssize_t)now.n);
        in = str_skip(in, now.n);
        loop_turn(world.loop);
        loop_turn(world.loop);
    }
    if (how & 2) {
        shutdown(peer, SHUT_WR);
        while (!world.down)
            loop_turn(world.loop);
        loop_turn(world.loop);
        ASSERT(world.answered == world.asked);
    }
    redis_close(world.redis);
    loop_turn(world.loop);
    close(peer);
    ASSERT(world.answered <= world.asked);
    return 0;
}

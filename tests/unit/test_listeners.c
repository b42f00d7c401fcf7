/* test_listeners.c - which sockets stay and which come and go when the config changes. */
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/listen.h"
#include "proxy/proc/listeners.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SLOTS 2

static struct {
    struct listeners *set;
    struct conf_diags diags;
    char log[256]; /* "-a +b", in the order of the calls */
} t;

static void on_removed(void *arg, const char *name)
{
    size_t n = strlen(t.log);

    (void)arg;
    snprintf(t.log + n, sizeof(t.log) - n, "-%s ", name);
}

static void on_added(void *arg, const char *name, const int *fds)
{
    size_t n = strlen(t.log);

    (void)arg;
    snprintf(t.log + n, sizeof(t.log) - n, "+%s ", name);
    for (int i = 0; i < SLOTS; i++)
        ck_assert_uint_ne(listen_port(fds[i]), 0);
}

static const struct listeners_callbacks callbacks = {on_removed, on_added};

static void setup(void)
{
    t.set = listeners_new(SLOTS);
    conf_diags_init(&t.diags);
}

static void teardown(void)
{
    listeners_free(t.set);
    conf_diags_release(&t.diags);
}

static struct conf_listener at(const char *name, uint16_t port)
{
    return (struct conf_listener){.name = str_of(name),
                                  .address = STR("127.0.0.1:?"),
                                  .host = STR("127.0.0.1"),
                                  .port = port};
}

/* A config with these listeners, for as long as the call. */
static int update(struct conf_listener *list, size_t n)
{
    struct conf c = {.listeners = list, .nlisteners = n};

    t.log[0] = '\0';
    return listeners_update(t.set, &c, &t.diags, &callbacks, NULL);
}

static uint16_t unused_port(void)
{
    uint16_t port;
    int fd;

    ck_assert_int_eq(listen_tcp("127.0.0.1", 0, &fd, 1), 0);
    port = listen_port(fd);
    sys_close(fd);
    return port;
}

static ino_t inode(size_t i, unsigned slot)
{
    struct stat st;

    ck_assert_int_eq(fstat(listeners_fd(t.set, i, slot), &st), 0);
    return st.st_ino;
}

START_TEST(test_come_and_go)
{
    uint16_t a = unused_port(), b = unused_port();
    ino_t kept;

    ck_assert_int_eq(update((struct conf_listener[]){at("a", a)}, 1), 0);
    ck_assert_str_eq(t.log, "+a ");
    kept = inode(0, 1);
    ck_assert_int_eq(update((struct conf_listener[]){at("b", b), at("a", a)}, 2), 0);
    ck_assert_str_eq(t.log, "+b ");
    ck_assert_str_eq(listeners_name(t.set, 1), "a");
    ck_assert_uint_eq(inode(1, 1), kept); /* its queue was never closed */
    ck_assert_int_eq(update((struct conf_listener[]){at("b", b)}, 1), 0);
    ck_assert_str_eq(t.log, "-a ");
    ck_assert_uint_eq(listeners_count(t.set), 1);
    ck_assert_int_eq(update((struct conf_listener[]){at("a", a)}, 1), 0); /* free again */
    ck_assert_str_eq(t.log, "-b +a ");
}
END_TEST

START_TEST(test_new_name_keeps_the_socket)
{
    uint16_t a = unused_port();
    ino_t kept;

    ck_assert_int_eq(update((struct conf_listener[]){at("old", a)}, 1), 0);
    kept = inode(0, 0);
    ck_assert_int_eq(update((struct conf_listener[]){at("new", a)}, 1), 0);
    ck_assert_str_eq(t.log, "-old +new ");
    ck_assert_uint_eq(inode(0, 0), kept);
}
END_TEST

START_TEST(test_same_name_moves)
{
    uint16_t a = unused_port(), b = unused_port();

    ck_assert_int_eq(update((struct conf_listener[]){at("web", a)}, 1), 0);
    ck_assert_int_eq(update((struct conf_listener[]){at("web", b)}, 1), 0);
    ck_assert_str_eq(t.log, "-web +web ");
    ck_assert_uint_eq(listen_port(listeners_fd(t.set, 0, 0)), b);
}
END_TEST

START_TEST(test_failure_changes_nothing)
{
    uint16_t a = unused_port();
    ino_t kept;
    int taken;

    ck_assert_int_eq(listen_tcp("127.0.0.1", 0, &taken, 1), 0);
    ck_assert_int_eq(update((struct conf_listener[]){at("a", a)}, 1), 0);
    kept = inode(0, 0);
    ck_assert_int_eq(
        update((struct conf_listener[]){at("a", a), at("b", listen_port(taken))}, 2), -1);
    ck_assert_str_eq(t.log, "");
    ck_assert_uint_eq(t.diags.list.n, 1);
    ck_assert(str_eq(t.diags.list.v[0].pointer, STR("/listeners/b/address")));
    ck_assert_ptr_nonnull(strstr(t.diags.list.v[0].message.p, "Address already in use"));
    ck_assert_uint_eq(listeners_count(t.set), 1);
    ck_assert_uint_eq(inode(0, 0), kept);
    sys_close(taken);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listeners");
    TCase *c = tcase_create("listeners");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_come_and_go);
    tcase_add_test(c, test_new_name_keeps_the_socket);
    tcase_add_test(c, test_same_name_moves);
    tcase_add_test(c, test_failure_changes_nothing);
    suite_add_tcase(s, c);
    return unit_run(s);
}

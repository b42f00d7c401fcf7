/* test_listen.c - sockets that listen: shared ports, refusals, the socket file. */
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/listen.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int option(int fd, int level, int name)
{
    int v = 0;
    socklen_t n = sizeof(v);

    ck_assert_int_eq(getsockopt(fd, level, name, &v, &n), 0);
    return v;
}

START_TEST(test_group_shares_one_port)
{
    int fds[3];
    uint16_t port;

    ck_assert_int_eq(listen_tcp("127.0.0.1", 0, fds, 3), 0);
    port = listen_port(fds[0]);
    ck_assert_uint_ne(port, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(listen_port(fds[i]), port);
        ck_assert(option(fds[i], SOL_SOCKET, SO_ACCEPTCONN));
        ck_assert(option(fds[i], IPPROTO_TCP, TCP_NODELAY));
        ck_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        ck_assert(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        sys_close(fds[i]);
    }
}
END_TEST

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), tries = 1;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &tries, sizeof(tries)), 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    tries = errno;
    sys_close(fd);
    errno = tries;
    return -1;
}

START_TEST(test_hushed_socket_keeps_who_is_in)
{
    int fd, client, server;
    char said[2];

    ck_assert_int_eq(listen_tcp("127.0.0.1", 0, &fd, 1), 0);
    client = connect_to(listen_port(fd));
    ck_assert_int_ge(client, 0);
    ck_assert_int_eq(listen_hush(fd), 0);
    ck_assert_int_eq(connect_to(listen_port(fd)), -1); /* not refused: asked for in vain */
    ck_assert_int_eq(errno, ETIMEDOUT);
    server = accept(fd, NULL, NULL);
    ck_assert_int_ge(server, 0);
    ck_assert_int_eq(write(client, "ab", 2), 2);
    ck_assert_int_eq(read(server, said, 2), 2);
    ck_assert_int_eq(write(server, "cd", 2), 2);
    ck_assert_int_eq(read(client, said, 2), 2);
    sys_close(client);
    sys_close(server);
    sys_close(fd);
}
END_TEST

START_TEST(test_taken_port_is_refused)
{
    int first[2], second[2];

    ck_assert_int_eq(listen_tcp("127.0.0.1", 0, first, 2), 0);
    /* The same user could share it; two proxies that split one port would be a bad joke. */
    errno = 0;
    ck_assert_int_eq(listen_tcp("127.0.0.1", listen_port(first[0]), second, 2), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_int_eq(listen_tcp("127.0.0.1", listen_port(first[0]), second, 1), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    sys_close(first[0]);
    sys_close(first[1]);
}
END_TEST

START_TEST(test_bad_address)
{
    int fd;

    ck_assert_int_eq(listen_tcp("localhost", 1, &fd, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(listen_tcp("192.0.2.1", 1, &fd, 1), -1); /* nobody here is that */
}
END_TEST

START_TEST(test_socket_file)
{
    char dir[] = "/tmp/test_listen.XXXXXX", *path;
    struct stat st;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    path = xasprintf("%s/s", dir);
    fd = listen_unix(path, 0640);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);

    ck_assert_int_eq(listen_unix(path, 0600), -1); /* alive */
    ck_assert_int_eq(errno, EADDRINUSE);
    sys_close(fd);
    fd = listen_unix(path, 0600); /* stale */
    ck_assert_int_ge(fd, 0);
    sys_close(fd);
    unlink(path);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* somebody's file */
    sys_close(fd);
    ck_assert_int_eq(listen_unix(path, 0600), -1);
    ck_assert_int_eq(errno, EEXIST);
    unlink(path);
    rmdir(dir);
    xfree(path);
}
END_TEST

START_TEST(test_path_too_long)
{
    char path[200];

    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    ck_assert_int_eq(listen_unix(path, 0600), -1);
    ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listen");
    TCase *c = tcase_create("listen");

    tcase_add_test(c, test_group_shares_one_port);
    tcase_add_test(c, test_hushed_socket_keeps_who_is_in);
    tcase_add_test(c, test_taken_port_is_refused);
    tcase_add_test(c, test_bad_address);
    tcase_add_test(c, test_socket_file);
    tcase_add_test(c, test_path_too_long);
    suite_add_tcase(s, c);
    return unit_run(s);
}

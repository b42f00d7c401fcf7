/*
 * redis_server.h - a real redis-server for one test: on a free port, without persistence,
 * killed by its pid.
 */
#pragma once
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_server {
    pid_t pid; /* 0: not running */
    int port;
    const char *password; /* NULL: none */
};

static inline int redis_server_answers(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ok;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return ok;
}

/* The kernel's choice, or PORT again. Returns 0 when there is no redis-server to run. */
static inline int redis_server_start(struct redis_server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    char port[8];

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (s->port == 0) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
            getsockname(fd, (struct sockaddr *)&at, &len) != 0)
            return 0;
        s->port = ntohs(at.sin_port);
        close(fd);
    }
    snprintf(port, sizeof(port), "%d", s->port);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing */
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save",
               "", "--appendonly", "no", "--loglevel", "warning", "--dir", "/tmp",
               s->password ? "--requirepass" : (char *)NULL, s->password, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        if (redis_server_answers(s->port))
            return 1;
        usleep(10000);
    }
    return 0;
}

static inline void redis_server_stop(struct redis_server *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

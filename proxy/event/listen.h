/*
 * listen.h - listening sockets, opened once by the supervisor and inherited by who accepts.
 *
 * Every descriptor that comes out of here is close-on-exec, non-blocking and listening.
 */
#pragma once
#include "proxy/base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Open N sockets on the numeric address HOST ("127.0.0.1", "::") and PORT; all of them or none.
 * With N > 1 they share the port (SO_REUSEPORT) and the kernel spreads new connections over
 * them. PORT 0: the kernel picks one, the same for all; ask listen_port. Accepted connections
 * inherit TCP_NODELAY. An IPv6 address takes IPv6 only. An address that anybody listens on
 * already is refused, also when that one would share it. 0, or -1 and errno (EINVAL: HOST is
 * not an address).
 */
MUST_CHECK int listen_tcp(const char *host, uint16_t port, int *fds, size_t n);

/* The local port of a socket from listen_tcp; 0 when it has none. */
uint16_t listen_port(int fd);

/*
 * From now on the listening TCP socket FD, however many processes share it, drops what asks for
 * a new connection; handshakes under way go on. The asker's kernel asks again after a second.
 * 0, or -1 and errno.
 */
MUST_CHECK int listen_hush(int fd);

/*
 * A socket file at PATH with exactly MODE. A stale one, which nobody answers on, is replaced; a
 * live one is EADDRINUSE and anything that is not a socket EEXIST. Returns the descriptor, or
 * -1 and errno. The caller unlinks PATH when it is done.
 */
MUST_CHECK int listen_unix(const char *path, mode_t mode);

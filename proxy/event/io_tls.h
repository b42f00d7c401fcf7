/*
 * io_tls.h - TLS below an io: for io.c only.
 *
 * What OpenSSL wants to send lands in blocks of our own and goes out with the turn's one send;
 * what it wants to read comes from one recv a wake-up, as much as its buffer holds.
 */
#pragma once
#include "proxy/event/io.h"

void io_tls_set_init(struct io_set *set);
void io_tls_set_release(struct io_set *set);

/* A step of the handshake: 1 over, 0 the peer's turn, -1 failed (io->error, or EPROTO). */
int io_tls_shake(struct io *io);
/* As recv: bytes that were decrypted into P[0..ROOM), 0 at the end, -1 and errno. */
ssize_t io_tls_recv(struct io *io, char *p, size_t room);
/* Bytes that are here already will not make the socket readable: come back for them. */
void io_tls_read_later(struct io *io);
/* Encrypt of io->out what is worth one send, and return what is to be sent. */
struct block_list *io_tls_seal(struct io *io);
/* Queue close_notify, at most once. */
void io_tls_farewell(struct io *io);
/* Say farewell as far as the socket takes it, and let go of everything. */
void io_tls_close(struct io *io);

/*
 * ring.h - many sends in one system call, through io_uring.
 *
 * Not asynchronous: sends are collected, then ring_submit hands all of them to the kernel and
 * comes back with what became of each, as send(2) with MSG_DONTWAIT would have said it. So
 * nothing is in flight between two calls and descriptors and buffers may go at any time.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct ring;

/* NULL and errno: the kernel has no io_uring (or an old one), or forbids it, or this program
 * was built without it (ENOSYS). */
struct ring *ring_new(void);
void ring_free(struct ring *r); /* NULL is a no-op */

/* Collect a send of S to FD for WHO. False: as many as fit are waiting, submit first. */
bool ring_send(struct ring *r, int fd, struct str s, void *who) MUST_CHECK;

/* RC: bytes that were taken, maybe fewer than asked, or a negative errno (-EAGAIN: full). */
typedef void ring_cb(void *who, int rc);
/* Do all of them; DONE is called once for each, before this returns, and sends nothing. */
void ring_submit(struct ring *r, ring_cb *done);

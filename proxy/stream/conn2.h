/*
 * conn2.h - HTTP/2 on a client's connection: between its io, the session and the streams.
 *
 * The conn stays the owner of socket, deadline and address; it hands all input here once it
 * knows what is spoken. What the streams of a turn have to say leaves in one write.
 */
#pragma once
#include "proxy/stream/conn.h"

struct conn2;
/* Where connections and their streams are taken from. */
void conn2_slabs(struct slab *conns, struct slab *lanes);
struct conn2 *conn2_new(struct conn *c);
void conn2_read(struct conn2 *h); /* c->io.in has bytes */
void conn2_drained(struct conn2 *h);
void conn2_deadline(struct conn2 *h);
/* No stream is open, nor any on its way: the conn's deadline is that of idle ones. */
bool conn2_is_idle(const struct conn2 *h);
/* The conn is about to be closed: say that nothing came after what was answered. */
void conn2_part(struct conn2 *h);
/* The plane drains: no new streams after those the client has opened. */
void conn2_drain(struct conn2 *h);
/* All streams end as WHY and nothing follows; freed when the turn is over. */
void conn2_close(struct conn2 *h, enum ending why);

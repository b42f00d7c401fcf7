/*
 * announce.h - the PROXY header that tells an endpoint who a request comes from.
 *
 * It speaks for a whole connection, so a connection that begins with one carries one exchange
 * and is never pooled: nobody else's request can go out under a client's address.
 */
#pragma once
#include "proxy/http/proxy_header.h"
#include "proxy/stream/stream.h"

/* Connect to EP as upconn_connect does; the header of VERSION goes first: from the client of S,
 * to the address it connected to. NULL: errno. */
struct upconn *announce_connect(const struct stream *s, struct endpoint *ep, int version,
                                loop_cb *on_open);

/*
 * announce.h - the PROXY header that tells an endpoint who a request comes from.
 *
 * It speaks for a whole connection, so a connection that begins with one carries one exchange
 * and is never pooled: nobody else's request can go out under a client's address.
 */
#pragma once
#include "proxy/http/proxy_header.h"
#include "proxy/stream/stream.h"

/* The header of VERSION for S into ROOM: from its client, to the address it connected to. */
struct str announce_client(const struct stream *s, int version, char room[PROXY_HEADER_OUT]);

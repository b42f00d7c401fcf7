/*
 * forwarded.h - who a request comes from, when proxies in front are trusted to say so.
 *
 * Only the part of X-Forwarded-For that trusted proxies wrote counts: from its right end to the
 * first address that is not one of them. What stands left of that anybody can have written.
 * Pure.
 */
#pragma once
#include "proxy/base/network.h"
#include "proxy/http/head_write.h"

/*
 * The address of the client of REQ, which came from PEER: the rightmost of X-Forwarded-For that
 * none of the N networks at TRUSTED holds; the leftmost when they hold all; PEER when the first
 * from the right is no address. PEER itself is trusted. Borrowed, without port and brackets.
 */
struct str forwarded_client(const struct head *req, const struct network *trusted, size_t n,
                            struct str peer);

/* X-Forwarded-For with what REQ has of it (when TRUSTED) and PEER behind that. */
void forwarded_write_for(struct out *o, const struct head *req, bool trusted, struct str peer);
/* The same for Forwarded (RFC 7239): "for", "host" (left out when empty) and "proto". */
void forwarded_write_element(struct out *o, const struct head *req, bool trusted,
                             struct str peer, struct str host, struct str proto);
/* Bytes of these fields and of X-Forwarded-Host for REQ from PEER, at most. */
size_t forwarded_size(const struct head *req, struct str peer, struct str host);
/* What REQ says in X-Forwarded-Proto: "http" or "https"; empty when it is neither. */
struct str forwarded_proto(const struct head *req);

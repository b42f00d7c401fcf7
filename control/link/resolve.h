/*
 * resolve.h - the addresses of one host, asked for once, without waiting.
 *
 * For what the controller itself connects to; endpoints have dns.h. Numbers are addresses
 * already; names are looked for in the hosts file, then by the resolvers.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"

#include <stddef.h>
#include <sys/socket.h>

#define RESOLVE_MAX 16 /* addresses that are kept of an answer */

struct loop;
struct resolve;
/* LIST has N addresses of 16 or 28 bytes (sa_family says), the port filled in; or is NULL, and
 * WHY a reason. Valid during the call. */
typedef void resolve_cb(void *arg, const struct sockaddr_storage *list, size_t n,
                        const char *why);

/*
 * Ask for HOST. Calls CB exactly once, never before returning, unless it is cancelled; the
 * handle is gone then. CONF says whom to ask and for how long a server may think; it is not
 * needed afterwards.
 */
struct resolve *resolve_start(struct loop *l, const struct conf_dns *conf, const char *host,
                              uint16_t port, resolve_cb *cb, void *arg) MUST_CHECK;
void resolve_cancel(struct resolve *r); /* NULL is a no-op */

/*
 * dns_ares.h - c-ares on the loop: its sockets are watched, its clock is one timer.
 *
 * c-ares brings what makes a resolver safe to use: unpredictable ids, the question compared
 * with the answer, TCP for what is cut off, retries, resolv.conf with its search list, the
 * hosts file.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/event/loop.h"

#include <ares.h>

struct dns_ares {
    struct loop *loop;
    ares_channel channel; /* NULL: not open */
    struct timer timer;
    LIST_HEAD(, dns_socket) sockets;
};

/* 0, or a status of c-ares; then A is closed. */
int dns_ares_open(struct dns_ares *a, struct loop *l, const struct conf_dns *conf) MUST_CHECK;
/* Every question under way ends now with ARES_EDESTRUCTION. Not from inside an answer. */
void dns_ares_close(struct dns_ares *a);
/* To be called after questions were put. */
void dns_ares_arm(struct dns_ares *a);

/*
 * preface.h - a connection that owes its PROXY header, before it is a conn.
 *
 * Only the bytes of the header are taken off the socket, so that whatever comes next, a TLS
 * handshake or a request, finds its own bytes there. A peer that does not send a good header in
 * the time of a request head is closed and counted.
 */
#pragma once
#include "proxy/event/deadline.h"
#include "proxy/http/proxy_header.h"
#include "proxy/stream/plane_state.h"

struct preface { /* owned by the plane, from preface_open until it hands the socket on */
    LIST_ENTRY(preface) link;
    struct listener *listener;
    struct watch watch;
    struct deadline deadline;
    struct grave grave;
    int fd; /* -1: handed on or closed */
    size_t n;
    struct sockaddr_storage peer;
    char in[PROXY_HEADER_MAX];
};

/* Take over an accepted, non-blocking FD of a listener that asks for the header. */
void preface_open(struct listener *l, int fd, const struct sockaddr_storage *peer);
void preface_close(struct preface *f);

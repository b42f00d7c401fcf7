/*
 * notify.h - tell systemd how we are (sd_notify(3)), without its library.
 *
 * One datagram to the socket that NOTIFY_SOCKET names; everything is a no-op without it.
 */
#pragma once

struct notify;

/* Reads NOTIFY_SOCKET and removes it from the environment, so that no child speaks for us. */
struct notify *notify_new(void);
void notify_free(struct notify *n);
void notify_ready(struct notify *n);
void notify_reloading(struct notify *n); /* until the next notify_ready */
void notify_stopping(struct notify *n);
/* The next program of this process finds NOTIFY_SOCKET, or will not run after all. */
void notify_hand_on(const struct notify *n);
void notify_take_back(const struct notify *n);

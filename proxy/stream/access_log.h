/*
 * access_log.h - one line an exchange, buffered, never in the way.
 *
 * Lines are gathered and written once a loop turn, or when ACCESS_LOG_FULL bytes are there.
 * Writing never blocks: what the descriptor does not take waits, and lines that find no room
 * are dropped whole and counted. A line is never torn.
 */
#pragma once
#include "proxy/base/stats.h"
#include "proxy/stream/access_line.h"

#define ACCESS_LOG_FULL 32768

struct access_log {
    int fd;      /* owned; -1: nowhere */
    bool socket; /* written with send */
    enum conf_log_format format;
    unsigned sample, credit; /* 2xx in a hundred that are logged; what is saved up for one */
    size_t n;                /* bytes that wait in room */
    stat_t *dropped;
    char room[2 * ACCESS_LOG_FULL];
};

void access_log_init(struct access_log *l, stat_t *dropped);
void access_log_set(struct access_log *l, const struct conf_access_log *c);
void access_log_open(struct access_log *l, int fd); /* takes FD over; closes the last one */
void access_log_add(struct access_log *l, const struct access_entry *e);
void access_log_flush(struct access_log *l);

/*
 * access_log.h - one JSON line an exchange, buffered, never in the way.
 *
 * Lines are gathered and written once a loop turn, or when ACCESS_LOG_FULL bytes are there.
 * Writing never blocks: what the descriptor does not take waits, and lines that find no room
 * are dropped whole and counted. A line is never torn.
 */
#pragma once
#include "proxy/base/stats.h"
#include "proxy/base/str.h"

#define ACCESS_LOG_FULL 32768
#define ACCESS_LOG_LINE 16384 /* the longest line; long fields are cut */

struct access_log {
    int fd;      /* owned; -1: nowhere */
    bool socket; /* written with send */
    size_t n;    /* bytes that wait in room */
    stat_t *dropped;
    char room[2 * ACCESS_LOG_FULL];
};

struct access_entry { /* borrowed for the call */
    uint64_t wall_ms, duration_us, upstream_us, bytes_in, bytes_out, generation;
    struct str request_id, trace_id, client, method, host, path;
    struct str service, version, endpoint, rollout, end;
    struct str tls; /* version of the protocol; empty: plain */
    int status;     /* 0: nothing was answered */
    unsigned minor, attempts;
};

void access_log_init(struct access_log *l, stat_t *dropped);
void access_log_open(struct access_log *l, int fd); /* takes FD over; closes the last one */
void access_log_add(struct access_log *l, const struct access_entry *e);
void access_log_flush(struct access_log *l);

/* The line of E with its newline, at most ACCESS_LOG_LINE bytes into OUT; its length. */
size_t access_log_write(char *out, const struct access_entry *e);

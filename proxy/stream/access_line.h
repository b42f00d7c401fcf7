/*
 * access_line.h - an exchange as a line of the access log. Pure.
 *
 * Whatever bytes a client or an upstream sent, the line is one line: json has no byte outside
 * printable ASCII, and in common and combined a quote, a backslash and every byte that is not
 * printable ASCII are written as \xHH, so that no reader can be led to see two fields or two
 * lines.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/str.h"

#define ACCESS_LINE 16384 /* bytes of the longest line; long fields are cut */

struct access_entry { /* borrowed for the call */
    uint64_t wall_ms, duration_us, upstream_us, bytes_in, bytes_out, generation;
    struct str request_id, trace_id, client, method, host, path, referer, user_agent;
    struct str service, version, endpoint, rollout, end;
    struct str protocol; /* "HTTP/1.1" */
    struct str tls;      /* version of the protocol; empty: plain */
    int status;          /* 0: nothing was answered */
    int grpc_status;     /* of a gRPC call, else -1 */
    unsigned attempts;
};

/*
 * The line of E in FORMAT (not CONF_LOG_OFF) with its newline, at most ACCESS_LINE bytes into
 * OUT; its length. The formats common and combined are those of the NCSA and Apache servers:
 * client, two dashes, [time in UTC], "request line", status, bytes of the answer's body and, in
 * combined, "referer" and "user agent"; what is not known is a dash.
 */
size_t access_line_write(char *out, enum conf_log_format format, const struct access_entry *e);

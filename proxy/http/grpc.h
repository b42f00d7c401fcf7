/*
 * grpc.h - what gRPC says in HTTP fields: statuses, deadlines, messages. Pure.
 *
 * Sources: "gRPC over HTTP2" (PROTOCOL-HTTP2.md) for the fields, "HTTP to gRPC Status Code
 * Mapping" (http-grpc-status-mapping.md) for answers that are not of gRPC. A call is any
 * request whose content-type is that of gRPC; gRPC-Web is another protocol.
 */
#pragma once
#include "proxy/base/grpc_status.h"
#include "proxy/http/head_write.h"

#define GRPC_TYPE        STR("application/grpc")
#define GRPC_TIMEOUT_MAX 9 /* bytes of the value of a grpc-timeout */

/* "application/grpc", with "+proto" or another encoding, with or without parameters. */
bool grpc_type(struct str content_type);
/* The value of grpc-status. What is no status counts as UNKNOWN. */
enum grpc_status grpc_status_parse(struct str value);
/* What the good lines of a trailer section say; -1: nothing. */
int grpc_status_of_lines(struct str lines);
/* What an answer with the HTTP status STATUS is worth that has no grpc-status. */
enum grpc_status grpc_status_of_http(int status);

/* The value of grpc-timeout, 1 to 8 digits and a unit, in microseconds, rounded up. False: it
 * is none. */
bool grpc_timeout_parse(struct str value, uint64_t *us) MUST_CHECK;
/* US as the value of a grpc-timeout: rounded down to what 8 digits of a unit can say. */
void grpc_timeout_write(struct out *o, uint64_t us);
/* TEXT as the value of a grpc-message: what is not printable ASCII, and '%', as %HH. */
void grpc_message_write(struct out *o, struct str text);

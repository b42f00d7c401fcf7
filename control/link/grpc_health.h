/*
 * grpc_health.h - the gRPC Health Checking Protocol, grpc.health.v1.Health/Check. Pure.
 *
 * One message each way, small enough to be put together by hand: five bytes of framing (not
 * compressed, length), then a protobuf with one field: the name of a service, or the status.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"
#define GRPC_HEALTH_NAME CONF_CHECK_SERVICE
#define GRPC_HEALTH_ASK  (GRPC_HEALTH_NAME + 16) /* bytes of a question */
#define GRPC_HEALTH_TELL 256                     /* of an answer; no good one is larger */

/* The question for SERVICE, which may be empty: the server as a whole. */
struct str grpc_health_ask(char room[GRPC_HEALTH_ASK], struct str service);
/* Does the answer BODY say SERVING? */
bool grpc_health_serving(struct str body);

/* grpc_status.h - how a gRPC call ends: the codes, in the order of their numbers, from 0. */
#pragma once

/* X(ID, "name") */
#define GRPC_FAILURES(X)                                                                       \
    X(CANCELLED, "cancelled")                                                                  \
    X(UNKNOWN, "unknown")                                                                      \
    X(INVALID_ARGUMENT, "invalid-argument")                                                    \
    X(DEADLINE_EXCEEDED, "deadline-exceeded")                                                  \
    X(NOT_FOUND, "not-found")                                                                  \
    X(ALREADY_EXISTS, "already-exists")                                                        \
    X(PERMISSION_DENIED, "permission-denied")                                                  \
    X(RESOURCE_EXHAUSTED, "resource-exhausted")                                                \
    X(FAILED_PRECONDITION, "failed-precondition")                                              \
    X(ABORTED, "aborted")                                                                      \
    X(OUT_OF_RANGE, "out-of-range")                                                            \
    X(UNIMPLEMENTED, "unimplemented")                                                          \
    X(INTERNAL, "internal")                                                                    \
    X(UNAVAILABLE, "unavailable")                                                              \
    X(DATA_LOSS, "data-loss")                                                                  \
    X(UNAUTHENTICATED, "unauthenticated")
#define GRPC_STATUSES(X) X(OK, "ok") GRPC_FAILURES(X)
enum grpc_status {
#define X(id, name) GRPC_##id,
    GRPC_STATUSES(X)
#undef X
        GRPC_STATUS_COUNT
};

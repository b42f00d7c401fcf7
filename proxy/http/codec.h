/*
 * codec.h - what the two ends of an exchange tell each other, whatever protocol lies below.
 *
 * A message travels as one head, any number of data, one end; or it breaks off with abort. Data
 * pushes, resume pulls: after data() said "enough" the sender waits for resume. Interim (1xx)
 * heads may come before the final one and have nothing behind them.
 *
 * The same table serves both ways: a connection to a client implements it for the answer, an
 * exchange implements it for what comes from upstream. No call here may free the caller; the
 * callee may end the exchange, so a caller looks at its own state again or returns.
 */
#pragma once
#include "proxy/event/block.h"
#include "proxy/http/head.h"

/* A head on its way out. */
struct message {
    const struct head *from; /* its end-to-end fields are passed on, or NULL */
    const bool *skip;        /* FIELD_NIDS of them: leave these out; or NULL */
    struct str extra;        /* further fields, as good "name: value\r\n" lines */
    struct str path;         /* requests: goes on instead of that of the head; or empty */
    int status;              /* answers: 100..599; requests: 0 */
    enum framing framing;    /* FRAMING_CLOSE: the length shows only at the end */
    uint64_t length;         /* FRAMING_LENGTH */
    bool bodyless;           /* answer to HEAD, 1xx, 204, 304: fields but no body */
    bool last;               /* the sender wants nothing after this on the connection */
};

enum codec_abort {
    CODEC_REFUSED, /* no connection came about */
    CODEC_RESET,   /* the connection broke off */
    CODEC_BAD      /* what came is not the protocol */
};

struct codec_ops {
    void (*head)(void *self, const struct message *m);
    /* The bytes of B, which is SELF's now. False: enough, wait for resume. */
    bool (*data)(void *self, struct block *b);
    void (*end)(void *self, struct str trailers); /* lines, or empty */
    void (*abort)(void *self, enum codec_abort why);
    void (*resume)(void *self); /* the data() of the other direction may go on */
};

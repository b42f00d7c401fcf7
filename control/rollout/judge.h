/*
 * judge.h - when a version is worse, and when it is good enough.
 *
 * A conditional e-process on bad events. Given that a bad event happened (an error, or a
 * request slower than the stable version's own p50, p90 or p99), it belongs to the canary with
 * the canary's share of the traffic if the versions are equal. The product of likelihood ratios
 * against "r times as bad" is a supermartingale, so by Ville's inequality its chance of ever
 * passing 1/alpha is at most alpha, however often one looks. No base rate is needed: an outage
 * that both versions share says nothing.
 *
 * The second process certifies: it tests "the canary's error rate is at least max_error_rate",
 * and rejecting that is the licence to go on. While any class has evidence against the canary
 * that is as strong, the licence is withheld. No data moves neither.
 *
 * Pure: no clock, no I/O, no allocation. struct judge is a plain value without pointers; a
 * saved and loaded one continues exactly as the original would have.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JUDGE_EPOCHS     16 /* start epochs: one a step; later steps share the last */
#define JUDGE_GRID       6  /* alternative ratios, at most */
#define JUDGE_CERTS      3  /* alternative rates of the certificate */
#define JUDGE_REASON_MAX 160
#define JUDGE_SAVED_MAX  8192 /* room that judge_save needs at most */

enum judge_class {
    JUDGE_ERROR,   /* "error": error ratio beside stable's */
    JUDGE_P50,     /* "latency_p50": share of requests slower than stable's p50 */
    JUDGE_P90,     /* "latency_p90" */
    JUDGE_P99,     /* "latency_p99" */
    JUDGE_CEILING, /* "error_ceiling": error rate above max_error_rate, needs no control */
    JUDGE_NCLASSES
};
enum judge_verdict { JUDGE_UNDECIDED, JUDGE_REGRESSED, JUDGE_CERTIFIED, JUDGE_NVERDICTS };

struct judge_config {
    double alpha;          /* chance of a false "regressed" per rollout; (0, 0.5]; 0.01 */
    double certify;        /* chance of a false certificate per step; (0, 0.5]; 0.05 */
    double tolerance;      /* r0: a canary up to r0 times as bad is no regression; [1, 10]; 1 */
    double max_error_rate; /* the certificate's p_max; (0, 1); 0.05 */
    uint64_t ceiling;      /* 1: also regressed when surely above max_error_rate; 0 */
    uint64_t epochs;       /* how many steps will begin; 1..JUDGE_EPOCHS */
};

/* What one tick counted. Deltas, summed over workers; a sampler reads errors before n. */
struct judge_arm {
    uint64_t n;                  /* requests that count for the judge */
    uint64_t errors;             /* of those; cut to n */
    uint64_t hist[HIST_BUCKETS]; /* first-byte time of answered ones; need not sum to n */
};
struct judge_window {
    struct judge_arm stable, canary;
    bool warming; /* an endpoint is in its warm-up: count errors, leave latency out */
};

struct judge_count {
    uint64_t n, bad;
};
struct judge_tally { /* one class since some moment */
    struct judge_count stable, canary;
    uint64_t canary_far; /* latency: slower than the threshold by a bucket or more */
};

struct judge {
    struct judge_config conf;
    uint64_t begun; /* epochs begun; 0: nothing is judged yet */
    double ratio[JUDGE_P99 + 1][JUDGE_EPOCHS][JUDGE_GRID]; /* log likelihood ratios */
    double ceiling[JUDGE_GRID];
    double cert[JUDGE_CERTS];
    struct judge_tally total[JUDGE_NCLASSES]; /* since the first epoch */
    struct judge_tally step[JUDGE_NCLASSES];  /* since the latest epoch */
    uint64_t past_total;
    uint32_t past[HIST_BUCKETS]; /* stable's histogram of earlier ticks, halved when large */
};

/* For humans, and for the record. */
struct judge_finding {
    enum judge_verdict verdict;
    double evalue, limit;     /* regressed needs evalue >= limit; the certificate: see report */
    double excess;            /* bad ratio of canary minus stable's, 0..1, total or step */
    struct judge_tally tally; /* since the rollout's start */
    uint64_t threshold_us;    /* latency: "slow" is at or above this; 0: none yet */
    bool active;              /* this class is judged at all */
};
struct judge_report {
    enum judge_verdict verdict; /* of the whole: any regressed, else certified, else not */
    enum judge_class class;     /* the one that decided, or with the largest evalue/limit */
    struct judge_finding classes[JUDGE_NCLASSES];
    double certificate;       /* e-value of "error rate below max_error_rate" */
    double certificate_limit; /* 1 / certify */
    uint64_t step_n;          /* canary requests judged since the latest epoch */
    char reason[JUDGE_REASON_MAX];
};

void judge_defaults(struct judge_config *conf);
/* CONF's ranges are the caller's duty (spec.c checks them); asserted. */
void judge_init(struct judge *j, const struct judge_config *conf);
/* A step begins: evidence is also collected anew from here, and the certificate starts over. */
void judge_begin(struct judge *j);
/* Take one tick's counts. Before the first judge_begin counts are ignored. */
enum judge_verdict judge_step(struct judge *j, const struct judge_window *w);
/* The numbers behind the verdict that judge_step just returned, or would on no data. */
void judge_explain(const struct judge *j, struct judge_report *out);

const char *judge_class_name(enum judge_class c);     /* "error", "latency_p50", … */
const char *judge_verdict_name(enum judge_verdict v); /* "undecided", … */

/*
 * Bytes for the store: versioned, with a checksum. judge_save returns the size, at most
 * JUDGE_SAVED_MAX. judge_load: 0, or -1 when the bytes are cut, damaged, of another version or
 * hold impossible values; *J is then untouched.
 */
size_t judge_save(const struct judge *j, unsigned char out[JUDGE_SAVED_MAX]);
MUST_CHECK int judge_load(struct judge *j, const unsigned char *bytes, size_t n);

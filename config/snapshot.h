/*
 * snapshot.h - the routing snapshot: what the workers route by.
 *
 *   {"format":1,"generation":42,"config":{...effective config...},
 *    "live":{"shop":{"rollout":"r-17",
 *                    "judging":{"table":1,"epoch":17,"once":false,"warmup_ms":30000},
 *                    "versions":{"v1":{"weight_bp":9000,"cell":1,"age":0,
 *                                      "endpoints":{"127.0.0.1:9001":{"cell":1,"up":false,
 *                                                                     "drain":true}}}}}}}
 *
 * "live" lists every version and endpoint that exists now, also those registered through the
 * API; it replaces the "versions" and "weights" of the config. What has its default is left
 * out: of the config, "up" when true and "drain" when false. Written by the controller (and
 * by the supervisor for the very first one), parsed by every worker, stored in
 * state_dir/snapshot.json. Our own document: a parse error is reported as text, not as diags.
 */
#pragma once
#include "config/conf.h"

#define SNAPSHOT_FORMAT 1

struct snapshot {
    uint64_t generation;
    struct conf *conf; /* owned; with weights, cells, up and drain filled in */
};

/* Malloc'd JSON (xfree). C carries the run-time state. */
char *snapshot_write(const struct conf *c, uint64_t generation);
/* 0, or -1 and a malloc'd reason in *WHY (xfree). On success the caller owns S->conf. */
int snapshot_parse(struct str doc, struct snapshot *s, char **why) MUST_CHECK;
/* Give every version and endpoint of C a stats cell, as the very first snapshot does: in
 * order, from 1. The controller replaces them by its stable ones. */
void snapshot_number(struct conf *c);

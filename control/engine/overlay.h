/*
 * overlay.h - what was changed about one service at run time, as a document.
 *
 *   {"format":1,
 *    "versions":{"v2":{"endpoints":["127.0.0.1:9003"],"labels":{}}},   registered here
 *    "removed":{"v0":true},                                            versions of the file
 *    "endpoints":{"v1":{"127.0.0.1:9005":"added","127.0.0.1:9001":"removed"}},
 *    "drain":{"v1":{"127.0.0.1:9002":"operator"}},                     or "rollout"
 *    "ages":{"v1":0,"v2":1},
 *    "weights":{"v1":9000,"v2":1000},"origin":"api","rollout":null,
 *    "judging":{"table":1,"epoch":17,"once":false,"warmup_ms":30000},
 *    "undo":{"v1":10000}}
 *
 * The store keeps one for each service that was ever changed; desired.h lays it over the file.
 * Weights are hundredths of a per cent. Pure: edits change the document and nothing else.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"

#include <jansson.h>

json_t *overlay_new(void);

/* WEIGHTS: {"v1":9000,...}, borrowed. ORIGIN: "api", "rollout r-12". Does not touch "undo". */
void overlay_set_weights(json_t *doc, const json_t *weights, const char *origin);
/* Where `undo` goes back to; borrowed. */
void overlay_set_undo(json_t *doc, const json_t *weights);
const json_t *overlay_undo(const json_t *doc); /* NULL: nothing yet */
/* Who owns the weights; NULL: nobody, and nothing is noted for a judge any more. */
void overlay_set_rollout(json_t *doc, const char *id);
/* What workers note for the judge (snapshot.h has its members); JUDGING is stolen. */
void overlay_set_judging(json_t *doc, json_t *judging);
void overlay_judging(const json_t *doc, struct conf_judging *out); /* off: none, or damaged */

/* Register or replace VERSION. ENDPOINTS: array of addresses; LABELS: object or NULL. */
void overlay_put_version(json_t *doc, const char *version, const json_t *endpoints,
                         const json_t *labels);
void overlay_remove_version(json_t *doc, const char *version);
void overlay_put_endpoint(json_t *doc, const char *version, const char *address);
void overlay_remove_endpoint(json_t *doc, const char *version, const char *address);

/* BY: "operator", or "rollout" for the end of one that was taken back; NULL: no drain. */
void overlay_set_drain(json_t *doc, const char *version, const char *address, const char *by);
/* Who drained it, or NULL. DOC may be NULL. */
const char *overlay_drained_by(const json_t *doc, const char *version, const char *address);
/* VERSION is wanted again: undo what a rollout drained, leave the operator's alone. */
void overlay_lift_drain(json_t *doc, const char *version);

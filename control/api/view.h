/*
 * view.h - services and rollouts as the API shows them. Every function returns a new reference.
 */
#pragma once
#include "control/engine/rollouts.h"

#include <jansson.h>

struct conf_service;
struct engine;

#define VIEW_ACTUAL_MS 10000 /* the realised share is that of the last ten seconds */

json_t *view_service(const struct engine *e, const struct conf_service *s);
json_t *view_version(const struct engine *e, const struct conf_service *s, size_t version);
/* {"v1":{"set":100,"actual":99.8,"origin":"config"}} */
json_t *view_weights(const struct engine *e, const struct conf_service *s);
/* {"service","weights":{"v1":90},"origin","generation"} */
json_t *view_weights_answer(const struct engine *e, const char *service, uint64_t generation);
/* "healthy": every version with weight has all endpoints up; "degraded": at least one; "down":
 * one with weight has none; "unknown": nobody checks. */
const char *view_health(const struct conf_service *s);

json_t *view_rollout(const struct engine *e, const struct rollout_entry *l);

json_t *view_time(uint64_t wall_ms); /* RFC 3339, or null for 0 */
json_t *view_text(const char *text); /* null for NULL or "" */

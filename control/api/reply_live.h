/*
 * reply_live.h - mutations answer when they are live on every worker, or with what is in the
 * way.
 *
 * All mutations of services, weights and rollouts end here. Publication that is not confirmed
 * answers 504 "not_applied": the change is stored and will be tried again.
 */
#pragma once
#include "control/api/api.h"
#include "control/engine/change.h"
#include "control/engine/rollouts.h"

struct conf_service;

/* The body of the answer; called when the change is live. SUBJECT is what was given. */
typedef json_t *reply_live_body(const struct engine *e, const struct conf_service *s,
                                const char *subject, uint64_t generation);

struct reply_live;
/* Remember how REQ is to be answered: STATUS with what BODY makes of SERVICE and SUBJECT. */
struct reply_live *reply_live_new(struct api_request *req, int status, const char *service,
                                  const char *subject, reply_live_body *body);
publish_cb reply_live_applied;             /* ARG: a struct reply_live */
void reply_live_now(struct reply_live *r); /* nothing had to be published */

/* Fill in who and why, carry C out and answer; 507 when the store fails. */
void reply_live_change(struct reply_live *r, struct change *c);
void reply_refusal(struct api_request *req, const struct refusal *why);
struct requester reply_requester(const struct api_request *req);

/* The service of the path, or NULL: 404 has been sent and REQ is gone. The same for its version
 * (-1). */
const struct conf_service *reply_service(struct api_request *req);
long reply_version(struct api_request *req, const struct conf_service *s);

/*
 * desired.h - what should be: the config file with the run-time changes laid over it.
 *
 * The file gives topology, policy and start values; overlays (overlay.h), one a service, give
 * versions, endpoints and weights that were changed at run time and always win. The merged view
 * is an ordinary struct conf: weights of each service sum to 100 %, every version and endpoint
 * has its stats cell and its health bit. Pure but for memory: storing and publishing what is
 * committed here is change.h's business.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"

#include <jansson.h>

struct desired;

/* FILE is owned from now on. OVERLAYS: service -> overlay; CELLS: what cells_document gave;
 * both borrowed, NULL for none. */
struct desired *desired_new(struct conf *file, const json_t *overlays, const json_t *cells);
void desired_free(struct desired *d);

/* The merged view; valid until the next call of a function below that changes something. */
const struct conf *desired_conf(const struct desired *d);
const struct conf_service *desired_service(const struct desired *d, const char *name);

/*
 * The file was read again. A version that it no longer has but that carries weight is kept, as
 * if it had been registered through the API: its name is appended to KEPT ("shop/v1").
 */
void desired_reload(struct desired *d, struct conf *file, json_t *kept);

/* A deep copy of SERVICE's overlay to edit, with the present order of versions in "ages". */
json_t *desired_edit(const struct desired *d, const char *service);
/* DOC (stolen) is SERVICE's overlay from now on. */
void desired_commit(struct desired *d, const char *service, json_t *doc);
/* The overlay as committed, borrowed; NULL: SERVICE was never changed. */
const json_t *desired_overlay(const struct desired *d, const char *service);
/* What a commit of DOC would make of SERVICE: its weights, {"v1":9000,...}. New reference. */
json_t *desired_preview(const struct desired *d, const char *service, const json_t *doc);

/* "config", "api", "rollout r-12". */
const char *desired_origin(const struct desired *d, const char *service);
const json_t *desired_labels(const struct desired *d, const char *service, const char *version);
json_t *desired_weights(const struct conf_service *s); /* {"v1":9000,...}; new reference */

/* The names of endpoints that are to be looked up: name -> true; and the answer that is used
 * for one, as addresses.h wants it. Borrowed. */
const json_t *desired_sources(const struct desired *d);
const json_t *desired_addresses(const struct desired *d, const char *source);
/* LIST (stolen) is the answer for SOURCE from now on. True: that is news. */
bool desired_set_addresses(struct desired *d, const char *source, json_t *list);
/* Take the answers that an earlier run had from its last snapshot; before its health bits. */
void desired_adopt_addresses(struct desired *d, const struct conf *last);

/* Health says that an endpoint may, or may not, get traffic. True: that is news. Endpoints of
 * services without health checks are always up. */
bool desired_set_up(struct desired *d, const char *service, const char *version,
                    const char *endpoint, bool up);
/* Take the health bits of an earlier run from its last snapshot. */
void desired_adopt_health(struct desired *d, const struct conf *last);

/* Names that were given cells since the last call of this; then they have to be stored. */
bool desired_cells_changed(struct desired *d);
json_t *desired_cells(const struct desired *d); /* new reference */

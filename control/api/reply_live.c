/* reply_live.c - answers that wait for the workers; they live in the request's memory. */
#include "control/api/reply_live.h"
#include "config/conf.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "proxy/base/mem.h"

struct reply_live { /* owned by the request */
    struct api_request *req;
    int status;
    const char *service, *subject;
    reply_live_body *body;
};

static const char *keep(struct api_request *req, const char *text)
{
    size_t n = strlen(text) + 1;

    return memcpy(api_alloc(req, n), text, n);
}

struct reply_live *reply_live_new(struct api_request *req, int status, const char *service,
                                  const char *subject, reply_live_body *body)
{
    struct reply_live *r = api_alloc(req, sizeof(*r));

    *r = (struct reply_live){req, status, keep(req, service), keep(req, subject), body};
    return r;
}

static void answer(struct reply_live *r, uint64_t generation)
{
    struct engine *e = api_engine(r->req);
    const struct conf_service *s = desired_service(e->desired, r->service);

    if (r->status == 204)
        api_reply_empty(r->req, 204);
    else
        api_reply(r->req, r->status, r->body(e, s, r->subject, generation));
}

void reply_live_applied(void *arg, const struct publish_result *p)
{
    struct reply_live *r = arg;

    if (!p->error) {
        answer(r, p->generation);
        return;
    }
    json_t *more = json_pack("{s:I}", "generation", (json_int_t)p->generation);
    api_problem_more(r->req, 504, "not_applied", more,
                     "stored, but not confirmed by every worker (%s); it is being tried again",
                     p->error);
}

void reply_live_now(struct reply_live *r)
{
    answer(r, publish_applied(api_engine(r->req)->publish));
}

struct requester reply_requester(const struct api_request *req)
{
    return (struct requester){api_actor(req), api_reason(req)};
}

void reply_live_change(struct reply_live *r, struct change *c)
{
    struct engine *e = api_engine(r->req);

    c->service = r->service;
    c->actor = api_actor(r->req);
    c->reason = api_reason(r->req);
    if (change_apply(e, c, reply_live_applied, r) != 0)
        api_problem(r->req, 507, "store_failed", NULL, "nothing has changed: %s",
                    change_error(e));
}

void reply_refusal(struct api_request *req, const struct refusal *why)
{
    api_problem(req, why->status, why->code, *why->pointer ? why->pointer : NULL, "%s",
                why->message);
}

const struct conf_service *reply_service(struct api_request *req)
{
    const char *name = api_param(req, "service");
    const struct conf_service *s = desired_service(api_engine(req)->desired, name);

    if (!s)
        api_problem(req, 404, "not_found", NULL, "no service \"%s\"", name);
    return s;
}

long reply_version(struct api_request *req, const struct conf_service *s)
{
    const char *name = api_param(req, "version");
    long at = conf_version_find(s, str_of(name));

    if (at < 0)
        api_problem(req, 404, "not_found", NULL, "%s has no version \"%s\"", s->name.p, name);
    return at;
}

/*
 * api_ofrep.c - OFREP 0.3 over the control API: the workers' own answers (proxy/route/ofrep.h)
 * over the set that is served.
 */
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/engine/flagsync.h"
#include "proxy/event/loop.h"
#include "proxy/route/ofrep.h"

static struct str header(const struct api_request *req, const char *name)
{
    const char *value = api_header(req, name);

    return str_of(value ? value : "");
}

/* KEY: of one flag; NULL: all. */
static void answer(struct api_request *req, const char *key)
{
    struct ofrep o = {.text = {0}};
    struct ofrep_answer a;
    struct arena arena;
    struct ofrep_question q = {
        .set = flagsync_set(api_engine(req)->flagsync),
        .ctx = flag_ctx_new(),
        .arena = &arena,
        .body = api_text(req),
        .selector = header(req, "Flagd-Selector"),
        .have = header(req, "If-None-Match"),
        .now_unix = loop_wall_ms(api_loop(req)) / 1000,
    };

    arena_init(&arena, NULL, 0);
    if (key)
        ofrep_ask(&o, &q, str_of(key), &a);
    else
        ofrep_ask_all(&o, &q, &a);
    api_set_header(req, "Cache-Control", "no-store");
    if (a.tag[0])
        api_set_header(req, "ETag", a.tag);
    if (a.status == 304)
        api_reply_empty(req, 304);
    else
        api_reply_raw(req, a.status, "application/json", a.body);
    ofrep_release(&o);
    flag_ctx_free(q.ctx);
    arena_release(&arena);
}

void api_ofrep_get(struct api_request *req)
{
    answer(req, api_param(req, "key"));
}

void api_ofrep_list(struct api_request *req)
{
    answer(req, NULL);
}

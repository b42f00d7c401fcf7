/* api_config.c - POST /v1/config:reload: read the file again, or say what is wrong with it. */
#include "control/api/routes.h"
#include "control/engine/engine.h"

static void on_reloaded(void *arg, bool ok, struct str diags)
{
    struct api_request *req = arg;

    if (ok) {
        api_reply(req, 200, json_pack("{s:s}", "revision", api_engine(req)->revision));
        return;
    }
    json_t *list = json_loadb(diags.p, diags.n, 0, NULL);
    json_t *more = json_pack("{s:o}", "diagnostics", list ? list : json_array());
    api_problem_more(req, 422, "config_invalid", more,
                     "the config file was refused; the one before stays in use");
}

void api_config_reload(struct api_request *req)
{
    static const char *const fields[] = {NULL};

    if (!api_fields(req, api_body(req), "", fields))
        return;
    if (api_dry_run(req)) {
        api_problem(req, 400, "no_dry_run", NULL, "use sluice -t -c FILE to check a config");
        return;
    }
    engine_request_reload(api_engine(req), on_reloaded, req);
}

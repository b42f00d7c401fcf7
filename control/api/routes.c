/* routes.c - the control API at a glance: what is where, and who answers. */
#include "control/api/routes.h"

enum { CHANGE = API_MUTATES, CHANGE_BODY = API_MUTATES | API_BODY };
enum { CHANGE_MAY = API_MUTATES | API_BODY_MAY };

#define SERVICE  "/v1/services/{service}"
#define VERSION  SERVICE "/versions/{version}"
#define ENDPOINT VERSION "/endpoints/{endpoint}"
#define ROLLOUT  "/v1/rollouts/{rollout}"

const struct api_route api_routes[] = {
    {"GET", "/healthz", api_healthz, API_TELEMETRY},
    {"GET", "/readyz", api_readyz, API_TELEMETRY},
    {"GET", "/metrics", api_metrics_get, API_TELEMETRY},
    {"GET", "/v1/version", api_version, 0},
    {"GET", "/v1/status", api_status, 0},
    {"POST", "/v1/config:reload", api_config_reload, CHANGE_MAY},

    {"GET", "/v1/services", api_services_list, 0},
    {"POST", SERVICE ":undo", api_services_undo, CHANGE_MAY},
    {"GET", SERVICE, api_services_get, 0},
    {"GET", SERVICE "/weights", api_weights_get, 0},
    {"PUT", SERVICE "/weights", api_weights_put, CHANGE_BODY},
    {"POST", SERVICE "/rollouts", api_rollouts_create, CHANGE_BODY},
    {"POST", SERVICE "/rollouts:plan", api_rollouts_plan, API_BODY},
    {"PUT", VERSION, api_versions_put, CHANGE_BODY},
    {"DELETE", VERSION, api_versions_delete, CHANGE},
    {"POST", ENDPOINT ":drain", api_endpoints_drain, CHANGE_MAY},
    {"POST", ENDPOINT ":ready", api_endpoints_ready, CHANGE_MAY},
    {"PUT", ENDPOINT, api_endpoints_put, CHANGE_MAY},
    {"DELETE", ENDPOINT, api_endpoints_delete, CHANGE},

    {"GET", "/v1/rollouts", api_rollouts_list, 0},
    {"POST", ROLLOUT ":promote", api_rollouts_promote, CHANGE_MAY},
    {"POST", ROLLOUT ":pause", api_rollouts_pause, CHANGE_MAY},
    {"POST", ROLLOUT ":resume", api_rollouts_resume, CHANGE_MAY},
    {"POST", ROLLOUT ":abort", api_rollouts_abort, CHANGE_MAY},
    {"POST", ROLLOUT ":approve", api_rollouts_approve, CHANGE_MAY},
    {"POST", ROLLOUT ":retry", api_rollouts_retry, CHANGE_MAY},
    {"GET", ROLLOUT, api_rollouts_get, 0},
    {"GET", ROLLOUT "/report", api_rollouts_report, 0},
    {"GET", ROLLOUT "/decisions", api_rollouts_decisions, 0},

    {"GET", "/v1/flags", api_flags_list, 0},
    {"POST", "/v1/flags:publish", api_flags_publish, CHANGE_BODY},
    {"POST", "/v1/flags:validate", api_flags_validate, API_BODY},
    {"GET", "/v1/flags:log", api_flags_log, 0},
    {"GET", "/v1/flags:export", api_flags_export, 0},
    {"POST", "/v1/flags/{key}:explain", api_flags_explain, API_BODY_MAY},
    {"POST", "/v1/flags/{key}:simulate", api_flags_simulate, API_BODY},
    {"POST", "/v1/flags/{key}:split", api_flags_split, CHANGE_BODY},
    {"POST", "/v1/flags/{key}:override", api_flags_override, CHANGE_BODY},
    {"POST", "/v1/flags/{key}:kill", api_flags_kill, CHANGE_MAY},
    {"POST", "/v1/flags/{key}:restore", api_flags_restore, CHANGE_MAY},
    {"GET", "/v1/flags/{key}", api_flags_get, 0},
    {"PUT", "/v1/flags/{key}", api_flags_put, CHANGE_BODY},
    {"DELETE", "/v1/flags/{key}", api_flags_delete, CHANGE},
    {"POST", "/ofrep/v1/evaluate/flags", api_ofrep_list, API_BODY_MAY | API_BODY_OWN},
    {"POST", "/ofrep/v1/evaluate/flags/{key}", api_ofrep_get, API_BODY_MAY | API_BODY_OWN},

    {"GET", "/v1/stats", api_stats_get, 0},
    {"GET", "/v1/events", api_events_list, 0},
    {"GET", "/v1/audit", api_audit_list, 0},
    {"GET", "/v1/audit/verify", api_audit_verify, 0},
    {NULL, NULL, NULL, 0},
};

/* routes.h - every handler of the control API; which one answers what stands in routes.c. */
#pragma once
#include "control/api/api.h"

extern const struct api_route api_routes[]; /* ends with a row whose method is NULL */

/* api_status.c */
api_handler api_version, api_status, api_healthz, api_readyz;
/* api_services.c */
api_handler api_services_list, api_services_get, api_services_undo;
api_handler api_versions_put, api_versions_delete;
api_handler api_endpoints_put, api_endpoints_delete, api_endpoints_drain, api_endpoints_ready;
/* api_weights.c */
api_handler api_weights_get, api_weights_put;
/* api_rollouts.c */
api_handler api_rollouts_plan;
api_handler api_rollouts_create, api_rollouts_list, api_rollouts_get;
api_handler api_rollouts_promote, api_rollouts_pause, api_rollouts_resume, api_rollouts_abort;
api_handler api_audit_list, api_audit_verify;
api_handler api_rollouts_approve, api_rollouts_retry;
api_handler api_rollouts_report, api_rollouts_decisions;
/* api_flags.c */
api_handler api_flags_list, api_flags_get, api_flags_put, api_flags_delete;
api_handler api_flags_kill, api_flags_override, api_flags_restore, api_flags_publish;
api_handler api_flags_split;
/* api_flag_tools.c */
api_handler api_flags_validate, api_flags_explain, api_flags_simulate;
api_handler api_flags_log, api_flags_export;
/* api_ofrep.c */
api_handler api_ofrep_list, api_ofrep_get; /* POST /ofrep/v1/evaluate/flags[/{key}] */
/* api_events.c, api_stats.c, api_config.c */
api_handler api_events_list, api_stats_get, api_config_reload;
/* metrics.c */
api_handler api_metrics_get;

/*
 * cmd.h - the commands, one function each; commands.c gives them names. All return exit codes.
 */
#pragma once
#include "control/ctl/ctl.h"

/* cmd_status.c */
int cmd_status(struct ctl *c);
int cmd_version(struct ctl *c);
int cmd_top(struct ctl *c);
int cmd_stats(struct ctl *c);
/* cmd_doctor.c */
int cmd_doctor(struct ctl *c);
/* cmd_service.c */
int cmd_service_list(struct ctl *c);
int cmd_service_show(struct ctl *c);
int cmd_version_list(struct ctl *c);
int cmd_version_register(struct ctl *c);
int cmd_version_rm(struct ctl *c);
int cmd_endpoint_list(struct ctl *c);
int cmd_endpoint_add(struct ctl *c);
int cmd_endpoint_rm(struct ctl *c);
int cmd_endpoint_drain(struct ctl *c);
int cmd_endpoint_ready(struct ctl *c);
int cmd_weights_get(struct ctl *c);
int cmd_weights_set(struct ctl *c);
int cmd_undo(struct ctl *c);
/* cmd_deploy.c */
int cmd_deploy(struct ctl *c);
int cmd_rollout_plan(struct ctl *c);
/* cmd_rollout.c */
int cmd_rollout_list(struct ctl *c);
int cmd_rollout_show(struct ctl *c);
int cmd_rollout_watch(struct ctl *c);
int cmd_rollout_wait(struct ctl *c);
int cmd_rollout_promote(struct ctl *c);
int cmd_rollout_pause(struct ctl *c);
int cmd_rollout_resume(struct ctl *c);
int cmd_rollout_abort(struct ctl *c);
int cmd_rollout_report(struct ctl *c);
int cmd_handover(struct ctl *c);
int cmd_audit_list(struct ctl *c);
int cmd_audit_verify(struct ctl *c);
int cmd_rollout_approve(struct ctl *c);
int cmd_rollout_retry(struct ctl *c);
int cmd_rollout_decisions(struct ctl *c);
/* cmd_judge.c */
int cmd_judge_replay(struct ctl *c);
/* cmd_flag.c */
int cmd_flag_list(struct ctl *c);
int cmd_flag_show(struct ctl *c);
int cmd_flag_set(struct ctl *c);
int cmd_flag_kill(struct ctl *c);
int cmd_flag_restore(struct ctl *c);
int cmd_flag_rm(struct ctl *c);
int cmd_flag_eval(struct ctl *c);
/* cmd_flag_tools.c */
int cmd_flag_override(struct ctl *c);
int cmd_flag_publish(struct ctl *c);
int cmd_flag_validate(struct ctl *c);
int cmd_flag_explain(struct ctl *c);
int cmd_flag_simulate(struct ctl *c);
int cmd_flag_log(struct ctl *c);
int cmd_flag_export(struct ctl *c);
/* cmd_config.c */
int cmd_config_check(struct ctl *c);
int cmd_config_show(struct ctl *c);
int cmd_config_schema(struct ctl *c);
int cmd_config_reload(struct ctl *c);
/* cmd_events.c */
int cmd_events(struct ctl *c);

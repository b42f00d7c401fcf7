/* commands.c - every command of sluicectl in one table. To add one: a cmd_*.c and a row. */
#include "control/ctl/cmd.h"

static const struct ctl_option top_options[] = {
    {"--interval", "TIME", "between refreshes (default 1s)"},
    {"--window", "TIME", "of the rates (default 5s)"},
    {NULL, NULL, NULL},
};
static const struct ctl_option stats_options[] = {
    {"--window", "TIME", "of the rates (default 60s, at most 2m)"},
    {NULL, NULL, NULL},
};
static const struct ctl_option register_options[] = {
    {"--endpoint", "HOST:PORT", "an endpoint; repeat for more"},
    {"--label", "NAME=VALUE", "a label; repeat for more"},
    {NULL, NULL, NULL},
};
static const struct ctl_option set_options[] = {
    {"--override", NULL, "even while a rollout owns the weights: pauses it"},
    {NULL, NULL, NULL},
};
static const struct ctl_option report_options[] = {
    {"--junit", NULL, "as JUnit XML"},
    {NULL, NULL, NULL},
};
/* What rolls out and how; deploy does it, rollout plan says what it would do. */
/* clang-format off */
#define SPEC_OPTIONS                                                                           \
    {"--version", "VERSION", "the version that is to get the traffic"},                        \
    {"--endpoint", "HOST:PORT", "register the version with this endpoint first; repeat"},      \
    {"-f", "FILE", "a rollout file (JSON with comments)"},                                     \
    {"--steps", "5,25,50,100", "weights in per cent, instead of a file"},                      \
    {"--hold", "TIME", "at each step of --steps (default 1m)"},                                \
    {"--until", "WHAT", "what ends a hold: time (default), evidence, approval"},               \
    {"--max", "TIME", "longest hold with --until evidence"},                                   \
    {"--warmup", "TIME", "latency of a new endpoint is not judged for this long"},             \
    {"--strategy", "NAME", "canary or bluegreen"},                                             \
    {"--supersede", "HOW", "while another is under way: reject (default), restart, queue"}
/* clang-format on */
static const struct ctl_option deploy_options[] = {
    SPEC_OPTIONS,
    {"--wait", "[MODE]", "until complete (default), paused or none"},
    {"--timeout", "TIME", "of --wait; the rollout goes on, exit 5"},
    {"--dry-run", NULL, "say what would happen, as rollout plan does: exit 10, or why not"},
    {NULL, NULL, NULL},
};
static const struct ctl_option plan_options[] = {
    SPEC_OPTIONS,
    {NULL, NULL, NULL},
};
static const struct ctl_option wait_options[] = {
    {"--for", "MODE", "complete (default) or paused"},
    {"--timeout", "TIME", "exit 5 after this long; the rollout goes on"},
    {NULL, NULL, NULL},
};
static const struct ctl_option undo_options[] = {
    {"--to", "VERSION", "the version to go back to (default: the one before)"},
    {NULL, NULL, NULL},
};
static const struct ctl_option flag_set_options[] = {
    {"-f", "FILE", "the flag as a flagd definition (- is stdin)"},
    {"--state", "STATE", "ENABLED or DISABLED"},
    {"--default", "VARIANT", "the default variant"},
    {NULL, NULL, NULL},
};
static const struct ctl_option kill_options[] = {
    {"--variant", "VARIANT", "for everybody (default: \"off\" when there is one)"},
    {"--for", "TIME", "restored by itself after this long"},
    {NULL, NULL, NULL},
};
static const struct ctl_option flag_override_options[] = {
    {"--variant", "VARIANT", "what they get"},
    {"--values", "A,B", "for whom: values of the attribute"},
    {"--attr", "NAME", "the attribute (default: targetingKey)"},
    {"--for", "TIME", "restored by itself after this long"},
    {NULL, NULL, NULL},
};
static const struct ctl_option explain_options[] = {
    {"--context", "JSON", "what the rules see: {\"targetingKey\":\"u1\"}"},
    {NULL, NULL, NULL},
};
static const struct ctl_option simulate_options[] = {
    {"-f", "FILE", "the flag as it is to be (default: as it is)"},
    {"--users", "N", "targeting keys that are tried (default 10000, at most 100000)"},
    {"--context", "JSON", "what the rules see besides the targeting key"},
    {NULL, NULL, NULL},
};
static const struct ctl_option flag_log_options[] = {
    {"--since", "SEQ", "changes after this record"},
    {NULL, NULL, NULL},
};
static const struct ctl_option export_options[] = {
    {"--apply-overrides", NULL, "what is overridden for everybody is written as it is now"},
    {NULL, NULL, NULL},
};
static const struct ctl_option eval_options[] = {
    {"--context", "JSON", "what the rules see: {\"targetingKey\":\"u1\"}"},
    {"--flags", "FILE", "offline: a flagd document"},
    {"--contexts", "FILE", "offline: JSON lines of contexts"},
    {"--now", "UNIXSEC", "offline: what rules see as the time"},
    {NULL, NULL, NULL},
};
static const struct ctl_option replay_options[] = {
    {"--rule", "RULE", "eprocess (default), flagger, argo, kayenta or ztest"},
    {"--alpha", "P", "eprocess: chance of a false \"regressed\" (default 0.01)"},
    {"--tolerance", "RATIO", "eprocess: so many times as bad is fine (default 1)"},
    {"--interval", "TIME", "the others: between looks (default 1m, kayenta 5m)"},
    {"--limit", "N", "flagger: threshold (default 5); argo: failureLimit (default 3)"},
    {"--success", "PERCENT", "flagger, argo: least share without errors (default 98)"},
    {"--p99", "MS", "flagger, argo: longest p99 (default 500; 0: any)"},
    {NULL, NULL, NULL},
};
static const struct ctl_option events_options[] = {
    {"--follow", NULL, "go on as they happen"},
    {"--since", "SEQ", "events after this one (default: the last 50)"},
    {"--limit", "N", "at most this many (default 50)"},
    {NULL, NULL, NULL},
};

const struct ctl_command ctl_commands[] = {
    {"status", "", "what runs: workers, services, rollouts, flags", cmd_status, 0, 0, NULL},
    {"top", "", "traffic by service and version, refreshed", cmd_top, 0, 0, top_options},
    {"stats", "", "rates, errors and latencies", cmd_stats, 0, 0, stats_options},
    {"version", "", "versions of sluice and of this command", cmd_version, 0, 0, NULL},
    {"doctor", "", "looks for what is wrong; exit 1 when something is", cmd_doctor, 0, 0, NULL},

    {"service list", "", "services and their health", cmd_service_list, 0, 0, NULL},
    {"service show", "SERVICE", "one service: versions, weights, endpoints", cmd_service_show,
     1, 1, NULL},
    {"version list", "SERVICE", "versions of a service", cmd_version_list, 1, 1, NULL},
    {"version register", "SERVICE VERSION", "add a version, or change its endpoints",
     cmd_version_register, 2, 2, register_options},
    {"version rm", "SERVICE VERSION", "remove a version that has no weight", cmd_version_rm, 2,
     2, NULL},
    {"endpoint list", "SERVICE [VERSION]", "endpoints and their health", cmd_endpoint_list, 1,
     2, NULL},
    {"endpoint add", "SERVICE VERSION HOST:PORT", "add an endpoint", cmd_endpoint_add, 3, 3,
     NULL},
    {"endpoint rm", "SERVICE VERSION HOST:PORT", "remove an endpoint", cmd_endpoint_rm, 3, 3,
     NULL},
    {"endpoint drain", "SERVICE VERSION HOST:PORT", "no new requests for it",
     cmd_endpoint_drain, 3, 3, NULL},
    {"endpoint ready", "SERVICE VERSION HOST:PORT", "take it back", cmd_endpoint_ready, 3, 3,
     NULL},
    {"weights get", "SERVICE", "weights, set and actual", cmd_weights_get, 1, 1, NULL},
    {"weights set", "SERVICE VERSION=PERCENT...", "set all weights of a service at once",
     cmd_weights_set, 2, -1, set_options},

    {"deploy", "SERVICE", "roll a version out", cmd_deploy, 1, 1, deploy_options},
    {"rollout plan", "SERVICE", "what deploy would do, how long and what would be noticed",
     cmd_rollout_plan, 1, 1, plan_options},
    {"rollout list", "", "rollouts, newest first", cmd_rollout_list, 0, 0, NULL},
    {"rollout show", "ROLLOUT", "one rollout with its evidence", cmd_rollout_show, 1, 1, NULL},
    {"rollout watch", "ROLLOUT", "look on until it ends", cmd_rollout_watch, 1, 1, NULL},
    {"rollout wait", "ROLLOUT", "wait until it ends or needs a decision", cmd_rollout_wait, 1,
     1, wait_options},
    {"rollout promote", "ROLLOUT", "skip the hold or the failed check of this step",
     cmd_rollout_promote, 1, 1, NULL},
    {"rollout pause", "ROLLOUT", "stay at this weight", cmd_rollout_pause, 1, 1, NULL},
    {"rollout resume", "ROLLOUT", "go on", cmd_rollout_resume, 1, 1, NULL},
    {"rollout abort", "ROLLOUT", "back to the stable version, now", cmd_rollout_abort, 1, 1,
     NULL},
    {"rollout approve", "ROLLOUT", "agree, where a step asks for people", cmd_rollout_approve,
     1, 1, NULL},
    {"rollout retry", "ROLLOUT", "run the check that failed again", cmd_rollout_retry, 1, 1,
     NULL},
    {"rollout report", "ROLLOUT", "the whole story as markdown", cmd_rollout_report, 1, 1,
     report_options},
    {"rollout decisions", "ROLLOUT", "every verdict with its numbers", cmd_rollout_decisions, 1,
     1, NULL},
    {"handover", "[SERVICE]", "the report of the newest rollout", cmd_handover, 0, 1,
     report_options},
    {"undo", "SERVICE", "back to the version before, now", cmd_undo, 1, 1, undo_options},

    {"judge replay", "FILE", "what a rule would have said of recorded windows; needs no proxy",
     cmd_judge_replay, 1, 1, replay_options},

    {"flag list", "", "flags, their state and overrides", cmd_flag_list, 0, 0, NULL},
    {"flag show", "KEY", "a flag's definition", cmd_flag_show, 1, 1, NULL},
    {"flag set", "KEY", "create or change a flag", cmd_flag_set, 1, 1, flag_set_options},
    {"flag kill", "KEY", "one variant for everybody, now", cmd_flag_kill, 1, 1, kill_options},
    {"flag restore", "KEY", "end a kill", cmd_flag_restore, 1, 1, NULL},
    {"flag override", "KEY", "one variant for some users, now", cmd_flag_override, 1, 1,
     flag_override_options},
    {"flag publish", "FILE", "put all flags of a file at once", cmd_flag_publish, 1, 1, NULL},
    {"flag validate", "FILE", "what is wrong with flags, and who would move", cmd_flag_validate,
     1, 1, NULL},
    {"flag explain", "KEY", "why a flag says what it says", cmd_flag_explain, 1, 1,
     explain_options},
    {"flag simulate", "KEY", "which share of users gets what, now and then", cmd_flag_simulate,
     1, 1, simulate_options},
    {"flag log", "", "who changed which flag when", cmd_flag_log, 0, 0, flag_log_options},
    {"flag export", "", "all flags as a flagd document", cmd_flag_export, 0, 0, export_options},
    {"flag rm", "KEY", "remove a flag", cmd_flag_rm, 1, 1, NULL},
    {"flag eval", "[KEY]", "what a flag says for a context, online or offline", cmd_flag_eval,
     0, 1, eval_options},

    {"config check", "FILE", "all mistakes of a file; exit 11 when there are any",
     cmd_config_check, 1, 1, NULL},
    {"config show", "[FILE]", "the effective config, secrets hidden", cmd_config_show, 0, 1,
     NULL},
    {"config schema", "", "JSON Schema of the config file", cmd_config_schema, 0, 0, NULL},
    {"config reload", "", "read the file again; exit 11 when it is bad", cmd_config_reload, 0,
     0, NULL},
    {"audit list", "", "who changed what", cmd_audit_list, 0, 0, NULL},
    {"audit verify", "", "is that record as it was written? exit 1 if not", cmd_audit_verify, 0,
     0, NULL},
    {"events", "", "what happened", cmd_events, 0, 0, events_options},
    {NULL, NULL, NULL, NULL, 0, 0, NULL},
};

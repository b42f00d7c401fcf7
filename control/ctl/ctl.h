/*
 * ctl.h - sluicectl: what a command gets, and how it ends.
 *
 * main parses the line against one table (commands.c), then runs one command. stdout is data,
 * stderr is progress and complaints. Exit codes are a contract with CI.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#include <jansson.h>
#include <stdio.h>

enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_ROLLED_BACK = 3, /* automatically */
    CTL_ABORTED = 4,     /* or undone, or superseded */
    CTL_TIMED_OUT = 5,   /* the rollout goes on */
    CTL_DECISION = 6,    /* the rollout waits for somebody */
    CTL_CONFLICT = 7,    /* 409, 412, 428 */
    CTL_DENIED = 8,      /* 401, 403 */
    CTL_UNREACHABLE = 9, /* sluice does not answer */
    CTL_CHANGES = 10,    /* --dry-run, and there are changes */
    CTL_BAD_CONFIG = 11, /* the configuration is invalid */
    CTL_DETACHED = 130   /* interrupted; the rollout goes on */
};

#define CTL_OPTIONS_MAX 64
#define CTL_ARGS_MAX    128

struct ctl;

struct ctl_option {
    const char *name; /* "--version" */
    const char *arg;  /* "VERSION"; "[MODE]": only as --name=MODE; NULL: takes none */
    const char *help;
};

struct ctl_command {
    const char *name;  /* "rollout show" */
    const char *usage; /* "ID" */
    const char *help;  /* one line */
    int (*run)(struct ctl *c);
    int min, max;                     /* arguments; max < 0: any number */
    const struct ctl_option *options; /* ends with a NULL name; NULL: none */
};
extern const struct ctl_command ctl_commands[]; /* ends with a NULL name */

struct ctl {
    const struct ctl_command *command;
    const char *args[CTL_ARGS_MAX];
    int nargs;
    struct {
        const char *name, *value; /* value "": given without one */
    } options[CTL_OPTIONS_MAX];
    int noptions;
    const char *socket, *host, *reason;
    bool json, color, yes, help, tty; /* tty: stdout is a terminal */
    FILE *out, *err;
    int interrupt; /* becomes readable on SIGINT and ends calls; 0: not used */
};

/* All of sluicectl but for the process; returns the exit code. */
int ctl_main(int argc, char **argv);
/* Fill C from the line. CTL_OK, or CTL_USAGE with a complaint on C->err. */
int ctl_parse(struct ctl *c, int argc, char **argv) MUST_CHECK;
/* The manual of one command (or of all, COMMAND NULL) on OUT. */
void ctl_help(FILE *out, const struct ctl_command *command);

/* Value of an option, "" when it was given without, NULL when it was not given. */
const char *ctl_option(const struct ctl *c, const char *name);
/* Value number I of an option that may be repeated, NULL after the last. */
const char *ctl_option_at(const struct ctl *c, const char *name, int i);
/* "sluicectl: ..." on C->err; returns CODE. */
int ctl_complain(struct ctl *c, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* With an option like "30s" in it: true and *MS, or a complaint. Absent: *MS stays. */
bool ctl_option_ms(struct ctl *c, const char *name, uint64_t *ms);
/* Print DOC as JSON on C->out. */
void ctl_print_json(struct ctl *c, const json_t *doc);
/* DOC's member when it is a string, "yes" or "no" for a boolean, else "". Borrowed. */
const char *ctl_text(const json_t *doc, const char *member);
/* For what cannot be taken back: asks on a terminal, unless --yes. False: do not. */
bool ctl_confirm(struct ctl *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
double ctl_number(const json_t *doc, const char *member); /* 0 when it is none */

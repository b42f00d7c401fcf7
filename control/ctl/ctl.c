/* ctl.c - the command line: global options, the table of commands, help, suggestions. */
#include "control/ctl/ctl.h"

#include "config/conf.h"
#include "config/suggest.h"
#include "proxy/base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/sluice/control.sock"

static const struct ctl_option globals[] = {
    {"--socket", "PATH", "control socket (default $SLUICE_SOCKET or " DEFAULT_SOCKET ")"},
    {"--host", "URL", "control API over TCP instead, http://127.0.0.1:9900"},
    {"-o", "FORMAT", "table (default) or json: the API's document as it is"},
    {"--reason", "TEXT", "why; goes into events and the audit"},
    {"--no-color", NULL, "no colors; also $NO_COLOR"},
    {"--yes", NULL, "do not ask before what cannot be taken back"},
    {"--help", NULL, "help for the command"},
    {NULL, NULL, NULL},
};

int ctl_complain(struct ctl *c, int code, const char *fmt, ...)
{
    va_list ap;

    fflush(c->out);
    fputs("sluicectl: ", c->err);
    va_start(ap, fmt);
    vfprintf(c->err, fmt, ap);
    va_end(ap);
    fputc('\n', c->err);
    return code;
}

/* --- help --- */

static void help_options(FILE *out, const struct ctl_option *o)
{
    for (; o && o->name; o++) {
        char name[64];

        if (o->arg && o->arg[0] == '[')
            snprintf(name, sizeof(name), "%s[=%.*s]", o->name, (int)strlen(o->arg) - 2,
                     o->arg + 1);
        else
            snprintf(name, sizeof(name), "%s%s%s", o->name, o->arg ? " " : "",
                     o->arg ? o->arg : "");
        fprintf(out, "  %-22s %s\n", name, o->help);
    }
}

void ctl_help(FILE *out, const struct ctl_command *command)
{
    if (command) {
        fprintf(out, "usage: sluicectl %s%s%s%s\n%s\n", command->name,
                command->usage[0] ? " " : "", command->usage,
                command->options ? " [options]" : "", command->help);
        if (command->options)
            fputs("\noptions:\n", out);
        help_options(out, command->options);
    } else {
        fputs("usage: sluicectl [options] command [arguments]\n\ncommands:\n", out);
        for (const struct ctl_command *k = ctl_commands; k->name; k++) {
            int n = fprintf(out, "  %s %s", k->name, k->usage);

            fprintf(out, "%*s%s\n", n < 44 ? 44 - n : 1, "", k->help);
        }
    }
    fputs("\nfor every command:\n", out);
    help_options(out, globals);
}

/* --- suggestions --- */

static int unknown(struct ctl *c, const char *what, const char *word, const struct str *names,
                   size_t n)
{
    long best = suggest_pick(str_of(word), names, n);

    if (best >= 0)
        ctl_complain(c, CTL_USAGE, "unknown %s \"%s\"; did you mean \"%.*s\"?", what, word,
                     STR_ARG(names[best]));
    else
        ctl_complain(c, CTL_USAGE, "unknown %s \"%s\"; see sluicectl --help", what, word);
    return CTL_USAGE;
}

static int unknown_option(struct ctl *c, const char *word)
{
    struct str names[CTL_OPTIONS_MAX];
    size_t n = 0;

    for (const struct ctl_option *o = c->command ? c->command->options : NULL; o && o->name;
         o++)
        names[n++] = str_of(o->name);
    for (const struct ctl_option *o = globals; o->name; o++)
        names[n++] = str_of(o->name);
    return unknown(c, "option", word, names, n);
}

static int unknown_command(struct ctl *c, const char *noun, const char *verb)
{
    struct str names[128];
    char word[128];
    size_t n = 0, noun_len = strlen(noun);
    bool known_noun = false;

    for (const struct ctl_command *k = ctl_commands; k->name; k++) {
        if (n < ARRAY_LEN(names))
            names[n++] = str_of(k->name);
        known_noun |= strncmp(k->name, noun, noun_len) == 0 && k->name[noun_len] == ' ';
    }
    for (const struct ctl_command *k = ctl_commands; k->name && !known_noun; k++) {
        const char *space = strchr(k->name, ' '); /* the nouns, too */

        if (space && n < ARRAY_LEN(names))
            names[n++] = (struct str){k->name, (size_t)(space - k->name)};
    }
    if (known_noun && !verb)
        return ctl_complain(c, CTL_USAGE, "\"%s\" wants a verb; see sluicectl --help", noun);
    snprintf(word, sizeof(word), "%s%s%s", noun, known_noun ? " " : "", known_noun ? verb : "");
    return unknown(c, "command", word, names, n);
}

/* --- parsing --- */

static const struct ctl_option *find_option(const struct ctl_option *o, struct str name)
{
    for (; o && o->name; o++)
        if (str_eq(str_of(o->name), name))
            return o;
    return NULL;
}

static int take_global(struct ctl *c, const char *name, const char *value)
{
    if (strcmp(name, "--socket") == 0) {
        c->socket = value;
    } else if (strcmp(name, "--host") == 0) {
        c->host = value;
    } else if (strcmp(name, "--reason") == 0) {
        c->reason = value;
    } else if (strcmp(name, "--no-color") == 0) {
        c->color = false;
    } else if (strcmp(name, "--yes") == 0) {
        c->yes = true;
    } else if (strcmp(name, "--help") == 0) {
        c->help = true;
    } else { /* -o */
        c->json = strcmp(value, "json") == 0;
        if (!c->json && strcmp(value, "table") != 0)
            return ctl_complain(c, CTL_USAGE, "-o takes table or json, not \"%s\"", value);
    }
    return CTL_OK;
}

/* One option at argv[*I]; moves *I over a value that is a word of its own. */
static int take_option(struct ctl *c, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *eq = strchr(word, '=');
    struct str name = {word, eq ? (size_t)(eq - word) : strlen(word)};
    const struct ctl_option *o = find_option(globals, name), *own = NULL;
    const char *value = eq ? eq + 1 : NULL;

    if (!o && c->command)
        o = own = find_option(c->command->options, name);
    if (!o && strncmp(word, "-ojson", 6) == 0)
        return take_global(c, "-o", word + 2);
    if (!o)
        return unknown_option(c, word);
    if (!o->arg && value)
        return ctl_complain(c, CTL_USAGE, "%s takes no value", o->name);
    if (o->arg && o->arg[0] != '[' && !value) {
        if (*i + 1 >= argc)
            return ctl_complain(c, CTL_USAGE, "%s wants %s", o->name, o->arg);
        value = argv[++*i];
    }
    if (!own)
        return take_global(c, o->name, value);
    if (c->noptions == CTL_OPTIONS_MAX)
        return ctl_complain(c, CTL_USAGE, "too many options");
    c->options[c->noptions].name = o->name;
    c->options[c->noptions++].value = value ? value : "";
    return CTL_OK;
}

static const struct ctl_command *find_command(const char *noun, const char *verb)
{
    for (const struct ctl_command *k = ctl_commands; k->name; k++) {
        const char *space = strchr(k->name, ' ');

        if (!space && !verb && strcmp(k->name, noun) == 0)
            return k;
        if (space && verb && strlen(noun) == (size_t)(space - k->name) &&
            strncmp(k->name, noun, strlen(noun)) == 0 && strcmp(space + 1, verb) == 0)
            return k;
    }
    return NULL;
}

/* A word that is no option: a part of the command's name or an argument. */
static int take_word(struct ctl *c, const char **noun, const char *word)
{
    if (c->command) {
        const struct ctl_command *longer =
            c->nargs == 0 ? find_command(c->command->name, word) : NULL;

        if (longer && longer != c->command) { /* "version" alone is a command, too */
            c->command = longer;
            return CTL_OK;
        }
        if (c->nargs == CTL_ARGS_MAX)
            return ctl_complain(c, CTL_USAGE, "too many arguments");
        c->args[c->nargs++] = word;
        return CTL_OK;
    }
    c->command = *noun ? find_command(*noun, word) : find_command(word, NULL);
    if (!c->command && *noun)
        return unknown_command(c, *noun, word);
    if (!c->command) {
        size_t n = strlen(word);

        for (const struct ctl_command *k = ctl_commands; k->name; k++)
            if (strncmp(k->name, word, n) == 0 && k->name[n] == ' ')
                *noun = word;
        if (!*noun)
            return unknown_command(c, word, NULL);
    }
    return CTL_OK;
}

int ctl_parse(struct ctl *c, int argc, char **argv)
{
    const char *noun = NULL;
    bool only_words = false;
    int code = CTL_OK;

    for (int i = 1; i < argc && code == CTL_OK; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1])
            code = take_option(c, argc, argv, &i);
        else
            code = take_word(c, &noun, argv[i]);
    }
    if (code != CTL_OK || c->help)
        return code;
    if (!c->command && noun)
        return unknown_command(c, noun, NULL);
    if (!c->command) {
        ctl_help(c->err, NULL);
        return CTL_USAGE;
    }
    if (c->nargs < c->command->min || (c->command->max >= 0 && c->nargs > c->command->max))
        return ctl_complain(c, CTL_USAGE, "usage: sluicectl %s %s", c->command->name,
                            c->command->usage);
    return CTL_OK;
}

/* --- what commands ask --- */

const char *ctl_option_at(const struct ctl *c, const char *name, int i)
{
    for (int k = 0; k < c->noptions; k++)
        if (strcmp(c->options[k].name, name) == 0 && i-- == 0)
            return c->options[k].value;
    return NULL;
}

const char *ctl_option(const struct ctl *c, const char *name)
{
    const char *value = NULL;

    for (int k = 0; k < c->noptions; k++)
        if (strcmp(c->options[k].name, name) == 0)
            value = c->options[k].value; /* the last one wins */
    return value;
}

bool ctl_option_ms(struct ctl *c, const char *name, uint64_t *ms)
{
    const char *value = ctl_option(c, name);

    if (!value || conf_duration(str_of(value), ms))
        return true;
    ctl_complain(c, CTL_USAGE, "%s takes a duration like 90s or 5m, not \"%s\"", name, value);
    return false;
}

void ctl_print_json(struct ctl *c, const json_t *doc)
{
    json_dumpf(doc, c->out, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', c->out);
}

const char *ctl_text(const json_t *doc, const char *member)
{
    const json_t *v = json_object_get(doc, member);

    if (json_is_boolean(v))
        return json_is_true(v) ? "yes" : "no";
    return json_is_string(v) ? json_string_value(v) : "";
}

double ctl_number(const json_t *doc, const char *member)
{
    return json_number_value(json_object_get(doc, member));
}

bool ctl_confirm(struct ctl *c, const char *fmt, ...)
{
    char answer[16];
    va_list ap;

    if (c->yes || !isatty(STDIN_FILENO))
        return true;
    va_start(ap, fmt);
    vfprintf(c->err, fmt, ap);
    va_end(ap);
    fputs(" [y/N] ", c->err);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int ctl_main(int argc, char **argv)
{
    struct ctl c = {.out = stdout, .err = stderr, .tty = isatty(STDOUT_FILENO)};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    int code;

    c.socket = getenv("SLUICE_SOCKET");
    if (!c.socket || !c.socket[0])
        c.socket = DEFAULT_SOCKET;
    c.color = c.tty && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
    code = ctl_parse(&c, argc, argv);
    if (code == CTL_OK && c.help) {
        ctl_help(stdout, c.command);
        return CTL_OK;
    }
    if (code == CTL_OK)
        code = c.command->run(&c);
    if (fflush(stdout) != 0 && code == CTL_OK)
        code = CTL_FAILED;
    return code;
}

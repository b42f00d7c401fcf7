/* test_ctl.c - sluicectl: the line, the exit codes, tables and views from documents. */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "control/ctl/show.h"
#include "control/ctl/table.h"
#include "control/ctl/wait.h"
#include "proxy/base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

/* --- the line --- */

static char *complaint;
static size_t complaint_n;

/* Parse LINE (words by blanks) into C; returns the code, complaints go to `complaint`. */
static int parse(struct ctl *c, const char *line)
{
    static char words[512];
    static char *argv[64];
    int argc = 0, code;
    char *at = words, *word;

    snprintf(words, sizeof(words), "%s", line);
    argv[argc++] = (char *)(uintptr_t) "sluicectl";
    while ((word = strsep(&at, " ")))
        if (*word)
            argv[argc++] = word;
    xfree(complaint);
    *c = (struct ctl){.out = stdout, .color = true};
    c->err = open_memstream(&complaint, &complaint_n);
    code = ctl_parse(c, argc, argv);
    fclose(c->err);
    c->err = stderr;
    return code;
}

START_TEST(test_line)
{
    struct ctl c;

    ck_assert_int_eq(parse(&c, "deploy shop --version v2 --endpoint 127.0.0.1:1 -o json "
                               "--endpoint=[::1]:2 --wait --no-color --reason x"),
                     CTL_OK);
    ck_assert_str_eq(c.command->name, "deploy");
    ck_assert_int_eq(c.nargs, 1);
    ck_assert_str_eq(c.args[0], "shop");
    ck_assert_str_eq(ctl_option(&c, "--version"), "v2");
    ck_assert_str_eq(ctl_option_at(&c, "--endpoint", 1), "[::1]:2");
    ck_assert_ptr_null(ctl_option_at(&c, "--endpoint", 2));
    ck_assert_str_eq(ctl_option(&c, "--wait"), ""); /* does not swallow the next word */
    ck_assert(c.json && !c.color);
    ck_assert_str_eq(c.reason, "x");
    ck_assert_int_eq(parse(&c, "--socket /s rollout --help show"), CTL_OK);
    ck_assert(c.help);
    ck_assert_str_eq(c.command->name, "rollout show");
    ck_assert_str_eq(c.socket, "/s");
    ck_assert_int_eq(parse(&c, "version"), CTL_OK);
    ck_assert_str_eq(c.command->name, "version");
    ck_assert_int_eq(parse(&c, "version list shop"), CTL_OK);
    ck_assert_str_eq(c.command->name, "version list");
    ck_assert_int_eq(parse(&c, "weights set shop v1=90 v2=10 --override"), CTL_OK);
    ck_assert_int_eq(c.nargs, 3);
    ck_assert_int_eq(parse(&c, "flag show -- --odd-key"), CTL_OK);
    ck_assert_str_eq(c.args[0], "--odd-key");
}
END_TEST

START_TEST(test_mistakes)
{
    static const char *const rows[][2] = {
        {"deploi shop", "did you mean \"deploy\"?"},
        {"rolout show", "did you mean \"rollout\"?"},
        {"rollout shwo r-1", "did you mean \"rollout show\"?"},
        {"rollout", "wants a verb"},
        {"deploy shop --verison v2", "did you mean \"--version\"?"},
        {"status --sokcet x", "did you mean \"--socket\"?"},
        {"status --override", "unknown option"},
        {"deploy shop --version", "--version wants VERSION"},
        {"deploy shop --dry-run=1", "takes no value"},
        {"deploy", "usage: sluicectl deploy SERVICE"},
        {"status more", "usage: sluicectl status"},
        {"status -o yaml", "table or json"},
        {"", "usage: sluicectl"},
    };
    struct ctl c;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_int_eq(parse(&c, rows[i][0]), CTL_USAGE);
        ck_assert_msg(strstr(complaint, rows[i][1]) != NULL, "%s: %s", rows[i][0], complaint);
    }
}
END_TEST

START_TEST(test_every_command_has_help)
{
    for (const struct ctl_command *k = ctl_commands; k->name; k++) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        ctl_help(f, k);
        fclose(f);
        ck_assert(strstr(text, k->name) && strstr(text, k->help));
        for (const struct ctl_option *o = k->options; o && o->name; o++)
            ck_assert(strstr(text, o->name) && strstr(text, o->help));
        for (const struct ctl_command *other = ctl_commands; other != k; other++)
            ck_assert_str_ne(other->name, k->name);
        xfree(text);
    }
}
END_TEST

/* --- exit codes and paths --- */

START_TEST(test_exit_codes)
{
    static const int rows[][2] = {{200, CTL_OK},       {201, CTL_OK},       {204, CTL_OK},
                                  {400, CTL_FAILED},   {401, CTL_DENIED},   {403, CTL_DENIED},
                                  {404, CTL_FAILED},   {409, CTL_CONFLICT}, {412, CTL_CONFLICT},
                                  {428, CTL_CONFLICT}, {422, CTL_FAILED},   {500, CTL_FAILED},
                                  {503, CTL_FAILED},   {0, CTL_UNREACHABLE}};
    struct answer r = {.status = 422, .json = json_pack("{s:[]}", "diagnostics")};

    ck_assert_int_eq(answer_exit(&r), CTL_BAD_CONFIG);
    json_decref(r.json);
    r.json = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        r.status = rows[i][0];
        ck_assert_int_eq(answer_exit(&r), rows[i][1]);
    }
}
END_TEST

START_TEST(test_paths)
{
    char *p = ctl_path("/v1/services/%s/endpoints/%s:drain", "a/b?c", "[::1]:80");

    ck_assert_str_eq(p, "/v1/services/a%2Fb%3Fc/endpoints/%5B::1%5D:80:drain");
    xfree(p);
}
END_TEST

static int outcome(const char *state, const char *reason, const char *verdict, bool waits)
{
    json_t *r = json_pack("{s:s,s:s*,s:{s:s*}}", "state", state, "reason", reason, "result",
                          "verdict", verdict);
    int code = show_exit(r, waits);

    json_decref(r);
    return code;
}

START_TEST(test_outcomes)
{
    ck_assert_int_eq(outcome("succeeded", NULL, "succeeded", true), CTL_OK);
    ck_assert_int_eq(outcome("reverted", NULL, "regressed", true), CTL_ROLLED_BACK);
    ck_assert_int_eq(outcome("reverted", NULL, "failed", true), CTL_ROLLED_BACK);
    ck_assert_int_eq(outcome("reverted", NULL, "aborted", true), CTL_ABORTED);
    ck_assert_int_eq(outcome("superseded", NULL, NULL, true), CTL_ABORTED);
    ck_assert_int_eq(outcome("rolled_back", NULL, NULL, true), CTL_ABORTED);
    ck_assert_int_eq(outcome("holding", "approval", NULL, true), CTL_DECISION);
    ck_assert_int_eq(outcome("holding", "approval", NULL, false), -1);
    ck_assert_int_eq(outcome("holding", "no_data", NULL, true), -1);
    ck_assert_int_eq(outcome("stepping", NULL, NULL, true), -1);
    ck_assert_int_eq(outcome("revert_stuck", NULL, NULL, true), -1);
}
END_TEST

/* --- text --- */

START_TEST(test_table)
{
    struct table *t = table_new("NAME|N>|NOTE");
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    table_cell(t, "größe");
    table_cell(t, "%d", 7);
    table_cell(t, "%s", "");
    table_cell(t, "b");
    table_cell(t, "%d", 1234);
    table_cell(t, "x");
    table_print(t, f);
    fclose(f);
    ck_assert_str_eq(text, "NAME      N  NOTE\n"
                           "größe     7\n"
                           "b      1234  x\n");
    xfree(text);
}
END_TEST

static json_t *rollout(void)
{
    return json_loads(
        "{\"id\":\"r-17\",\"index\":9,\"service\":\"checkout\",\"version\":\"v1.9.0\","
        "\"stable\":\"v1.8.2\",\"strategy\":\"canary\",\"state\":\"stepping\",\"reason\":null,"
        "\"step\":2,\"steps\":[{\"weight\":1,\"hold\":{\"min\":\"1m\"},\"state\":\"done\","
        "\"started\":\"2026-11-22T21:00:00.000Z\",\"ended\":\"2026-11-22T21:01:00.000Z\"},"
        "{\"weight\":25,\"hold\":{\"min\":\"3m\"},\"state\":\"current\","
        "\"started\":\"2026-11-22T21:01:00.000Z\",\"ended\":null},"
        "{\"weight\":100,\"hold\":null,\"state\":\"pending\"}],"
        "\"weight\":{\"set\":25,\"actual\":24.96},\"judge\":{\"verdict\":\"undecided\","
        "\"classes\":[{\"class\":\"error\",\"verdict\":\"certified\",\"evalue\":0.4,"
        "\"limit\":200,\"stable\":{\"n\":18700,\"bad\":187},\"canary\":{\"n\":6200,"
        "\"bad\":124}}]},\"created\":\"2026-11-22T21:00:00.000Z\",\"finished\":null,"
        "\"result\":null}",
        0, NULL);
}

START_TEST(test_live_view)
{
    json_t *r = rollout(),
           *stats = json_pack("{s:[{s:s,s:f}]}", "versions", "name", "v1.9.0", "rps", 104.13);
    struct shown v = {r, stats, show_time_ms("2026-11-22T21:02:12.000Z"), false};
    static const char *const parts[] = {
        "checkout  r-17  canary  v1.8.2 → v1.9.0    STEPPING  step 2/3  elapsed 2m12s\n",
        "v1.8.2 ██████████████████████████████░░░░░░░░░░  75.00 %\n",
        "v1.9.0 ██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  25.00 %     104.1 rps  (set 25, "
        "actual 25.0)\n",
        "✓ 1 % 1m00s   ● 25 % 1m12s/3m00s   ○ 100 %",
        "✓ error          1.00 %    2.00 %  ×2.0    e-value 0.4 of 200  n=18.7k/6200  "
        "certified\n"};
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    show_rollout(f, &v);
    fclose(f);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "no \"%s\" in\n%s", parts[i], text);
    ck_assert_ptr_null(strchr(text, '\033'));
    xfree(text);
    json_decref(r);
    json_decref(stats);
}
END_TEST

START_TEST(test_line_changes)
{
    json_t *r = rollout();
    char *a = show_key(r), *b, *c;

    ck_assert_str_eq(a, "r-17 checkout v1.8.2 -> v1.9.0 stepping step 2/3 weight 25 %\n");
    json_object_set_new(json_object_get(r, "weight"), "actual", json_real(25.3));
    b = show_key(r); /* the actual share alone is no news */
    ck_assert_str_eq(a, b);
    json_object_set_new(r, "state", json_string("holding"));
    json_object_set_new(r, "reason", json_string("no_data"));
    c = show_key(r);
    ck_assert_str_eq(c, "r-17 checkout v1.8.2 -> v1.9.0 holding (no_data) step 2/3 weight "
                        "25 %\n");
    xfree(a);
    xfree(b);
    xfree(c);
    json_decref(r);
}
END_TEST

START_TEST(test_numbers)
{
    char buf[32];

    ck_assert_str_eq(show_duration(buf, 15), "15ms");
    ck_assert_str_eq(show_duration(buf, 1500), "1.5s");
    ck_assert_str_eq(show_duration(buf, 42000), "42s");
    ck_assert_str_eq(show_duration(buf, 192000), "3m12s");
    ck_assert_str_eq(show_duration(buf, 3720000), "1h02m");
    ck_assert_str_eq(show_count(buf, 18700), "18.7k");
    ck_assert_uint_eq(show_time_ms("1970-01-01T00:00:01.250Z"), 1250);
    ck_assert_uint_eq(show_time_ms("yesterday"), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ctl");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_line);
    tcase_add_test(tc, test_mistakes);
    tcase_add_test(tc, test_every_command_has_help);
    tcase_add_test(tc, test_exit_codes);
    tcase_add_test(tc, test_paths);
    tcase_add_test(tc, test_outcomes);
    tcase_add_test(tc, test_table);
    tcase_add_test(tc, test_live_view);
    tcase_add_test(tc, test_line_changes);
    tcase_add_test(tc, test_numbers);
    suite_add_tcase(s, tc);
    return unit_run(s);
}

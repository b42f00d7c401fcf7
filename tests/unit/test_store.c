/*
 * test_store.c - what was committed is there after a crash, what was not is not; a disk without
 * room loses nothing; damage and foreign files are told apart; the audit chain notices.
 */
#include "control/store/store.h"
#include "proxy/event/digest.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[96];

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/test_store.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sluice.db", dir);
}

static void teardown(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char file[128];

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        unlink(file);
    }
    rmdir(dir);
}

static struct store *open_ok(const char *where)
{
    char err[STORE_MESSAGE_MAX] = "";
    struct store *s = store_open(where, err);

    ck_assert_msg(s != NULL, "%s", err);
    return s;
}

static void open_fails(const char *want)
{
    char err[STORE_MESSAGE_MAX] = "";

    ck_assert_ptr_null(store_open(path, err));
    ck_assert_msg(strstr(err, want) && strstr(err, path), "%s", err);
}

/* The document, or "" when missing. */
static const char *doc_of(struct store *s, const char *kind, const char *key)
{
    static char text[4096];
    struct arena a;
    struct str doc;
    int rc;

    arena_init(&a, NULL, 0);
    rc = store_get(s, kind, key, &a, &doc);
    ck_assert_int_ge(rc, 0);
    str_copy(text, sizeof(text), rc ? doc : STR(""));
    arena_release(&a);
    return text;
}

static void foreign_sql(const char *sql)
{
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void event_add(struct store *s, const char *type)
{
    struct store_event ev = {.ts_ms = 7, .type = str_of(type), .message = STR("it happened")};

    ck_assert_int_eq(store_event_append(s, &ev, NULL), 0);
}

static int audit_add(struct store *s, const char *what)
{
    struct store_audit rec = {.ts_ms = 5,
                              .who = STR("uid:1000"),
                              .what = str_of(what),
                              .before = STR("{\"v1\":100}"),
                              .after = STR("{\"v1\":90}")};

    return store_audit_append(s, &rec);
}

static int gather(void *arg, struct str key, struct str doc)
{
    char *out = arg;

    sprintf(out + strlen(out), "%.*s=%.*s ", STR_ARG(key), STR_ARG(doc));
    return 0;
}

static int gather_event(void *arg, const struct store_event *ev)
{
    char *out = arg;

    sprintf(out + strlen(out), "%d:%.*s ", (int)ev->seq, STR_ARG(ev->type));
    return 0;
}

START_TEST(documents)
{
    struct store *s = open_ok(":memory:");
    char all[256] = "";

    ck_assert_int_eq(store_put(s, "rollout", "r-2", STR("{\"b\":1}")), 0);
    ck_assert_int_eq(store_put(s, "rollout", "r-1", STR("{}")), 0);
    ck_assert_int_eq(store_put(s, "weights", "shop", STR("[]")), 0);
    ck_assert_int_eq(store_put(s, "rollout", "r-1", STR("{\"a\":1}")), 0);
    ck_assert_str_eq(doc_of(s, "rollout", "r-1"), "{\"a\":1}");
    ck_assert_str_eq(doc_of(s, "rollout", "r-9"), "");
    ck_assert_int_eq(store_list(s, "rollout", gather, all), 0);
    ck_assert_str_eq(all, "r-1={\"a\":1} r-2={\"b\":1} ");
    ck_assert_int_eq(store_delete(s, "rollout", "r-1"), 1);
    ck_assert_int_eq(store_delete(s, "rollout", "r-1"), 0);
    ck_assert_str_eq(doc_of(s, "rollout", "r-1"), "");
    ck_assert_str_eq(doc_of(s, "weights", "shop"), "[]");
    store_close(s);
}
END_TEST

START_TEST(quotes_are_only_text)
{
    struct store *s = open_ok(":memory:");

    ck_assert_int_eq(store_put(s, "k", "'; DROP TABLE doc; --", STR("'\"\n")), 0);
    ck_assert_str_eq(doc_of(s, "k", "'; DROP TABLE doc; --"), "'\"\n");
    store_close(s);
}
END_TEST

START_TEST(events_page_and_prune)
{
    struct store *s = open_ok(path);
    char all[256] = "";
    uint64_t seq = 99;

    ck_assert_int_eq(store_events_last(s, &seq), 0);
    ck_assert_uint_eq(seq, 0);
    for (int i = 0; i < 6; i++)
        event_add(s, i % 2 ? "odd" : "even");
    ck_assert_int_eq(store_events(s, 2, 3, gather_event, all), 0);
    ck_assert_str_eq(all, "3:even 4:odd 5:even ");
    ck_assert_int_eq(store_events_prune(s, 2), 0);
    all[0] = '\0';
    ck_assert_int_eq(store_events(s, 0, 100, gather_event, all), 0);
    ck_assert_str_eq(all, "5:even 6:odd ");
    ck_assert_int_eq(store_events_prune(s, 0), 0);
    store_close(s);
    s = open_ok(path); /* a number is never used twice */
    event_add(s, "next");
    ck_assert_int_eq(store_events_last(s, &seq), 0);
    ck_assert_uint_eq(seq, 7);
    store_close(s);
}
END_TEST

START_TEST(transactions_are_all_or_nothing)
{
    struct store *s = open_ok(path);
    uint64_t seq;

    ck_assert_int_eq(store_begin(s), 0);
    ck_assert_int_eq(store_put(s, "k", "a", STR("1")), 0);
    event_add(s, "gone");
    store_rollback(s);
    ck_assert_str_eq(doc_of(s, "k", "a"), "");
    ck_assert_int_eq(store_events_last(s, &seq), 0);
    ck_assert_uint_eq(seq, 0);
    ck_assert_int_eq(store_begin(s), 0);
    ck_assert_int_eq(store_put(s, "k", "a", STR("2")), 0);
    event_add(s, "kept");
    ck_assert_int_eq(store_commit(s), 0);
    store_close(s);
    s = open_ok(path);
    ck_assert_str_eq(doc_of(s, "k", "a"), "2");
    store_close(s);
}
END_TEST

/* A child writes and is killed: before or after its commit. */
static void killed_child(bool commit)
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char err[STORE_MESSAGE_MAX];
        struct store *s = store_open(path, err);

        if (s && store_begin(s) == 0 && store_put(s, "k", "a", STR("child")) == 0 &&
            (!commit || store_commit(s) == 0))
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
}

START_TEST(kill_9_keeps_what_was_committed)
{
    struct store *s;

    killed_child(false);
    s = open_ok(path);
    ck_assert_str_eq(doc_of(s, "k", "a"), "");
    store_close(s);
    killed_child(true);
    s = open_ok(path);
    ck_assert_str_eq(doc_of(s, "k", "a"), "child");
    store_close(s);
}
END_TEST

static void file_limit(rlim_t bytes)
{
    struct rlimit lim;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &lim), 0);
    lim.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

#define BIG (8 << 20) /* more than SQLite keeps in memory */

START_TEST(no_room_loses_nothing)
{
    struct store *s = open_ok(path);
    char *big = malloc(BIG);
    struct arena a;
    struct str doc;

    memset(big, 'x', BIG);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(store_put(s, "k", "a", STR("before")), 0);
    file_limit(256 << 10);
    ck_assert_int_eq(store_put(s, "k", "a", (struct str){big, 1 << 20}), -1);
    ck_assert_int_ne(store_message(s)[0], '\0');
    ck_assert_str_eq(doc_of(s, "k", "a"), "before");
    ck_assert_int_eq(store_begin(s), 0);
    ck_assert_int_eq(store_put(s, "k", "b", STR("half")), 0);
    ck_assert_int_eq(store_put(s, "k", "a", (struct str){big, 1 << 20}), 0);
    ck_assert_int_eq(store_commit(s), -1); /* that is when it is written */
    ck_assert_str_eq(doc_of(s, "k", "b"), "");
    ck_assert_int_eq(store_begin(s), 0);
    ck_assert_int_eq(store_put(s, "k", "b", STR("half")), 0);
    ck_assert_int_eq(store_put(s, "k", "a", (struct str){big, BIG}), -1); /* spills at once */
    ck_assert_int_eq(store_put(s, "k", "c", STR("other half")), -1);      /* doomed */
    ck_assert_int_eq(store_commit(s), -1);
    ck_assert_str_eq(doc_of(s, "k", "b"), "");
    ck_assert_str_eq(doc_of(s, "k", "a"), "before");
    file_limit(RLIM_INFINITY);
    ck_assert_int_eq(store_put(s, "k", "a", (struct str){big, 1 << 20}), 0);
    arena_init(&a, NULL, 0);
    ck_assert_int_eq(store_get(s, "k", "a", &a, &doc), 1);
    ck_assert_uint_eq(doc.n, 1 << 20);
    arena_release(&a);
    store_close(s);
    s = open_ok(path);
    store_close(s);
    free(big);
}
END_TEST

START_TEST(second_writer_waits_or_is_told)
{
    struct store *a = open_ok(path), *b = open_ok(path);

    ck_assert_int_eq(store_begin(a), 0);
    ck_assert_int_eq(store_begin(b), -1);
    ck_assert_ptr_nonnull(strstr(store_message(b), "locked"));
    ck_assert_int_eq(store_commit(a), 0);
    ck_assert_int_eq(store_begin(b), 0);
    store_rollback(b);
    store_close(a);
    store_close(b);
}
END_TEST

START_TEST(foreign_and_newer_files_are_refused)
{
    FILE *f = fopen(path, "w");

    for (int i = 0; i < 1000; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    open_fails("not a database");
    unlink(path);
    foreign_sql("CREATE TABLE t (x)");
    open_fails("not one of Sluice");
    unlink(path);
    store_close(open_ok(path));
    foreign_sql("PRAGMA user_version = 99");
    open_fails("newer");
}
END_TEST

START_TEST(damage_is_found)
{
    struct store *s = open_ok(path);
    char junk[4096];
    int fd;

    for (int i = 0; i < 200; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%d", i);
        memset(junk, 'a', sizeof(junk));
        ck_assert_int_eq(store_put(s, "k", key, (struct str){junk, 700}), 0);
    }
    store_close(s); /* the last close writes the journal back */
    fd = open(path, O_WRONLY);
    memset(junk, 0xa5, sizeof(junk));
    ck_assert_int_eq(pwrite(fd, junk, sizeof(junk), 5 * 4096), sizeof(junk));
    close(fd);
    open_fails("damaged");
}
END_TEST

START_TEST(file_is_for_the_owner)
{
    struct store *s = open_ok(path);
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    store_close(s);
}
END_TEST

START_TEST(audit_notices)
{
    struct store *s = open_ok(path);
    uint64_t bad = 1;

    ck_assert_int_eq(store_audit_verify(s, &bad), 0);
    ck_assert_uint_eq(bad, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(audit_add(s, "weights.set shop"), 0);
    ck_assert_int_eq(store_audit_verify(s, &bad), 0);
    foreign_sql("UPDATE audit SET who = 'uid:0' WHERE seq = 3");
    ck_assert_int_eq(store_audit_verify(s, &bad), 1);
    ck_assert_uint_eq(bad, 3);
    foreign_sql("UPDATE audit SET who = 'uid:1000' WHERE seq = 3");
    ck_assert_int_eq(store_audit_verify(s, &bad), 0);
    foreign_sql("DELETE FROM audit WHERE seq = 2");
    ck_assert_int_eq(store_audit_verify(s, &bad), 1);
    ck_assert_uint_eq(bad, 3);
    store_close(s);
}
END_TEST

START_TEST(audit_goes_with_its_transaction)
{
    struct store *s = open_ok(":memory:");
    uint64_t bad;

    ck_assert_int_eq(audit_add(s, "one"), 0);
    ck_assert_int_eq(store_begin(s), 0);
    ck_assert_int_eq(audit_add(s, "two"), 0);
    ck_assert_int_eq(audit_add(s, "three"), 0);
    store_rollback(s);
    ck_assert_int_eq(audit_add(s, "two again"), 0);
    ck_assert_int_eq(store_audit_verify(s, &bad), 0);
    store_close(s);
}
END_TEST

START_TEST(digest_is_sha256_of_framed_fields)
{
    /* sha256sum of 00 00 00 00 00 00 00 03 "abc" */
    struct digest *d = digest_new();
    char one[DIGEST_HEX], two[DIGEST_HEX];

    digest_field(d, STR("abc"));
    ck_assert_str_eq(digest_finish(d, one),
                     "c3494ca1a2cf8eeb8a11ded316fb55b83c3bbbedb6313cd50415251e5d09e12f");
    d = digest_new();
    digest_field(d, STR("ab"));
    digest_field(d, STR("c"));
    digest_finish(d, two);
    ck_assert_str_ne(one, two);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, documents);
    tcase_add_test(t, quotes_are_only_text);
    tcase_add_test(t, events_page_and_prune);
    tcase_add_test(t, transactions_are_all_or_nothing);
    tcase_add_test(t, kill_9_keeps_what_was_committed);
    tcase_add_test(t, no_room_loses_nothing);
    tcase_add_test(t, second_writer_waits_or_is_told);
    tcase_add_test(t, foreign_and_newer_files_are_refused);
    tcase_add_test(t, damage_is_found);
    tcase_add_test(t, file_is_for_the_owner);
    tcase_add_test(t, audit_notices);
    tcase_add_test(t, audit_goes_with_its_transaction);
    tcase_add_test(t, digest_is_sha256_of_framed_fields);
    return unit_run(s);
}

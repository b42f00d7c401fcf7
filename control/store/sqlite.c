/*
 * sqlite.c - the store in one SQLite file: WAL, synchronous=FULL.
 *
 * All SQL is in one table and prepared at open; after that nothing is compiled. A statement is
 * always reset before its call returns, so no read transaction outlives a call and a full disk
 * leaves nothing locked. SQLite may roll a transaction back by itself (a full disk, an I/O
 * error); `doomed` remembers that a call of this transaction failed until it is ended.
 */
#include "control/store/store.h"
#include "proxy/base/mem.h"
#include "proxy/event/digest.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x534c4331 /* "SLC1", so that file(1) and we know our own */
#define SCHEMA_VERSION 1
#define BUSY_MS        2000

static const char schema[] =
    "CREATE TABLE doc (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,"
    "  PRIMARY KEY (kind, key)) WITHOUT ROWID;"
    "CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL,"
    "  type TEXT NOT NULL, service TEXT NOT NULL, rollout TEXT NOT NULL,"
    "  message TEXT NOT NULL, data TEXT NOT NULL);"
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL,"
    "  who TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL, before TEXT NOT NULL,"
    "  after TEXT NOT NULL, hash TEXT NOT NULL);";

#define STATEMENTS(X)                                                                          \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                \
    X(COMMIT, "COMMIT")                                                                        \
    X(ROLLBACK, "ROLLBACK")                                                                    \
    X(PUT, "INSERT INTO doc VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET body = ?3")          \
    X(GET, "SELECT body FROM doc WHERE kind = ?1 AND key = ?2")                                \
    X(DELETE, "DELETE FROM doc WHERE kind = ?1 AND key = ?2")                                  \
    X(LIST, "SELECT key, body FROM doc WHERE kind = ?1 ORDER BY key")                          \
    X(EVENT, "INSERT INTO event VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6)")                        \
    X(EVENTS, "SELECT seq, ts, type, service, rollout, message, data FROM event"               \
              " WHERE seq > ?1 ORDER BY seq LIMIT ?2")                                         \
    X(EVENT_LAST, "SELECT coalesce(max(seq), 0) FROM event")                                   \
    X(EVENT_PRUNE, "DELETE FROM event WHERE seq <= (SELECT max(seq) FROM event) - ?1")         \
    X(AUDIT, "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                      \
    X(AUDIT_LAST, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")                     \
    X(AUDITS, "SELECT seq, ts, who, what, why, before, after, hash FROM audit"                 \
              " WHERE seq > ?1 ORDER BY seq LIMIT ?2")

enum statement {
#define X(id, sql) ST_##id,
    STATEMENTS(X)
#undef X
        ST_COUNT
};

struct store { /* owned by whoever opened it */
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT];
    bool open;   /* a transaction is */
    bool doomed; /* and a call in it failed */
    char message[STORE_MESSAGE_MAX];
};

static int PRINTF_LIKE(2, 3) fail(struct store *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(s->message, sizeof(s->message), fmt, ap);
    va_end(ap);
    s->doomed = s->open;
    return -1;
}

/* The current error of the database, with what we were doing. */
static int fail_db(struct store *s, const char *doing)
{
    int code = sqlite3_extended_errcode(s->db);

    if ((code & 0xff) == SQLITE_FULL)
        return fail(s, "%s: the disk is full", doing);
    return fail(s, "%s: %s (SQLite %d)", doing, sqlite3_errmsg(s->db), code);
}

const char *store_message(const struct store *s)
{
    return s->message;
}

/* A statement ready for its values, or NULL when the transaction is doomed. */
static sqlite3_stmt *prepare(struct store *s, enum statement which)
{
    if (s->doomed)
        return NULL;
    sqlite3_clear_bindings(s->st[which]);
    return s->st[which];
}

static void bind_text(sqlite3_stmt *st, int at, struct str text)
{
    sqlite3_bind_text64(st, at, text.p ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t n)
{
    sqlite3_bind_int64(st, at, n > INT64_MAX ? INT64_MAX : (sqlite3_int64)n);
}

static struct str column_text(sqlite3_stmt *st, int at)
{
    const char *p = (const char *)sqlite3_column_text(st, at);

    return p ? (struct str){p, (size_t)sqlite3_column_bytes(st, at)} : STR("");
}

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
    return (uint64_t)sqlite3_column_int64(st, at);
}

/* Run a statement that returns no rows. */
static int run(struct store *s, sqlite3_stmt *st, const char *doing)
{
    int rc;

    if (!st)
        return -1;
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE)
        fail_db(s, doing);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* The next row: 1; 0 at the end, -1. The caller resets. */
static int next_row(struct store *s, sqlite3_stmt *st, const char *doing)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail_db(s, doing);
}

static int pragma_int(struct store *s, const char *sql, int *out)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        *out = sqlite3_column_int(st, 0);
        sqlite3_finalize(st);
        return 0;
    }
    fail_db(s, "open");
    sqlite3_finalize(st);
    return -1;
}

static int execute(struct store *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_db(s, "open");
}

/* An empty file becomes a store, ours stays, anything else is refused. */
static int migrate(struct store *s)
{
    int id, version, tables;
    char stamp[96];

    if (pragma_int(s, "PRAGMA application_id", &id) < 0 ||
        pragma_int(s, "PRAGMA user_version", &version) < 0 ||
        pragma_int(s, "SELECT count(*) FROM sqlite_master", &tables) < 0)
        return -1;
    if (tables > 0 && id != APPLICATION_ID)
        return fail(s, "is an SQLite database, but not one of Sluice");
    if (version > SCHEMA_VERSION)
        return fail(s, "was written by a newer Sluice (schema %d, this one knows %d)", version,
                    SCHEMA_VERSION);
    if (version == SCHEMA_VERSION)
        return 0;
    snprintf(stamp, sizeof(stamp), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION_ID, SCHEMA_VERSION);
    if (execute(s, "BEGIN IMMEDIATE") < 0)
        return -1;
    if (execute(s, schema) < 0 || execute(s, stamp) < 0 || execute(s, "COMMIT") < 0) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}

static int integrity(struct store *s)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);

    if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW &&
        str_eq(column_text(st, 0), STR("ok"))) {
        sqlite3_finalize(st);
        return 0;
    }
    sqlite3_finalize(st);
    return fail(s, "is damaged (PRAGMA quick_check); restore a backup or move it away");
}

static int prepare_all(struct store *s)
{
    static const char *const sql[] = {
#define X(id, text) text,
        STATEMENTS(X)
#undef X
    };

    for (int i = 0; i < ST_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) !=
            SQLITE_OK)
            return fail_db(s, "open");
    return 0;
}

/* The file and its journals hold tokens and addresses: for the owner's eyes only. */
static int open_file(struct store *s, const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    mode_t mask = umask(077);
    int rc = sqlite3_open_v2(path, &s->db, flags, NULL);

    if (rc == SQLITE_OK)
        rc = execute(s, "PRAGMA journal_mode = WAL") < 0 ? SQLITE_ERROR : SQLITE_OK;
    else
        fail_db(s, "open");
    umask(mask);
    return rc == SQLITE_OK ? 0 : -1;
}

static int store_start(struct store *s, const char *path)
{
    if (open_file(s, path) < 0)
        return -1;
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (execute(s, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;") < 0 ||
        integrity(s) < 0 || migrate(s) < 0)
        return -1;
    return prepare_all(s);
}

struct store *store_open(const char *path, char err[STORE_MESSAGE_MAX])
{
    struct store *s = xcalloc(1, sizeof(*s));

    if (store_start(s, path) == 0)
        return s;
    snprintf(err, STORE_MESSAGE_MAX, "%s: %.180s", path, s->message);
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_rollback(s);
    for (int i = 0; i < ST_COUNT; i++)
        sqlite3_finalize(s->st[i]);
    sqlite3_close(s->db);
    xfree(s);
}

int store_begin(struct store *s)
{
    ASSERT(!s->open);
    if (run(s, s->st[ST_BEGIN], "begin") < 0)
        return -1;
    s->open = true;
    return 0;
}

int store_commit(struct store *s)
{
    ASSERT(s->open);
    if (!s->doomed && run(s, s->st[ST_COMMIT], "commit") == 0) {
        s->open = false;
        return 0;
    }
    store_rollback(s);
    return -1;
}

void store_rollback(struct store *s)
{
    if (!s->open)
        return;
    s->open = s->doomed = false;
    if (sqlite3_get_autocommit(s->db) == 0) { /* else SQLite has done it */
        sqlite3_step(s->st[ST_ROLLBACK]);
        sqlite3_reset(s->st[ST_ROLLBACK]);
    }
}

int store_put(struct store *s, const char *kind, const char *key, struct str doc)
{
    sqlite3_stmt *st = prepare(s, ST_PUT);

    if (!st)
        return -1;
    bind_text(st, 1, str_of(kind));
    bind_text(st, 2, str_of(key));
    bind_text(st, 3, doc);
    return run(s, st, "put");
}

int store_get(struct store *s, const char *kind, const char *key, struct arena *a,
              struct str *doc)
{
    sqlite3_stmt *st = prepare(s, ST_GET);
    int rc;

    if (!st)
        return -1;
    bind_text(st, 1, str_of(kind));
    bind_text(st, 2, str_of(key));
    rc = next_row(s, st, "get");
    if (rc == 1)
        *doc = arena_str(a, column_text(st, 0));
    sqlite3_reset(st);
    return rc;
}

int store_delete(struct store *s, const char *kind, const char *key)
{
    sqlite3_stmt *st = prepare(s, ST_DELETE);

    if (!st)
        return -1;
    bind_text(st, 1, str_of(kind));
    bind_text(st, 2, str_of(key));
    if (run(s, st, "delete") < 0)
        return -1;
    return sqlite3_changes(s->db) > 0;
}

int store_list(struct store *s, const char *kind, store_doc_cb *cb, void *arg)
{
    sqlite3_stmt *st = prepare(s, ST_LIST);
    int rc;

    if (!st)
        return -1;
    bind_text(st, 1, str_of(kind));
    while ((rc = next_row(s, st, "list")) == 1)
        if (cb(arg, column_text(st, 0), column_text(st, 1)) != 0)
            break;
    sqlite3_reset(st);
    return rc < 0 ? -1 : 0;
}

int store_event_append(struct store *s, const struct store_event *ev, uint64_t *seq)
{
    sqlite3_stmt *st = prepare(s, ST_EVENT);

    if (!st)
        return -1;
    bind_u64(st, 1, ev->ts_ms);
    bind_text(st, 2, ev->type);
    bind_text(st, 3, ev->service);
    bind_text(st, 4, ev->rollout);
    bind_text(st, 5, ev->message);
    bind_text(st, 6, ev->data);
    if (run(s, st, "append an event") < 0)
        return -1;
    if (seq)
        *seq = (uint64_t)sqlite3_last_insert_rowid(s->db);
    return 0;
}

int store_events(struct store *s, uint64_t since, unsigned limit, store_event_cb *cb, void *arg)
{
    sqlite3_stmt *st = prepare(s, ST_EVENTS);
    int rc;

    if (!st)
        return -1;
    bind_u64(st, 1, since);
    bind_u64(st, 2, limit);
    while ((rc = next_row(s, st, "read events")) == 1) {
        struct store_event ev = {
            .seq = column_u64(st, 0),
            .ts_ms = column_u64(st, 1),
            .type = column_text(st, 2),
            .service = column_text(st, 3),
            .rollout = column_text(st, 4),
            .message = column_text(st, 5),
            .data = column_text(st, 6),
        };

        if (cb(arg, &ev) != 0)
            break;
    }
    sqlite3_reset(st);
    return rc < 0 ? -1 : 0;
}

int store_events_last(struct store *s, uint64_t *seq)
{
    sqlite3_stmt *st = prepare(s, ST_EVENT_LAST);
    int rc;

    if (!st)
        return -1;
    rc = next_row(s, st, "read events");
    if (rc == 1)
        *seq = column_u64(st, 0);
    sqlite3_reset(st);
    return rc == 1 ? 0 : -1;
}

int store_events_prune(struct store *s, uint64_t keep)
{
    sqlite3_stmt *st = prepare(s, ST_EVENT_PRUNE);

    if (!st)
        return -1;
    bind_u64(st, 1, keep);
    return run(s, st, "prune events");
}

/* What REC's hash must be, given the hash before it ("" for the first). */
static void audit_hash(const struct store_audit *rec, struct str before, char hex[DIGEST_HEX])
{
    struct digest *d = digest_new();
    char numbers[48];

    snprintf(numbers, sizeof(numbers), "%" PRIu64 " %" PRIu64, rec->seq, rec->ts_ms);
    digest_field(d, before);
    digest_field(d, str_of(numbers));
    digest_field(d, rec->who);
    digest_field(d, rec->what);
    digest_field(d, rec->why);
    digest_field(d, rec->before);
    digest_field(d, rec->after);
    digest_finish(d, hex);
}

/* Number and hash of the newest record: 0 and "" when there is none. */
static int audit_last(struct store *s, uint64_t *seq, char hash[DIGEST_HEX])
{
    sqlite3_stmt *st = prepare(s, ST_AUDIT_LAST);
    int rc;

    *seq = 0;
    hash[0] = '\0';
    if (!st)
        return -1;
    rc = next_row(s, st, "read the audit");
    if (rc == 1) {
        *seq = column_u64(st, 0);
        str_copy(hash, DIGEST_HEX, column_text(st, 1));
    }
    sqlite3_reset(st);
    return rc < 0 ? -1 : 0;
}

int store_audit_append(struct store *s, const struct store_audit *rec)
{
    struct store_audit full = *rec;
    char before[DIGEST_HEX], hash[DIGEST_HEX];
    sqlite3_stmt *st;

    if (audit_last(s, &full.seq, before) < 0)
        return -1;
    full.seq++;
    audit_hash(&full, str_of(before), hash);
    st = prepare(s, ST_AUDIT);
    bind_u64(st, 1, full.seq);
    bind_u64(st, 2, full.ts_ms);
    bind_text(st, 3, full.who);
    bind_text(st, 4, full.what);
    bind_text(st, 5, full.why);
    bind_text(st, 6, full.before);
    bind_text(st, 7, full.after);
    bind_text(st, 8, str_of(hash));
    return run(s, st, "append to the audit");
}

int store_audit_list(struct store *s, uint64_t since, unsigned limit, store_audit_cb *cb,
                     void *arg)
{
    sqlite3_stmt *st = prepare(s, ST_AUDITS);
    int rc;

    if (!st)
        return -1;
    bind_u64(st, 1, since);
    bind_u64(st, 2, limit);
    while ((rc = next_row(s, st, "read the audit")) == 1) {
        struct store_audit rec = {
            .seq = column_u64(st, 0),
            .ts_ms = column_u64(st, 1),
            .who = column_text(st, 2),
            .what = column_text(st, 3),
            .why = column_text(st, 4),
            .before = column_text(st, 5),
            .after = column_text(st, 6),
            .hash = column_text(st, 7),
        };

        if (cb(arg, &rec) != 0)
            break;
    }
    sqlite3_reset(st);
    return rc < 0 ? -1 : 0;
}

struct chain { /* where a verification is */
    uint64_t last, bad;
    char hash[DIGEST_HEX];
};

static int on_audit_record(void *arg, const struct store_audit *rec)
{
    struct chain *c = arg;
    char want[DIGEST_HEX];

    audit_hash(rec, str_of(c->hash), want);
    if (rec->seq != c->last + 1 || !str_eq(rec->hash, str_of(want))) {
        c->bad = rec->seq;
        return 1;
    }
    c->last = rec->seq;
    str_copy(c->hash, sizeof(c->hash), rec->hash);
    return 0;
}

int store_audit_verify(struct store *s, uint64_t *bad)
{
    struct chain c = {0};

    if (store_audit_list(s, 0, UINT32_MAX, on_audit_record, &c) < 0)
        return -1;
    *bad = c.bad;
    return c.bad != 0;
}

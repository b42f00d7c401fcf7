/*
 * flag_eval.h - which variant of a flag a request gets.
 *
 *   flag_ctx_begin(ctx, set, get, stream, loop_wall_ms(l) / 1000);       once a request
 *   r = flag_eval(ctx, flag);                                            any number of times
 *   if (r->variant) ... r->variant->name ...
 *
 * Pure and bounded: at most FLAG_STEPS operations and FLAG_SCRATCH bytes of intermediate
 * values an evaluation, nothing allocated; what is over the budget ends as GENERAL. Attributes
 * are asked for lazily, each at most once a request. Semantics are those of flagd (provider for
 * JSONLogic with starts_with, ends_with, sem_ver and fractional v2); where its engines differ,
 * a mix of types gives false or null and never an error.
 */
#pragma once
#include "config/flag_program.h" /* struct flag_variant */

#define FLAG_STEPS   10000
#define FLAG_SCRATCH 65536

enum flag_reason {
    FLAG_STATIC,
    FLAG_DEFAULT,
    FLAG_TARGETING_MATCH,
    FLAG_DISABLED,
    FLAG_ERROR,
    FLAG_NREASONS
};
enum flag_error {
    FLAG_OK,
    FLAG_PARSE_ERROR, /* quarantined */
    FLAG_GENERAL,     /* rule names no variant of the flag, or was over the budget */
    FLAG_NOT_FOUND,
    FLAG_NERRORS
};
const char *flag_reason_name(enum flag_reason r); /* "TARGETING_MATCH" */
const char *flag_error_name(enum flag_error e);   /* "PARSE_ERROR"; NULL for FLAG_OK */

struct flag_result {
    const struct flag_variant *variant; /* NULL: the code default; owned by the set */
    enum flag_reason reason;
    enum flag_error error;
    bool override;    /* an operator's kill switch decided */
    bool unsatisfied; /* the flag needs another one that is not as it should be */
};

/*
 * The attribute PATH of the request, or false when it has none. Names are those that flag rules
 * use: "targetingKey", "http.method", "http.path", "http.host", "http.header.<lower case>",
 * "http.cookie.<name>", "http.query.<name>", "client.ip". PATH "" asks for the whole context as
 * an object: contexts that are not JSON answer false. What OUT borrows must live until the next
 * flag_ctx_begin.
 */
typedef bool flag_get(void *arg, struct str path, struct flag_value *out);

/* The memory of evaluations, one a loop: attributes and results of the current request. */
struct flag_ctx;
struct flag_ctx *flag_ctx_new(void);
void flag_ctx_free(struct flag_ctx *c);
/*
 * A new request: forget the last one. O(1); allocates only when SET has more flags or
 * attributes than any set before. SET is borrowed until the next begin. NOW_UNIX: seconds.
 */
void flag_ctx_begin(struct flag_ctx *c, const struct flagset *set, flag_get *get, void *arg,
                    uint64_t now_unix);

/*
 * Evaluate FLAG, an index of the set. The second call in a request gives the same result
 * without work. The result is valid until the next begin; variants live as long as the set.
 */
const struct flag_result *flag_eval(struct flag_ctx *c, int flag);
/* FLAG was evaluated since the last begin. */
bool flag_known(const struct flag_ctx *c, int flag);
/* True once a request, for who counts. FLAG was evaluated. */
bool flag_first(struct flag_ctx *c, int flag);

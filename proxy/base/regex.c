/* regex.c - PCRE2 behind a small door. */
#include "proxy/base/regex.h"

#include "proxy/base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STEPS_MAX 100000 /* of one match: under a millisecond or two */
#define DEPTH_MAX 1000
#define HEAP_KIB  1024
#define NEST_MAX  50

struct regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static void *take(size_t n, void *arg)
{
    (void)arg;
    return xmalloc(n);
}

static void give(void *p, void *arg)
{
    (void)arg;
    xfree(p);
}

static pcre2_code *compile(pcre2_general_context *memory, struct str pattern,
                           struct regex_error *e)
{
    pcre2_compile_context *c = pcre2_compile_context_create(memory);
    unsigned options =
        PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
    PCRE2_SIZE at = 0;
    pcre2_code *code;
    int error;

    pcre2_set_max_pattern_length(c, REGEX_PATTERN_MAX);
    pcre2_set_parens_nest_limit(c, NEST_MAX);
    code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &error, &at, c);
    pcre2_compile_context_free(c);
    if (code)
        return code;
    e->at = at;
    (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)e->text, sizeof(e->text));
    return NULL;
}

struct regex *regex_new(struct str pattern, struct regex_error *e)
{
    pcre2_general_context *memory = pcre2_general_context_create(take, give, NULL);
    pcre2_code *code = compile(memory, pattern, e);
    struct regex *re = NULL;

    if (code) {
        re = xcalloc(1, sizeof(*re));
        re->code = code;
        re->match = pcre2_match_data_create_from_pattern(code, memory);
        re->limits = pcre2_match_context_create(memory);
        pcre2_set_match_limit(re->limits, STEPS_MAX);
        pcre2_set_depth_limit(re->limits, DEPTH_MAX);
        pcre2_set_heap_limit(re->limits, HEAP_KIB);
    }
    pcre2_general_context_free(memory);
    return re;
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    pcre2_match_data_free(re->match);
    pcre2_match_context_free(re->limits);
    pcre2_code_free(re->code);
    xfree(re);
}

unsigned regex_groups(const struct regex *re)
{
    uint32_t n = 0;

    (void)pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &n);
    return n;
}

enum regex_result regex_match(const struct regex *re, struct str s)
{
    int n =
        pcre2_match(re->code, (PCRE2_SPTR)(s.n ? s.p : ""), s.n, 0, 0, re->match, re->limits);

    return n >= 0 ? REGEX_YES : n == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_LIMIT;
}

static struct str group(const struct regex *re, struct str s, unsigned n)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->match);

    if (n >= pcre2_get_ovector_count(re->match) || at[2 * n] == PCRE2_UNSET ||
        at[2 * n] > at[2 * n + 1])
        return STR_NONE;
    return (struct str){s.p + at[2 * n], at[2 * n + 1] - at[2 * n]};
}

static bool append(char *out, size_t cap, size_t *n, struct str s)
{
    if (s.n > cap - *n)
        return false;
    if (s.n)
        memcpy(out + *n, s.p, s.n);
    *n += s.n;
    return true;
}

bool regex_replace(const struct regex *re, struct str s, struct str with, char *out, size_t cap,
                   struct str *result)
{
    struct str all = group(re, s, 0);
    size_t start = all.p ? (size_t)(all.p - s.p) : 0, n = 0;
    bool ok = append(out, cap, &n, (struct str){s.p, start});

    for (size_t i = 0; ok && i < with.n; i++) {
        if (with.p[i] == '$' && i + 1 < with.n && with.p[i + 1] >= '0' && with.p[i + 1] <= '9')
            ok = append(out, cap, &n, group(re, s, (unsigned)(with.p[++i] - '0')));
        else
            ok = append(out, cap, &n, (struct str){with.p + i, 1});
    }
    ok = ok && append(out, cap, &n, str_skip(s, start + all.n));
    *result = (struct str){out, n};
    return ok;
}

/*
 * expand.c - variables inside strings.
 *
 * Not recursive: what comes out of a variable is taken as it is.
 */
#include "config/expand.h"
#include "config/writer.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <stdlib.h>

struct expander {
    struct arena *a;
    struct str dir;
    struct writer text, shown;
    bool secret;
    struct expansion *out;
};

static bool fail(struct expander *e, struct str error, struct str hint)
{
    e->out->error = error;
    e->out->hint = hint;
    return false;
}

static void put(struct expander *e, struct str s, bool secret)
{
    writer_put(&e->text, s);
    writer_put(&e->shown, secret ? STR("***") : s);
    e->secret |= secret;
}

static bool put_env(struct expander *e, struct str name)
{
    const char *mark = memmem(name.p, name.n, ":-", 2);
    struct str fallback = STR_NONE;

    if (mark) {
        fallback = str_skip(name, (size_t)(mark - name.p) + 2);
        name.n = (size_t)(mark - name.p);
    }
    if (name.n == 0)
        return fail(e, STR("variable without a name"), STR("write ${ENV:NAME}"));

    const char *value = getenv(arena_str(e->a, name).p);

    if (!value && !mark)
        return fail(
            e, arena_printf(e->a, "environment variable %.*s is not set", STR_ARG(name)),
            arena_printf(e->a, "set it, or give a default: ${ENV:%.*s:-value}", STR_ARG(name)));
    put(e, value ? str_of(value) : fallback, false);
    return true;
}

static bool put_file(struct expander *e, struct str written)
{
    struct str body, path = written;

    if (path.n == 0)
        return fail(e, STR("variable without a path"), STR("write ${FILE:/path}"));
    if (path.p[0] != '/')
        path = arena_printf(e->a, "%.*s/%.*s", STR_ARG(e->dir), STR_ARG(path));
    else
        path = arena_str(e->a, path);
    if (sys_read_file(e->a, path.p, EXPAND_FILE_MAX, &body) < 0)
        return fail(e,
                    arena_printf(e->a, "cannot read %.*s: %s", STR_ARG(written),
                                 errno == EFBIG ? "larger than 64 KiB" : strerror(errno)),
                    STR(""));
    if (body.n > 0 && body.p[body.n - 1] == '\n')
        body.n--;
    if (body.n > 0 && body.p[body.n - 1] == '\r')
        body.n--;
    if (memchr(body.p, '\0', body.n))
        return fail(e, arena_printf(e->a, "%.*s holds a NUL byte", STR_ARG(written)), STR(""));
    put(e, body, true);
    return true;
}

static bool put_cred(struct expander *e, struct str name)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");

    if (name.n == 0 || memchr(name.p, '/', name.n))
        return fail(e, STR("not the name of a credential"), STR("write ${CRED:name}"));
    if (!dir || dir[0] != '/')
        return fail(e, STR("there are no credentials: CREDENTIALS_DIRECTORY is not set"),
                    STR("systemd sets it for LoadCredential="));
    return put_file(e, arena_printf(e->a, "%s/%.*s", dir, STR_ARG(name)));
}

/* S is what stands between the braces. */
static bool put_variable(struct expander *e, struct str s)
{
    if (str_starts(s, STR("ENV:")))
        return put_env(e, str_skip(s, 4));
    if (str_starts(s, STR("FILE:")))
        return put_file(e, str_skip(s, 5));
    if (str_starts(s, STR("CRED:")))
        return put_cred(e, str_skip(s, 5));
    return fail(e, arena_printf(e->a, "unknown variable ${%.*s}", STR_ARG(s)),
                STR("ENV:, FILE: and CRED: are known; write $${ for a literal ${"));
}

static bool run(struct expander *e, struct str s, bool lookup)
{
    while (s.n > 0) {
        const char *dollar = memchr(s.p, '$', s.n);
        size_t plain = dollar ? (size_t)(dollar - s.p) : s.n;

        put(e, (struct str){s.p, plain}, false);
        s = str_skip(s, plain);
        if (str_starts(s, STR("$${"))) {
            put(e, STR("${"), false);
            s = str_skip(s, 3);
        } else if (str_starts(s, STR("${"))) {
            const char *close = memchr(s.p, '}', s.n);

            if (!lookup)
                return fail(e, STR("variables are not allowed here"), STR(""));
            if (!close)
                return fail(e, STR("variable is never closed"),
                            STR("close it with }, or write $${ for a literal ${"));
            if (!put_variable(e, (struct str){s.p + 2, (size_t)(close - s.p) - 2}))
                return false;
            s = str_skip(s, (size_t)(close - s.p) + 1);
        } else if (s.n > 0) {
            put(e, (struct str){s.p, 1}, false);
            s = str_skip(s, 1);
        }
    }
    return true;
}

bool expand(struct arena *a, struct str s, bool lookup, struct str dir, struct expansion *out)
{
    struct expander e = {.a = a, .dir = dir, .out = out};

    *out = (struct expansion){.text = s};
    if (!memmem(s.p, s.n, "${", 2))
        return true;
    writer_init(&e.text, 0);
    writer_init(&e.shown, 0);

    bool ok = run(&e, s, lookup);

    out->text = writer_take_arena(&e.text, a);
    out->shown = writer_take_arena(&e.shown, a);
    if (!e.secret)
        out->shown = STR_NONE;
    return ok;
}

struct str expand_escape(struct arena *a, struct str s)
{
    struct writer w;

    if (!memmem(s.p ? s.p : "", s.n, "${", 2))
        return s;
    writer_init(&w, 0);
    for (; s.n > 0; s = str_skip(s, 1)) {
        if (str_starts(s, STR("${")))
            writer_put(&w, STR("$"));
        writer_put(&w, (struct str){s.p, 1});
    }
    return writer_take_arena(&w, a);
}

/* match.c - segment by segment; a parameter is never empty. */
#include "control/api/match.h"

static bool match_segment(struct str pattern, struct str text, struct match *m)
{
    if (pattern.n == 0 || pattern.p[0] != '{')
        return str_eq(pattern, text);
    struct str verb = str_skip(pattern, 1), name = str_cut(&verb, '}');

    if (!str_ends(text, verb) || text.n == verb.n || m->n == MATCH_PARAMS)
        return false;
    m->params[m->n++] = (struct match_param){name, {text.p, text.n - verb.n}};
    return true;
}

bool match_path(struct str pattern, struct str path, struct match *m)
{
    m->n = 0;
    while (pattern.n && path.n) {
        struct str want = str_cut(&pattern, '/'), have = str_cut(&path, '/');
        bool more_wanted = pattern.n > 0 || want.p + want.n != pattern.p;
        bool more_there = path.n > 0 || have.p + have.n != path.p;

        if (!match_segment(want, have, m) || more_wanted != more_there)
            return false;
    }
    return pattern.n == path.n;
}

/* cookie.c - one cookie out of the Cookie fields. */
#include "proxy/http/cookie.h"

static struct str unquote(struct str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return (struct str){s.p + 1, s.n - 2};
    return s;
}

bool cookie_find_in(struct str field, struct str name, struct str *value)
{
    while (field.n) {
        struct str pair = str_trim(str_cut(&field, ';'));
        if (pair.n <= name.n || pair.p[name.n] != '=' || !str_starts(pair, name))
            continue;
        *value = unquote(str_trim(str_skip(pair, name.n + 1)));
        return true;
    }
    return false;
}

bool cookie_find(const struct head *h, struct str name, struct str *value)
{
    for (size_t i = h->first[FIELD_COOKIE]; i && i <= h->nfields; i++)
        if (h->fields[i - 1].id == FIELD_COOKIE &&
            cookie_find_in(head_value(h, &h->fields[i - 1]), name, value))
            return true;
    return false;
}

/* head.c - looking things up in a parsed head. */
#include "proxy/http/head.h"

#include "proxy/base/check.h"

static const struct str methods[METHOD_COUNT] = {
#define X(m) [METHOD_##m] = STR_INIT(#m),
    METHOD_LIST(X)
#undef X
};

void head_reset(struct head *h)
{
    /* fields[] is 2 KiB that nfields makes unreachable: not worth clearing */
    memset(h, 0, offsetof(struct head, fields));
    memset(h->first, 0, sizeof(h->first));
}

const struct field *head_find(const struct head *h, struct str name, size_t from)
{
    for (size_t i = from; i < h->nfields; i++)
        if (str_ieq(head_name(h, &h->fields[i]), name))
            return &h->fields[i];
    return NULL;
}

bool method_idempotent(enum method m)
{
    switch (m) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
    case METHOD_PUT:
    case METHOD_DELETE:
        return true;
    default:
        return false;
    }
}

struct str method_name(enum method m)
{
    ASSERT(m < METHOD_COUNT);
    return methods[m];
}

enum method method_of(struct str text)
{
    for (unsigned m = METHOD_OTHER + 1; m < METHOD_COUNT; m++)
        if (str_eq(text, methods[m]))
            return m;
    return METHOD_OTHER;
}

/* h2_out.c - fields on their way into an HTTP/2 header block. */
#include "proxy/http/h2_out.h"

#include "proxy/base/mem.h"

#define ROOM 64

void h2_out_release(struct h2_out *o)
{
    xfree(o->nv);
    *o = (struct h2_out){0};
}

void h2_out_begin(struct h2_out *o, size_t n)
{
    o->n = 0;
    if (n <= o->cap)
        return;
    o->cap = n < ROOM ? ROOM : n;
    o->nv = xrealloc(o->nv, o->cap * sizeof(*o->nv));
}

void h2_out_add(struct h2_out *o, struct str name, struct str value)
{
    o->nv[o->n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                                 .namelen = name.n,
                                 .value = (uint8_t *)(uintptr_t)value.p,
                                 .valuelen = value.n};
}

bool h2_out_of_http1(enum field_id id)
{
    return id == FIELD_CONNECTION || id == FIELD_UPGRADE || id == FIELD_KEEP_ALIVE ||
           id == FIELD_PROXY_CONNECTION || id == FIELD_TRANSFER_ENCODING;
}

size_t h2_out_count(struct str lines)
{
    size_t n = 0;

    for (size_t i = 0; i < lines.n; i++)
        n += lines.p[i] == '\n';
    return n;
}

void h2_out_lines(struct h2_out *o, struct str lines)
{
    while (lines.n) {
        struct str line = str_cut(&lines, '\n');
        struct str name = str_cut(&line, ':');

        if (name.n && !h2_out_of_http1(field_id(name)))
            h2_out_add(o, name, str_trim((struct str){line.p, line.n - (line.n > 0)}));
    }
}

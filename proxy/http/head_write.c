/* head_write.c - the bounded buffer and the lines of a head. */
#include "proxy/http/head_write.h"

#include "proxy/http/status.h"

void out_char(struct out *o, char c)
{
    out_put(o, (struct str){&c, 1});
}

void out_u64(struct out *o, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);

    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    out_put(o, (struct str){digits + i, sizeof(digits) - i});
}

void out_hex(struct out *o, uint64_t n, unsigned digits)
{
    char text[16];

    ASSERT(digits <= sizeof(text));
    for (unsigned i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[n >> 4 * (digits - 1 - i) & 15];
    out_put(o, (struct str){text, digits});
}

void head_write_request(struct out *o, const struct head *h)
{
    head_write_request_to(o, h, STR_NONE);
}

void head_write_request_to(struct out *o, const struct head *h, struct str path)
{
    if (path.n == 0)
        path = head_path(h);
    out_put(o, head_span(h, h->method_text));
    out_char(o, ' ');
    if (path.n == 0 && h->method == METHOD_OPTIONS)
        out_char(o, '*'); /* RFC 9112 3.2.4 */
    else if (path.n == 0 || path.p[0] == '?')
        out_char(o, '/');
    out_put(o, path);
    out_put(o, STR(" HTTP/1.1\r\n"));
}

void head_write_status(struct out *o, int status, struct str reason)
{
    ASSERT(status >= 100 && status <= 999);
    out_put(o, STR("HTTP/1.1 "));
    out_u64(o, (uint64_t)status);
    out_char(o, ' ');
    out_put(o, reason.n && field_value_ok(reason) ? reason : status_reason(status));
    out_put(o, STR("\r\n"));
}

void head_write_known(struct out *o, struct str name, struct str value)
{
    size_t n = name.n + value.n + 4;
    char *p = o->p + o->n;

    if (__builtin_expect(o->full || n > o->cap - o->n, 0)) {
        o->full = true;
        return;
    }
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = ':';
    *p++ = ' ';
    if (value.n)
        memcpy(p, value.p, value.n);
    p += value.n;
    *p++ = '\r';
    *p = '\n';
    o->n += n;
}

bool head_write_field(struct out *o, struct str name, struct str value)
{
    if (!field_name_ok(name) || !field_value_ok(value))
        return false;
    head_write_known(o, name, value);
    return true;
}

void head_write_u64(struct out *o, struct str name, uint64_t n)
{
    out_put(o, name);
    out_put(o, STR(": "));
    out_u64(o, n);
    out_put(o, STR("\r\n"));
}

void head_write_copy(struct out *o, const struct head *h, const struct field *f)
{
    head_write_known(o, head_name(h, f), head_value(h, f));
}

void head_write_end_to_end(struct out *o, const struct head *h, const bool skip[FIELD_NIDS])
{
    for (size_t i = 0; i < h->nfields; i++) {
        const struct field *f = &h->fields[i];
        if (!f->hop && !(skip && skip[f->id]))
            head_write_copy(o, h, f);
    }
}

void head_write_end(struct out *o)
{
    out_put(o, STR("\r\n"));
}

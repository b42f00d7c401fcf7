/* grpc.c - statuses, deadlines and messages of gRPC. */
#include "proxy/http/grpc.h"

bool grpc_type(struct str t)
{
    struct str type = GRPC_TYPE, head = {t.p, t.n < type.n ? t.n : type.n};

    if (!str_ieq(head, type))
        return false;
    t = str_trim(str_skip(t, type.n));
    return t.n == 0 || t.p[0] == '+' || t.p[0] == ';';
}

enum grpc_status grpc_status_parse(struct str s)
{
    unsigned n = 0;

    if (s.n == 0 || s.n > 2)
        return GRPC_UNKNOWN;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return GRPC_UNKNOWN;
        n = n * 10 + (unsigned)(s.p[i] - '0');
    }
    return n < GRPC_STATUS_COUNT ? (enum grpc_status)n : GRPC_UNKNOWN;
}

int grpc_status_of_lines(struct str lines)
{
    while (lines.n) {
        struct str line = str_cut(&lines, '\n');
        struct str name = str_cut(&line, ':');

        if (str_ieq(name, STR("grpc-status")))
            return grpc_status_parse(str_trim((struct str){line.p, line.n - (line.n > 0)}));
    }
    return -1;
}

enum grpc_status grpc_status_of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* ---- grpc-timeout ---- */

static const struct unit {
    char letter;
    uint64_t us; /* 0: a thousandth */
} units[] = {{'n', 0},       {'u', 1},         {'m', 1000},
             {'S', 1000000}, {'M', 60000000u}, {'H', 3600000000u}};

bool grpc_timeout_parse(struct str s, uint64_t *us)
{
    uint64_t n = 0;

    if (s.n < 2 || s.n > GRPC_TIMEOUT_MAX)
        return false;
    for (size_t i = 0; i < s.n - 1; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.p[i] - '0');
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (s.p[s.n - 1] == units[i].letter) {
            *us = units[i].us ? n * units[i].us : (n + 999) / 1000;
            return true;
        }
    return false;
}

void grpc_timeout_write(struct out *o, uint64_t us)
{
    size_t i = 1;

    while (i + 1 < ARRAY_LEN(units) && us / units[i].us > 99999999)
        i++;
    us /= units[i].us;
    out_u64(o, us <= 99999999 ? us : 99999999);
    out_char(o, units[i].letter);
}

void grpc_message_write(struct out *o, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char coded[3] = {'%', hex[c >> 4], hex[c & 15]};

        if (c < ' ' || c > '~' || c == '%')
            out_put(o, (struct str){coded, sizeof(coded)});
        else
            out_char(o, (char)c);
    }
}

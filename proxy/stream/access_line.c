/* access_line.c - an exchange as JSON, or as the two lines that web servers always wrote. */
#include "proxy/stream/access_line.h"

#include "proxy/base/clock.h"
#include "proxy/http/head_write.h"

#define FIELD_CUT 1024 /* bytes of one field that are logged; 6 times that when escaped */

/* S with every byte but printable ASCII, quote and backslash as PREFIX and two digits. */
static void put_escaped(struct out *o, struct str s, struct str prefix)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0;

    s.n = s.n < FIELD_CUT ? s.n : FIELD_CUT;
    for (size_t i = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : '"';
        char digits[2] = {hex[c >> 4], hex[c & 15]};

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        out_put(o, (struct str){s.p + plain, i - plain});
        plain = i + 1;
        if (i == s.n)
            break;
        out_put(o, prefix);
        out_put(o, (struct str){digits, sizeof(digits)});
    }
}

/* ---- json ---- */

static void put_text(struct out *o, struct str key, struct str s)
{
    out_put(o, key);
    if (s.n == 0) {
        out_put(o, STR("null"));
        return;
    }
    out_char(o, '"');
    put_escaped(o, s, STR("\\u00"));
    out_char(o, '"');
}

static void put_number(struct out *o, struct str key, uint64_t n)
{
    out_put(o, key);
    out_u64(o, n);
}

static void put_ms(struct out *o, struct str key, uint64_t us)
{
    char frac[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                    (char)('0' + us % 10)};

    put_number(o, key, us / 1000);
    out_put(o, (struct str){frac, sizeof(frac)});
}

static void put_json(struct out *o, const struct access_entry *e)
{
    char stamp[CLOCK_STAMP];

    put_text(o, STR("{\"ts\":"), str_of(clock_stamp(stamp, e->wall_ms)));
    put_text(o, STR(",\"request_id\":"), e->request_id);
    put_text(o, STR(",\"trace_id\":"), e->trace_id);
    put_text(o, STR(",\"client\":"), e->client);
    put_text(o, STR(",\"method\":"), e->method);
    put_text(o, STR(",\"host\":"), e->host);
    put_text(o, STR(",\"path\":"), e->path);
    put_number(o, STR(",\"status\":"), (uint64_t)e->status);
    if (e->grpc_status >= 0)
        put_number(o, STR(",\"grpc_status\":"), (uint64_t)e->grpc_status);
    put_number(o, STR(",\"bytes_in\":"), e->bytes_in);
    put_number(o, STR(",\"bytes_out\":"), e->bytes_out);
    put_ms(o, STR(",\"duration_ms\":"), e->duration_us);
    put_ms(o, STR(",\"upstream_ms\":"), e->upstream_us);
    put_text(o, STR(",\"service\":"), e->service);
    put_text(o, STR(",\"version\":"), e->version);
    put_text(o, STR(",\"endpoint\":"), e->endpoint);
    put_text(o, STR(",\"rollout\":"), e->rollout);
    put_number(o, STR(",\"generation\":"), e->generation);
    put_text(o, STR(",\"protocol\":"), e->protocol);
    put_text(o, STR(",\"tls\":"), e->tls);
    put_number(o, STR(",\"attempts\":"), e->attempts);
    put_text(o, STR(",\"end\":"), e->end);
    out_put(o, STR("}\n"));
}

/* ---- common and combined ---- */

static void put_plain(struct out *o, struct str s)
{
    put_escaped(o, s.n ? s : STR("-"), STR("\\x"));
}

static void put_quoted(struct out *o, struct str s)
{
    out_put(o, STR(" \""));
    put_plain(o, s);
    out_char(o, '"');
}

static void put_request(struct out *o, const struct access_entry *e)
{
    if (e->method.n == 0) { /* nothing that could be read as a request */
        put_quoted(o, STR_NONE);
        return;
    }
    out_put(o, STR(" \""));
    put_plain(o, e->method);
    out_char(o, ' ');
    put_plain(o, e->path);
    out_char(o, ' ');
    put_plain(o, e->protocol);
    out_char(o, '"');
}

static void put_common(struct out *o, const struct access_entry *e)
{
    char stamp[CLOCK_STAMP];

    put_plain(o, e->client);
    out_put(o, STR(" - - ["));
    out_put(o, str_of(clock_log_stamp(stamp, e->wall_ms)));
    out_char(o, ']');
    put_request(o, e);
    out_char(o, ' ');
    if (e->status)
        out_u64(o, (uint64_t)e->status);
    else
        out_char(o, '-');
    out_char(o, ' ');
    out_u64(o, e->bytes_out);
}

size_t access_line_write(char *out, enum conf_log_format format, const struct access_entry *e)
{
    struct out o = out_init(out, ACCESS_LINE);

    if (format == CONF_LOG_JSON) {
        put_json(&o, e);
        return o.full ? 0 : o.n;
    }
    put_common(&o, e);
    if (format == CONF_LOG_COMBINED) {
        put_quoted(&o, e->referer);
        put_quoted(&o, e->user_agent);
    }
    out_char(&o, '\n');
    return o.full ? 0 : o.n;
}

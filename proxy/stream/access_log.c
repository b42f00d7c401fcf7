/*
 * access_log.c - one JSON line an exchange.
 *
 * Invariant: room[0..n) is whole lines, but for a first one whose beginning is written already.
 */
#include "proxy/stream/access_log.h"

#include "proxy/base/clock.h"
#include "proxy/base/sys.h"
#include "proxy/http/head_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIELD_CUT 1024 /* bytes of one field that are logged; 6 times that when escaped */

void access_log_init(struct access_log *l, stat_t *dropped)
{
    l->fd = -1;
    l->n = 0;
    l->dropped = dropped;
}

/*
 * Pipes and terminals are opened anew: O_NONBLOCK belongs to the open file, which we share with
 * whoever gave it to us.
 */
static int own_nonblocking(int fd, const struct stat *st)
{
    char path[32];
    int own;

    if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
        return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own < 0)
        return fd; /* not ours to open: then it has to be a patient reader */
    sys_close(fd);
    return own;
}

void access_log_open(struct access_log *l, int fd)
{
    struct stat st = {0};

    access_log_flush(l);
    sys_close(l->fd);
    l->n = 0;
    l->fd = fd;
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    l->socket = S_ISSOCK(st.st_mode);
    l->fd = own_nonblocking(fd, &st);
}

static void drop_all(struct access_log *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->room[i] == '\n')
            stat_add(l->dropped, 1);
    l->n = 0;
}

void access_log_flush(struct access_log *l)
{
    ssize_t w;

    if (l->n == 0)
        return;
    if (l->fd < 0) {
        drop_all(l);
        return;
    }
    w = l->socket ? send(l->fd, l->room, l->n, MSG_DONTWAIT | MSG_NOSIGNAL)
                  : write(l->fd, l->room, l->n);
    if (w < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop_all(l);
        return;
    }
    l->n -= (size_t)w;
    memmove(l->room, l->room + w, l->n);
}

/* ---- the line ---- */

static void put_escaped(struct out *o, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0;

    s.n = s.n < FIELD_CUT ? s.n : FIELD_CUT;
    for (size_t i = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : '"';
        char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        out_put(o, (struct str){s.p + plain, i - plain});
        plain = i + 1;
        if (i < s.n)
            out_put(o, (struct str){esc, sizeof(esc)});
    }
}

static void put_text(struct out *o, struct str key, struct str s)
{
    out_put(o, key);
    if (s.n == 0) {
        out_put(o, STR("null"));
        return;
    }
    out_char(o, '"');
    put_escaped(o, s);
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

size_t access_log_write(char *room, const struct access_entry *e)
{
    struct out o = out_init(room, ACCESS_LOG_LINE);
    char stamp[CLOCK_STAMP];

    put_text(&o, STR("{\"ts\":"), str_of(clock_stamp(stamp, e->wall_ms)));
    put_text(&o, STR(",\"request_id\":"), e->request_id);
    put_text(&o, STR(",\"trace_id\":"), e->trace_id);
    put_text(&o, STR(",\"client\":"), e->client);
    put_text(&o, STR(",\"method\":"), e->method);
    put_text(&o, STR(",\"host\":"), e->host);
    put_text(&o, STR(",\"path\":"), e->path);
    put_number(&o, STR(",\"status\":"), (uint64_t)e->status);
    put_number(&o, STR(",\"bytes_in\":"), e->bytes_in);
    put_number(&o, STR(",\"bytes_out\":"), e->bytes_out);
    put_ms(&o, STR(",\"duration_ms\":"), e->duration_us);
    put_ms(&o, STR(",\"upstream_ms\":"), e->upstream_us);
    put_text(&o, STR(",\"service\":"), e->service);
    put_text(&o, STR(",\"version\":"), e->version);
    put_text(&o, STR(",\"endpoint\":"), e->endpoint);
    put_text(&o, STR(",\"rollout\":"), e->rollout);
    put_number(&o, STR(",\"generation\":"), e->generation);
    put_text(&o, STR(",\"protocol\":"), e->minor ? STR("HTTP/1.1") : STR("HTTP/1.0"));
    put_text(&o, STR(",\"tls\":"), e->tls);
    put_number(&o, STR(",\"attempts\":"), e->attempts);
    put_text(&o, STR(",\"end\":"), e->end);
    out_put(&o, STR("}\n"));
    return o.full ? 0 : o.n;
}

void access_log_add(struct access_log *l, const struct access_entry *e)
{
    size_t n;

    if (l->fd < 0)
        return;
    if (l->n >= ACCESS_LOG_FULL)
        access_log_flush(l);
    n = sizeof(l->room) - l->n >= ACCESS_LOG_LINE ? access_log_write(l->room + l->n, e) : 0;
    if (n == 0)
        stat_add(l->dropped, 1);
    l->n += n;
}

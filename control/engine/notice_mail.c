/* notice_mail.c - headers first, then who, what, why and what can be done. */
#include "control/engine/notice_mail.h"

#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SUBJECT_MAX 256

static const char *text_of(const json_t *obj, const char *name)
{
    const char *text = json_string_value(json_object_get(obj, name));

    return text ? text : "";
}

/* What ends a line or is no ASCII becomes '?'. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text >= 0x7f)
            *text = '?';
}

/* In a body only ends of lines matter. */
static char *one_line(const char *text)
{
    char *out = xasprintf("%s", text);

    for (char *p = out; *p; p++)
        if (*p == '\r' || *p == '\n')
            *p = ' ';
    return out;
}

static char *recipients(const json_t *mail)
{
    const json_t *to = json_object_get(mail, "to");
    char *all = xasprintf("%s", "");

    for (size_t i = 0; i < json_array_size(to); i++) {
        char *more = xasprintf("%s%s<%s>", all, i ? ",\r\n " : "",
                               json_string_value(json_array_get(to, i)));

        xfree(all);
        all = more;
    }
    return all;
}

static char *subject_of(const json_t *ev, const struct rollout *r)
{
    char text[SUBJECT_MAX];

    snprintf(text, sizeof(text), "[sluice] %.64s: %.40s, %.40s to %.40s", r->service,
             text_of(ev, "type"), r->stable, r->spec.version);
    make_printable(text);
    return xasprintf("%s", text);
}

/* Names of days and months are RFC 5322's, whatever the locale says. */
static void write_date(char *out, size_t size)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;

    gmtime_r(&now, &tm);
    snprintf(out, size, "%.3s, %d %.3s %d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
}

char *notice_mail(const json_t *mail, const json_t *ev, const struct rollout *r)
{
    const char *from = text_of(mail, "from"), *at = strchr(from, '@');
    char *to = recipients(mail), *subject = subject_of(ev, r);
    char *message = one_line(text_of(ev, "message")), *text;
    char date[64];

    write_date(date, sizeof(date));
    text = xasprintf("From: Sluice <%s>\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\n"
                     "Message-ID: <%s.%" JSON_INTEGER_FORMAT "%s>\r\n"
                     "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: 8bit\r\n\r\n"
                     "%s\r\n\r\n"
                     "service   %s\r\nrollout   %s\r\nversion   %s (stable: %s)\r\n"
                     "event     %s\r\nat        %s\r\n\r\n"
                     "sluicectl rollout show %s\r\nsluicectl rollout abort %s\r\n",
                     from, to, subject, date, r->id,
                     json_integer_value(json_object_get(ev, "seq")), at ? at : "@localhost",
                     message, r->service, r->id, r->spec.version, r->stable,
                     text_of(ev, "type"), text_of(ev, "ts"), r->id, r->id);
    xfree(to);
    xfree(subject);
    xfree(message);
    return text;
}

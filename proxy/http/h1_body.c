/*
 * h1_body.c - body decoders and the chunk writer.
 *
 * Payload is handed out as slices; everything else of the chunked coding goes through a state
 * machine a byte at a time, so that the input may be cut anywhere.
 */
#include "proxy/http/h1_body.h"

#include "proxy/http/chars.h"
#include "proxy/http/uri.h"

enum {
    CHUNK_SIZE,      /* first digit is due */
    CHUNK_DIGITS,    /* more digits, an extension or CR */
    CHUNK_EXT_BLANK, /* a blank before ";" */
    CHUNK_EXT,       /* behind ";": a token is due */
    CHUNK_EXT_NAME,  /* in it */
    CHUNK_EXT_NAMED, /* a blank behind it: "=" or ";" is due */
    CHUNK_EXT_EQUAL, /* behind "=": a token or a quote is due */
    CHUNK_EXT_VALUE,
    CHUNK_EXT_QUOTED,
    CHUNK_EXT_ESCAPE,
    CHUNK_EXT_END, /* behind the closing quote */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_LINE, /* a field name or the last CR is due */
    TRAILER_NAME,
    TRAILER_BLANK, /* before the value */
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_LAST_LF,
    BODY_RAW, /* length or until close */
    BODY_BAD = UINT8_MAX - 1,
    BODY_OVER = UINT8_MAX /* h1_body_done knows */
};

void h1_body_init(struct h1_body *b, enum framing framing, uint64_t length)
{
    *b = (struct h1_body){.framing = framing, .state = BODY_RAW};
    if (framing == FRAMING_CHUNKED)
        b->state = CHUNK_SIZE;
    else if (framing == FRAMING_LENGTH)
        b->left = length;
    else if (framing == FRAMING_CLOSE)
        b->left = UINT64_MAX;
    if (framing == FRAMING_NONE || (framing == FRAMING_LENGTH && length == 0))
        b->state = BODY_OVER;
}

void h1_body_keep_trailers(struct h1_body *b, char *room, size_t cap)
{
    b->room = room;
    b->cap = (uint32_t)(cap < H1_TRAILER_MAX ? cap : H1_TRAILER_MAX);
}

struct str h1_body_trailers(const struct h1_body *b)
{
    return (struct str){b->room, b->used};
}

static int bad(struct h1_body *b, enum stats_violation kind, const char *why)
{
    b->kind = kind;
    b->why = why;
    return BODY_BAD;
}

static int bad_line_end(struct h1_body *b)
{
    return bad(b, STATS_BAD_BARE_LF, "bare CR or LF in chunked coding");
}

/* Behind a size, a name, a value: the next extension, or the end of the line. */
static int extension_over(struct h1_body *b, char c, int after_blank)
{
    if (c == ';')
        return CHUNK_EXT;
    if (c == '\r' && b->state != after_blank)
        return CHUNK_SIZE_LF;
    if (c == ' ' || c == '\t')
        return after_blank;
    return bad(b, STATS_BAD_CHUNK, "bad chunk size or extension");
}

static int digit(struct h1_body *b, char c, bool first)
{
    int value = uri_hex(c);

    if (value >= 0) {
        if (b->digits++ == 16)
            return bad(b, STATS_BAD_CHUNK, "chunk size too long");
        if (b->left >> 59)
            return bad(b, STATS_BAD_CHUNK, "chunk too large");
        b->left = b->left << 4 | (unsigned)value;
        return CHUNK_DIGITS;
    }
    if (first)
        return bad(b, STATS_BAD_CHUNK, "chunk size is not hexadecimal");
    if (c == '\n')
        return bad_line_end(b);
    return extension_over(b, c, CHUNK_EXT_BLANK);
}

/* chunk-ext (RFC 9112 7.1.1): *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted ) ] ). */
static int extension(struct h1_body *b, char c)
{
    bool token = char_is(c, CHAR_TOKEN), blank = c == ' ' || c == '\t';

    if (++b->ext > H1_CHUNK_EXT_MAX + b->payload / 4)
        return bad(b, STATS_BAD_CHUNK, "too many chunk extensions");
    switch (b->state) {
    case CHUNK_EXT:
        if (token || blank)
            return token ? CHUNK_EXT_NAME : CHUNK_EXT;
        break;
    case CHUNK_EXT_EQUAL:
        if (token || blank)
            return token ? CHUNK_EXT_VALUE : CHUNK_EXT_EQUAL;
        if (c == '"')
            return CHUNK_EXT_QUOTED;
        break;
    case CHUNK_EXT_ESCAPE:
        if (char_is(c, CHAR_VALUE))
            return CHUNK_EXT_QUOTED;
        break;
    case CHUNK_EXT_QUOTED:
        if (c == '"' || c == '\\')
            return c == '"' ? CHUNK_EXT_END : CHUNK_EXT_ESCAPE;
        if (char_is(c, CHAR_VALUE))
            return CHUNK_EXT_QUOTED;
        break;
    case CHUNK_EXT_NAME:
    case CHUNK_EXT_NAMED:
        if (token && b->state == CHUNK_EXT_NAME)
            return CHUNK_EXT_NAME;
        if (c == '=')
            return CHUNK_EXT_EQUAL;
        return extension_over(b, c, CHUNK_EXT_NAMED);
    case CHUNK_EXT_VALUE:
        if (token)
            return CHUNK_EXT_VALUE;
        return extension_over(b, c, CHUNK_EXT_BLANK);
    default:
        return extension_over(b, c, CHUNK_EXT_BLANK);
    }
    return bad(b, STATS_BAD_CHUNK, "bad chunk extension");
}

/* Keep byte C of a trailer line; a line that does not fit is forgotten as a whole. */
static void keep(struct h1_body *b, char c)
{
    if (b->line == UINT32_MAX)
        return;
    if (b->used == b->cap) {
        b->used = b->line;
        b->line = UINT32_MAX;
        return;
    }
    b->room[b->used++] = c;
}

static void keep_name_end(struct h1_body *b)
{
    struct str name;

    if (b->line == UINT32_MAX)
        return;
    name = (struct str){b->room + b->line, b->used - b->line};
    if ((field_traits(field_id(name)) & (FIELD_NO_TRAILER | FIELD_HOP | FIELD_FRAMING)) ||
        field_twin(name) != FIELD_OTHER) {
        b->used = b->line; /* framing, routing, authentication: dropped */
        b->line = UINT32_MAX;
        return;
    }
    keep(b, ':');
    keep(b, ' ');
}

static void keep_value_end(struct h1_body *b)
{
    if (b->line != UINT32_MAX)
        while (b->room[b->used - 1] == ' ' || b->room[b->used - 1] == '\t')
            b->used--; /* ends behind the colon at the latest */
    keep(b, '\r');
    keep(b, '\n');
}

static int trailer_name(struct h1_body *b, char c)
{
    if (b->state == TRAILER_LINE) {
        if (c == '\r')
            return TRAILER_LAST_LF;
        b->name_n = 0;
        b->line = b->cap ? b->used : UINT32_MAX;
    }
    if (char_is(c, CHAR_TOKEN)) {
        if (++b->name_n > FIELD_NAME_MAX)
            return bad(b, STATS_BAD_TRAILER, "trailer name too long");
        keep(b, c);
        return TRAILER_NAME;
    }
    if (c == ':' && b->name_n) {
        keep_name_end(b);
        return TRAILER_BLANK;
    }
    if (c == '\n')
        return bad_line_end(b);
    return bad(b, STATS_BAD_TRAILER, "not a trailer field");
}

static int trailer_value(struct h1_body *b, char c)
{
    if (c == '\r') {
        keep_value_end(b);
        return TRAILER_LF;
    }
    if (c == '\n')
        return bad_line_end(b);
    if (!char_is(c, CHAR_VALUE))
        return bad(b, STATS_BAD_TRAILER, "control character in a trailer");
    if (b->state == TRAILER_BLANK && (c == ' ' || c == '\t'))
        return TRAILER_BLANK;
    keep(b, c);
    return TRAILER_VALUE;
}

static int trailer(struct h1_body *b, char c)
{
    if (++b->trailer > H1_TRAILER_MAX)
        return bad(b, STATS_BAD_TRAILER, "trailers too large");
    switch (b->state) {
    case TRAILER_LINE:
    case TRAILER_NAME:
        return trailer_name(b, c);
    case TRAILER_BLANK:
    case TRAILER_VALUE:
        return trailer_value(b, c);
    case TRAILER_LF:
        return c == '\n' ? TRAILER_LINE : bad_line_end(b);
    default:
        return c == '\n' ? BODY_OVER : bad_line_end(b);
    }
}

static int chunk(struct h1_body *b, char c)
{
    switch (b->state) {
    case CHUNK_SIZE:
        b->digits = 0;
        b->left = 0;
        return digit(b, c, true);
    case CHUNK_DIGITS:
        return digit(b, c, false);
    case CHUNK_SIZE_LF:
        if (c != '\n')
            return bad_line_end(b);
        return b->left ? CHUNK_DATA : TRAILER_LINE;
    case CHUNK_DATA_CR:
        return c == '\r' ? CHUNK_DATA_LF : bad(b, STATS_BAD_CHUNK, "chunk longer than it said");
    case CHUNK_DATA_LF:
        return c == '\n' ? CHUNK_SIZE : bad_line_end(b);
    default:
        return b->state >= TRAILER_LINE ? trailer(b, c) : extension(b, c);
    }
}

static enum h1_body_event payload(struct h1_body *b, struct str *in, struct str *data)
{
    size_t n = b->left < in->n ? (size_t)b->left : in->n;

    *data = (struct str){in->p, n};
    *in = str_skip(*in, n);
    b->payload += n;
    if (b->framing != FRAMING_CLOSE)
        b->left -= n;
    if (b->left == 0)
        b->state = b->framing == FRAMING_CHUNKED ? CHUNK_DATA_CR : BODY_OVER;
    return H1_BODY_DATA;
}

enum h1_body_event h1_body_next(struct h1_body *b, struct str *in, struct str *data)
{
    for (;;) {
        if (b->state == BODY_OVER)
            return H1_BODY_END;
        if (b->state == BODY_BAD)
            return H1_BODY_BAD;
        if (in->n == 0)
            return H1_BODY_MORE;
        if (b->state == BODY_RAW || b->state == CHUNK_DATA)
            return payload(b, in, data);
        b->state = (uint8_t)chunk(b, in->p[0]);
        *in = str_skip(*in, 1);
    }
}

bool h1_body_eof(struct h1_body *b)
{
    if (b->framing == FRAMING_CLOSE && b->state == BODY_RAW)
        b->state = BODY_OVER;
    return b->state == BODY_OVER;
}

size_t h1_chunk_head(char out[H1_CHUNK_HEAD], uint64_t n)
{
    unsigned digits = n ? (67 - (unsigned)__builtin_clzll(n)) / 4 : 1;

    for (unsigned i = 0; i < digits; i++)
        out[i] = "0123456789abcdef"[n >> 4 * (digits - 1 - i) & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

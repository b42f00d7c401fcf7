/*
 * h2_frames.h - frames of HTTP/2 by hand: those that a test says, and a log of those it hears.
 *
 * Field blocks are literals without a table, so that they can be read where they are written.
 */
#pragma once
#include "proxy/base/str.h"

#include <check.h>

enum frame_type {
    F_DATA,
    F_HEADERS,
    F_PRIORITY,
    F_RST,
    F_SETTINGS,
    F_PUSH,
    F_PING,
    F_GOAWAY,
    F_WINDOW,
    F_CONTINUATION
};
enum { F_ACK = 1, F_END = 1, F_BLOCK = 4 /* END_HEADERS */, F_PADDED = 8 };
enum { SET_PUSH = 2, SET_STREAMS = 3, SET_WINDOW = 4, SET_CONNECT = 8 };

#define F_HEAD 9

static inline uint32_t get_u32(const char *p)
{
    const uint8_t *u = (const uint8_t *)p;

    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static inline void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (24 - 8 * i));
}

/* ---- what is said ---- */

struct said {
    char text[65536];
    size_t n;
};

static inline void say(struct said *s, enum frame_type type, int flags, uint32_t id,
                       struct str payload)
{
    char *p = s->text + s->n;

    ck_assert(s->n + F_HEAD + payload.n <= sizeof(s->text));
    put_u32(p, (uint32_t)payload.n << 8 | type);
    p[4] = (char)flags;
    put_u32(p + 5, id);
    if (payload.n)
        memcpy(p + F_HEAD, payload.p, payload.n);
    s->n += F_HEAD + payload.n;
}

static inline void say_u32(struct said *s, enum frame_type type, uint32_t id, uint32_t value)
{
    char room[4];

    put_u32(room, value);
    say(s, type, 0, id, (struct str){room, 4});
}

static inline void say_goaway(struct said *s, uint32_t last, uint32_t code)
{
    char room[8];

    put_u32(room, last);
    put_u32(room + 4, code);
    say(s, F_GOAWAY, 0, 0, (struct str){room, 8});
}

static inline void say_setting(struct said *s, int key, uint32_t value)
{
    char room[6] = {0, (char)key};

    put_u32(room + 2, value);
    say(s, F_SETTINGS, 0, 0, (struct str){room, 6});
}

/* N bytes of one letter. */
static inline void say_data(struct said *s, int flags, uint32_t id, size_t n)
{
    static char room[16384];

    ck_assert(n <= sizeof(room));
    memset(room, 'x', n);
    say(s, F_DATA, flags, id, (struct str){room, n});
}

/* LINES, "name: value\n" each, as a block at TO; its length. Names and values below 127 bytes.
 */
static inline size_t put_block(char *to, const char *lines)
{
    struct str rest = str_of(lines);
    size_t n = 0;

    while (rest.n) {
        struct str value = str_cut(&rest, '\n'), name;
        bool pseudo = value.p[0] == ':';

        value = str_skip(value, pseudo);
        name = str_cut(&value, ':');
        name = (struct str){name.p - pseudo, name.n + pseudo};
        value = str_trim(value);
        to[n++] = 0;
        to[n++] = (char)name.n;
        memcpy(to + n, name.p, name.n);
        n += name.n;
        to[n++] = (char)value.n;
        memcpy(to + n, value.p, value.n);
        n += value.n;
    }
    return n;
}

static inline void say_fields(struct said *s, int flags, uint32_t id, const char *lines)
{
    static char room[16384];

    say(s, F_HEADERS, flags | F_BLOCK, id, (struct str){room, put_block(room, lines)});
}

/* ---- what is heard ---- */

struct heard {
    enum frame_type type;
    int flags;
    uint32_t id, n;
    char begin[48]; /* of the payload */
};

struct log { /* of frames */
    struct heard frames[256];
    size_t nframes, have;
    char text[65536];
};

/* BYTES came: whole frames go to the log. */
static inline void hear(struct log *l, struct str bytes)
{
    size_t at = 0;

    ck_assert(l->have + bytes.n <= sizeof(l->text));
    memcpy(l->text + l->have, bytes.p, bytes.n);
    l->have += bytes.n;
    while (l->have - at >= F_HEAD) {
        const char *p = l->text + at;
        uint32_t n = get_u32(p) >> 8;
        struct heard *h = &l->frames[l->nframes];

        if (l->have - at < F_HEAD + n)
            break;
        ck_assert(l->nframes++ < 256);
        *h = (struct heard){
            .type = (uint8_t)p[3], .flags = (uint8_t)p[4], .id = get_u32(p + 5), .n = n};
        memcpy(h->begin, p + F_HEAD, n < sizeof(h->begin) ? n : sizeof(h->begin));
        at += F_HEAD + n;
    }
    memmove(l->text, l->text + at, l->have - at);
    l->have -= at;
}

/* The last frame of TYPE on stream ID, or NULL. */
static inline const struct heard *heard_last(const struct log *l, enum frame_type type,
                                             uint32_t id)
{
    for (size_t i = l->nframes; i > 0; i--)
        if (l->frames[i - 1].type == type && l->frames[i - 1].id == id)
            return &l->frames[i - 1];
    return NULL;
}

static inline int heard_count(const struct log *l, enum frame_type type, uint32_t id)
{
    int n = 0;

    for (size_t i = 0; i < l->nframes; i++)
        n += l->frames[i].type == type && l->frames[i].id == id;
    return n;
}

/* Bytes of DATA, or what WINDOW_UPDATE gave, on stream ID. */
static inline uint64_t heard_sum(const struct log *l, enum frame_type type, uint32_t id)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < l->nframes; i++) {
        const struct heard *h = &l->frames[i];

        if (h->type == type && h->id == id)
            sum += type == F_DATA ? h->n : get_u32(h->begin);
    }
    return sum;
}

/* The code of the reset of ID, or of the last GOAWAY if ID is 0; -1: there is none. */
static inline int64_t heard_code(const struct log *l, uint32_t id)
{
    const struct heard *h = heard_last(l, id ? F_RST : F_GOAWAY, id);

    return h ? (int64_t)get_u32(h->begin + (id ? 0 : 4)) : -1;
}

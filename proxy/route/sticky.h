/*
 * sticky.h - the key that keeps a client on its version, and the cookie that carries one.
 *
 * The cookie holds a random key, not a version: where a key belongs is split.h's business, so
 * a weight that changes moves exactly the clients that it has to.
 */
#pragma once
#include "config/model.h"
#include "proxy/http/head.h"
#include "proxy/http/head_write.h"

#define STICKY_KEY     32  /* hex digits of a key that we mint */
#define STICKY_KEY_MAX 256 /* a longer key from a client counts as none */

/* The key of request H under policy C; IP is the client's address as text. False: it has none
 * (no policy, or no such cookie or field, or an empty or oversized one). */
bool sticky_key(const struct conf_sticky *c, const struct head *h, struct str ip,
                struct str *key);
/* A new key from 128 random bits. */
void sticky_mint(char key[STICKY_KEY], const uint64_t random[2]);
/* "Set-Cookie: name=key; Path=/; ...\r\n" for a minted KEY; SECURE: the client came by TLS. */
void sticky_write_cookie(struct out *o, const struct conf_sticky *c, struct str key,
                         bool secure);

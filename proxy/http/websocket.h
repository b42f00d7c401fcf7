/*
 * websocket.h - the opening handshake of RFC 6455 4, towards a service that speaks HTTP/1.1.
 *
 * A client that speaks HTTP/2 opens a WebSocket without a key (RFC 8441 5.1): the key is ours
 * then, and so is the duty to look at what the service makes of it.
 */
#pragma once
#include "proxy/base/str.h"

#define WEBSOCKET_KEY 24

/* 16 bytes, RANDOM, as the value of Sec-WebSocket-Key. */
void websocket_key(char key[WEBSOCKET_KEY], const uint64_t random[2]);
/* Does ACCEPT, the value of Sec-WebSocket-Accept, answer KEY? */
bool websocket_accepted(struct str key, struct str accept);

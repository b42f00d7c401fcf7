/* websocket.c - a key, and what has to come back for it. Pure. */
#include "proxy/http/websocket.h"

#include "proxy/event/digest.h"

#define ACCEPT 28
#define GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

/* RFC 4648 4 */
static void base64(char *to, const uint8_t *from, size_t n)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)from[i] << 16 |
                         (i + 1 < n ? (uint32_t)from[i + 1] << 8 : 0) |
                         (i + 2 < n ? from[i + 2] : 0);

        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = i + 1 < n ? digits[three >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[three & 63] : '=';
    }
}

void websocket_key(char key[WEBSOCKET_KEY], const uint64_t random[2])
{
    uint8_t bytes[16];

    memcpy(bytes, random, sizeof(bytes));
    base64(key, bytes, sizeof(bytes));
}

bool websocket_accepted(struct str key, struct str accept)
{
    char text[WEBSOCKET_KEY + sizeof(GUID)], want[ACCEPT];
    uint8_t sum[DIGEST_SHA1];

    if (key.n != WEBSOCKET_KEY)
        return false;
    memcpy(text, key.p, key.n);
    memcpy(text + key.n, GUID, sizeof(GUID) - 1);
    digest_sha1((struct str){text, sizeof(text) - 1}, sum);
    base64(want, sum, sizeof(sum));
    return str_eq(accept, (struct str){want, sizeof(want)});
}

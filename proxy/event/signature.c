/* signature.c - HMAC over OpenSSL. Its failures are those of memory: not survivable. */
#include "proxy/event/signature.h"
#include "proxy/base/check.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

const char *signature_write(struct str secret, struct str text, char hex[SIGNATURE_HEX])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    ASSERT(HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)text.p, text.n,
                sum, &n) &&
           n * 2 + 1 == SIGNATURE_HEX);
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    hex[SIGNATURE_HEX - 1] = '\0';
    return hex;
}

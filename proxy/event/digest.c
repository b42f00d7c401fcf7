/* digest.c - digests over OpenSSL's EVP. Its failures are those of memory: not survivable. */
#include "proxy/event/digest.h"
#include "proxy/base/check.h"

#include <openssl/evp.h>

/* The type is a name for OpenSSL's own; it is never completed. */
static EVP_MD_CTX *ctx_of(struct digest *d)
{
    return (EVP_MD_CTX *)d;
}

struct digest *digest_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    ASSERT(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    return (struct digest *)ctx;
}

void digest_field(struct digest *d, struct str field)
{
    unsigned char length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)field.n >> (56 - 8 * i));
    ASSERT(EVP_DigestUpdate(ctx_of(d), length, sizeof(length)) == 1);
    ASSERT(field.n == 0 || EVP_DigestUpdate(ctx_of(d), field.p, field.n) == 1);
}

const char *digest_finish(struct digest *d, char hex[DIGEST_HEX])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    ASSERT(EVP_DigestFinal_ex(ctx_of(d), sum, &n) == 1 && n * 2 + 1 == DIGEST_HEX);
    EVP_MD_CTX_free(ctx_of(d));
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    hex[DIGEST_HEX - 1] = '\0';
    return hex;
}

void digest_sha1(struct str text, uint8_t sum[DIGEST_SHA1])
{
    ASSERT(EVP_Digest(text.p, text.n, sum, NULL, EVP_sha1(), NULL) == 1);
}

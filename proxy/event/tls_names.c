/*
 * tls_names.c - the names in a listener's lists of ciphers and groups, one by one.
 *
 * What is known is what OpenSSL takes when it stands alone. What a list excludes ("!RC4") may
 * also be something that this OpenSSL was built without.
 */
#include "proxy/event/tls_names.h"

#include "proxy/base/check.h"
#include "proxy/base/mem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static const struct str suites[] = {
    STR_INIT("TLS_AES_128_GCM_SHA256"), STR_INIT("TLS_AES_256_GCM_SHA384"),
    STR_INIT("TLS_CHACHA20_POLY1305_SHA256"), STR_INIT("TLS_AES_128_CCM_SHA256"),
    STR_INIT("TLS_AES_128_CCM_8_SHA256")};
static const struct str groups[] = {
    STR_INIT("X25519"),    STR_INIT("X448"),      STR_INIT("P-256"),     STR_INIT("P-384"),
    STR_INIT("P-521"),     STR_INIT("ffdhe2048"), STR_INIT("ffdhe3072"), STR_INIT("ffdhe4096"),
    STR_INIT("ffdhe6144"), STR_INIT("ffdhe8192"), STR_INIT("secp384r1"), STR_INIT("secp521r1"),
    STR_INIT("prime256v1")};
static const struct str may_be_missing[] = {
    STR_INIT("RC2"), STR_INIT("RC4"),      STR_INIT("DES"),      STR_INIT("3DES"),
    STR_INIT("MD5"), STR_INIT("IDEA"),     STR_INIT("SEED"),     STR_INIT("SRP"),
    STR_INIT("EXP"), STR_INIT("EXPORT"),   STR_INIT("EXPORT40"), STR_INIT("EXPORT56"),
    STR_INIT("LOW"), STR_INIT("MEDIUM"),   STR_INIT("SSLv2"),    STR_INIT("GOST"),
    STR_INIT("DSS"), STR_INIT("CAMELLIA"), STR_INIT("ARIA"),     STR_INIT("KRB5")};

static bool is_among(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static bool takes_cipher(SSL_CTX *ctx, struct str name)
{
    char *text = xstrndup(name.p, name.n);
    bool ok = SSL_CTX_set_cipher_list(ctx, text) == 1;

    xfree(text);
    return ok;
}

static bool takes_group(SSL_CTX *ctx, struct str name)
{
    char *text = xstrndup(name.p, name.n);
    bool ok = SSL_CTX_set1_groups_list(ctx, text) == 1;

    xfree(text);
    return ok;
}

/* One word of a list of ciphers: a name, several joined by '+', or a command ("@STRENGTH"). */
static bool is_cipher(SSL_CTX *ctx, struct str word)
{
    bool excludes = word.p[0] == '!' || word.p[0] == '-';
    struct str part;

    if (word.p[0] == '@')
        return str_eq(word, STR("@STRENGTH")) || str_starts(word, STR("@SECLEVEL="));
    if (excludes || word.p[0] == '+')
        word = str_skip(word, 1);
    if (word.n == 0)
        return false;
    if (takes_cipher(ctx, word))
        return true;
    while (excludes && word.n > 0) {
        part = str_cut(&word, '+');
        if (!is_among(part, may_be_missing, ARRAY_LEN(may_be_missing)) &&
            !takes_cipher(ctx, part))
            return false;
    }
    return excludes;
}

static bool is_known(SSL_CTX *ctx, enum tls_field field, struct str word)
{
    switch (field) {
    case TLS_FIELD_CIPHERS:
        return is_cipher(ctx, word);
    case TLS_FIELD_SUITES:
        return is_among(word, suites, ARRAY_LEN(suites));
    default:
        return takes_group(ctx, word);
    }
}

/* The next word of LIST; OpenSSL separates ciphers by more than colons. */
static struct str next_word(enum tls_field field, struct str *list)
{
    size_t n = 0;
    struct str word;

    while (n < list->n && list->p[n] != ':' &&
           (field != TLS_FIELD_CIPHERS || !memchr(" ,;", list->p[n], 3)))
        n++;
    word = (struct str){list->p, n};
    *list = str_skip(*list, n < list->n ? n + 1 : n);
    return word;
}

struct str tls_names_unknown(enum tls_field field, struct str list)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    struct str word, unknown = STR("");

    ASSERT(ctx);
    while (unknown.n == 0 && list.n > 0) {
        word = next_word(field, &list);
        if (word.n > 0 && !is_known(ctx, field, word))
            unknown = word;
    }
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return unknown;
}

static struct str *copy(struct arena *a, const struct str *names, size_t n)
{
    return memcpy(arena_alloc(a, n * sizeof(*names)), names, n * sizeof(*names));
}

/* Ciphers of TLS 1.2, by the names that are written in a list. */
static struct str *all_ciphers(struct arena *a, size_t *n)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    struct str *names;
    STACK_OF(SSL_CIPHER) * all;
    int count;

    ASSERT(ctx && SSL_CTX_set_cipher_list(ctx, "ALL") == 1);
    all = SSL_CTX_get_ciphers(ctx);
    count = sk_SSL_CIPHER_num(all);
    names = arena_alloc(a, (size_t)count * sizeof(*names) + 1);
    for (int i = 0; i < count; i++) {
        struct str name = str_of(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)));

        if (!str_starts(name, STR("TLS_")))
            names[(*n)++] = arena_str(a, name);
    }
    SSL_CTX_free(ctx);
    return names;
}

struct str *tls_names_known(struct arena *a, enum tls_field field, size_t *n)
{
    *n = 0;
    if (field == TLS_FIELD_CIPHERS)
        return all_ciphers(a, n);
    *n = field == TLS_FIELD_SUITES ? ARRAY_LEN(suites) : ARRAY_LEN(groups);
    return copy(a, field == TLS_FIELD_SUITES ? suites : groups, *n);
}

/*
 * tls_conf.c - OpenSSL contexts of listeners, one for each certificate and client policy.
 *
 * Invariant: which context, session id context and client policy a connection has is settled
 * from its ClientHello before OpenSSL looks at a ticket, so none is resumed under a policy that
 * it was not made under.
 */
#include "proxy/event/tls_impl.h"

#include "proxy/base/mem.h"
#include "proxy/base/vec.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAME_MAX_TLS 256 /* of a server name (RFC 6066 3) */
#define GROUPS       "X25519:P-256:P-384"
#define SUITES       "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

struct vhost { /* one certificate, or two of different kinds for the same names */
    SSL_CTX *ctx;
    unsigned policy;
    int verify; /* SSL_VERIFY_* */
    unsigned char sid[SHA256_DIGEST_LENGTH];
    struct str client_ca; /* borrowed while the server is built */
    uint32_t client_auth;
};

struct name {
    char *text; /* lower case; "*.example.com" as ".example.com" */
    unsigned vhost;
};

struct tls_server { /* owned by those who hold references */
    unsigned refs;
    char *name;
    const struct tls_tickets *tickets;
    VEC(struct vhost) vhosts;
    VEC(struct name) names; /* sorted */
    bool one_policy;
};

const char *tls_error(char *buf, size_t cap)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(e);

    if (!e)
        snprintf(buf, cap, "unknown error");
    else if (reason)
        snprintf(buf, cap, "%s", reason);
    else
        ERR_error_string_n(e, buf, cap);
    ERR_clear_error();
    return buf;
}

static bool fault(struct tls_fault *why, enum tls_field field, const char *what)
{
    char reason[128];

    why->field = field;
    snprintf(why->text, sizeof(why->text), "%s: %s", what, tls_error(reason, sizeof(reason)));
    return false;
}

/* ---- PEM ---- */

static BIO *pem_open(struct str pem)
{
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);

    ASSERT(b);
    return b;
}

/* Keys with a passphrase cannot be used: nobody is there to type it. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)arg;
    return -1;
}

static X509 *read_leaf(struct str pem)
{
    BIO *b = pem_open(pem);
    X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL);

    BIO_free(b);
    return x;
}

/* The leaf and what follows it. */
static bool use_chain(SSL_CTX *ctx, struct str pem, struct tls_fault *why)
{
    BIO *b = pem_open(pem);
    X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL), *next;
    bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;

    X509_free(x);
    if (ok)
        SSL_CTX_clear_chain_certs(ctx);
    while (ok && (next = PEM_read_bio_X509(b, NULL, no_passphrase, NULL)))
        ok = SSL_CTX_add0_chain_cert(ctx, next) == 1;
    BIO_free(b);
    if (!ok)
        return fault(why, TLS_FIELD_CERT, "not a usable certificate");
    ERR_clear_error(); /* the end of the file */
    return true;
}

static bool use_key(SSL_CTX *ctx, struct str pem, struct tls_fault *why)
{
    BIO *b = pem_open(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    bool read = key != NULL, fits = read && SSL_CTX_use_PrivateKey(ctx, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(b);
    if (!read)
        return fault(why, TLS_FIELD_KEY, "not a usable private key");
    if (!fits || SSL_CTX_check_private_key(ctx) != 1)
        return fault(why, TLS_FIELD_KEY, "not the key of the certificate");
    return true;
}

/* Trust the certificates in PEM; as a server also name them to clients. */
static bool use_ca(SSL_CTX *ctx, struct str pem, bool serving, struct tls_fault *why)
{
    BIO *b = pem_open(pem);
    unsigned n = 0;
    X509 *x;

    for (; (x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL)); n++) {
        (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
        if (serving)
            SSL_CTX_add_client_CA(ctx, x);
        X509_free(x);
    }
    BIO_free(b);
    if (n == 0)
        return fault(why, TLS_FIELD_CLIENT_CA, "no certificate in it");
    ERR_clear_error();
    return true;
}

/* ---- tickets ---- */

bool tls_tickets_set(struct tls_tickets *t, struct str keys)
{
    unsigned n = (unsigned)(keys.n / TLS_TICKET_KEY);

    if (keys.n % TLS_TICKET_KEY || n == 0 || n > ARRAY_LEN(t->key))
        return false;
    memcpy(t->key, keys.p, keys.n);
    t->n = n;
    return true;
}

static int set_ticket_key(EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac, const unsigned char *key,
                          const unsigned char *iv, int enc)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)(key + 48),
                                          32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256",
                                         0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_CipherInit_ex(c, EVP_aes_256_cbc(), NULL, key + 16, iv, enc) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* RFC 5077 4. 0: no ticket, or not one of ours; 2: good, and time for a newer one. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *c,
                     EVP_MAC_CTX *mac, int enc)
{
    const struct tls_server *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_tickets *t = s->tickets;
    unsigned current = t->n > 1;

    if (t->n == 0)
        return 0;
    if (enc) {
        memcpy(name, t->key[current], 16);
        return RAND_bytes(iv, 16) == 1 && set_ticket_key(c, mac, t->key[current], iv, 1) ? 1
                                                                                         : -1;
    }
    for (unsigned i = 0; i < t->n; i++)
        if (memcmp(name, t->key[i], 16) == 0)
            return !set_ticket_key(c, mac, t->key[i], iv, 0) ? -1 : i > current ? 2 : 1;
    return 0;
}

/* ---- which certificate ---- */

static int by_text(const void *a, const void *b)
{
    const struct name *x = a, *y = b;

    return strcmp(x->text, y->text);
}

static const struct name *find(const struct tls_server *s, const char *text)
{
    struct name key = {.text = (char *)(uintptr_t)text};

    if (s->names.n == 0)
        return NULL;
    return bsearch(&key, s->names.v, s->names.n, sizeof(key), by_text);
}

/* Exactly, else by a wildcard for the first label, else the first certificate. */
static unsigned vhost_of(const struct tls_server *s, struct str host)
{
    char text[NAME_MAX_TLS];
    const struct name *n;
    const char *dot;

    if (host.n == 0 || host.n >= sizeof(text))
        return 0;
    for (size_t i = 0; i < host.n; i++)
        text[i] = ascii_lower(host.p[i]);
    text[host.n - (text[host.n - 1] == '.')] = '\0';
    n = find(s, text);
    if (!n && (dot = strchr(text, '.')))
        n = find(s, dot);
    return n ? n->vhost : 0;
}

unsigned tls_server_policy(const struct tls_server *s, struct str host)
{
    return s->one_policy ? 0 : s->vhosts.v[vhost_of(s, host)].policy;
}

/* The host_name of the server_name extension (RFC 6066 3), or STR_NONE. */
static struct str asked_name(SSL *ssl)
{
    const unsigned char *p;
    size_t n, len;

    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) || n < 5 || p[2] != 0)
        return STR_NONE;
    len = (size_t)p[3] << 8 | p[4];
    return len <= n - 5 ? (struct str){(const char *)p + 5, len} : STR_NONE;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *s = arg;
    struct tls_server_ssl *of = SSL_get_app_data(ssl);
    const struct vhost *v = &s->vhosts.v[vhost_of(s, asked_name(ssl))];

    *alert = SSL_AD_INTERNAL_ERROR;
    if (SSL_get_SSL_CTX(ssl) != v->ctx && !SSL_set_SSL_CTX(ssl, v->ctx))
        return SSL_CLIENT_HELLO_ERROR;
    SSL_set_verify(ssl, v->verify, NULL);
    if (SSL_set_session_id_context(ssl, v->sid, sizeof(v->sid)) != 1)
        return SSL_CLIENT_HELLO_ERROR;
    of->policy = v->policy;
    return SSL_CLIENT_HELLO_SUCCESS;
}

static const unsigned char protocols[] = "\x08http/1.1";

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, n, protocols, sizeof(protocols) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- building ---- */

static void set_common(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    ASSERT(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    ASSERT(SSL_CTX_set1_groups_list(ctx, GROUPS) == 1);
    ASSERT(SSL_CTX_set_ciphersuites(ctx, SUITES) == 1);
}

/* Sessions of one listener and client policy: nothing else may resume them. */
static void set_session_id(struct vhost *v, const struct tls_server *s)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned n;

    ASSERT(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(c, s->name, strlen(s->name) + 1) == 1 &&
           EVP_DigestUpdate(c, &v->client_auth, sizeof(v->client_auth)) == 1 &&
           EVP_DigestUpdate(c, v->client_ca.p, v->client_ca.n) == 1 &&
           EVP_DigestFinal_ex(c, v->sid, &n) == 1);
    EVP_MD_CTX_free(c);
}

static bool use_ciphers(SSL_CTX *ctx, struct str ciphers)
{
    char *list = ciphers.n ? xstrndup(ciphers.p, ciphers.n) : xstrdup(CIPHERS);
    bool ok = SSL_CTX_set_cipher_list(ctx, list) == 1;

    xfree(list);
    return ok;
}

static bool vhost_init(struct vhost *v, struct tls_server *s, const struct tls_listener_spec *l,
                       const struct tls_cert_spec *c, struct tls_fault *why)
{
    static const int verify[] = {
        [TLS_AUTH_NONE] = SSL_VERIFY_NONE,
        [TLS_AUTH_REQUEST] = SSL_VERIFY_PEER,
        [TLS_AUTH_REQUIRE] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    ASSERT(ctx && c->client_auth < ARRAY_LEN(verify));
    *v = (struct vhost){.ctx = ctx, .verify = verify[c->client_auth]};
    v->client_ca = c->client_ca;
    v->client_auth = c->client_auth;
    set_common(ctx);
    set_session_id(v, s);
    SSL_CTX_set_app_data(ctx, s);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, s);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_verify(ctx, v->verify, NULL);
    ASSERT(SSL_CTX_set_session_id_context(ctx, v->sid, sizeof(v->sid)) == 1);
    if (l->min_version >= 3)
        ASSERT(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
    if (!use_ciphers(ctx, l->ciphers))
        return fault(why, TLS_FIELD_CIPHERS, "not a list of ciphers");
    return c->client_auth == TLS_AUTH_NONE || use_ca(ctx, c->client_ca, true, why);
}

typedef void name_fn(void *arg, struct str name);

/* DNS names of the certificate; without any, its common name. */
static void each_name(X509 *x, name_fn *fn, void *arg)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    char common[NAME_MAX_TLS];
    unsigned n = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);

        if (g->type != GEN_DNS)
            continue;
        n++;
        fn(arg, (struct str){(const char *)ASN1_STRING_get0_data(g->d.dNSName),
                             (size_t)ASN1_STRING_length(g->d.dNSName)});
    }
    GENERAL_NAMES_free(alt);
    if (n == 0 && X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, common,
                                            sizeof(common)) > 0)
        fn(arg, str_of(common));
}

struct naming { /* the names of one certificate on their way into the table */
    struct tls_server *s;
    unsigned vhost;
    unsigned before; /* names that were there before this certificate */
    unsigned n, taken_by;
    bool all_taken; /* all of them by one vhost */
};

static char *name_text(struct str name)
{
    char *text;

    if (name.n > 2 && name.p[0] == '*' && name.p[1] == '.')
        name = str_skip(name, 1);
    text = xstrndup(name.p, name.n);
    for (char *p = text; *p; p++)
        *p = ascii_lower(*p);
    return text;
}

static void see_name(void *arg, struct str name)
{
    struct naming *g = arg;
    char *text = name_text(name);
    bool taken = false;

    for (unsigned i = 0; i < g->before && !taken; i++)
        if (strcmp(g->s->names.v[i].text, text) == 0) {
            g->all_taken &= g->n == 0 || g->taken_by == g->s->names.v[i].vhost;
            g->taken_by = g->s->names.v[i].vhost;
            taken = true;
        }
    g->all_taken &= taken;
    g->n++;
    if (taken) /* the first certificate for a name counts */
        xfree(text);
    else
        *vec_add(&g->s->names) = (struct name){text, g->vhost};
}

static bool has_kind(SSL_CTX *ctx, X509 *x)
{
    int kind = EVP_PKEY_get_base_id(X509_get0_pubkey(x));
    bool found = false;

    for (int op = SSL_CERT_SET_FIRST; SSL_CTX_set_current_cert(ctx, op) == 1;
         op = SSL_CERT_SET_NEXT)
        found |= EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(ctx))) == kind;
    return found;
}

static bool same_policy(const struct vhost *v, const struct tls_cert_spec *c)
{
    return v->client_auth == c->client_auth && str_eq(v->client_ca, c->client_ca);
}

static bool add_cert(struct tls_server *s, const struct tls_listener_spec *l,
                     const struct tls_cert_spec *c, struct tls_fault *why)
{
    struct naming g = {.s = s, .vhost = (unsigned)s->vhosts.n, .before = (unsigned)s->names.n};
    X509 *leaf = read_leaf(c->cert);
    struct vhost *v, made = {0};
    bool ok;

    if (!leaf)
        return fault(why, TLS_FIELD_CERT, "not a usable certificate");
    g.all_taken = true;
    each_name(leaf, see_name, &g);
    v = g.n && g.all_taken ? &s->vhosts.v[g.taken_by] : NULL;
    if (!v || !same_policy(v, c) || has_kind(v->ctx, leaf)) {
        if (!vhost_init(&made, s, l, c, why)) {
            SSL_CTX_free(made.ctx);
            X509_free(leaf);
            return false;
        }
        made.policy = (unsigned)s->vhosts.n;
        for (size_t i = 0; i < s->vhosts.n && made.policy == s->vhosts.n; i++)
            if (same_policy(&s->vhosts.v[i], c))
                made.policy = s->vhosts.v[i].policy;
        v = vec_add(&s->vhosts);
        *v = made;
    }
    ok = use_chain(v->ctx, c->cert, why) && use_key(v->ctx, c->key, why);
    X509_free(leaf);
    return ok;
}

struct tls_server *tls_server_new(const struct tls_listener_spec *l,
                                  const struct tls_tickets *tickets, struct tls_fault *why)
{
    struct tls_server *s = xcalloc(1, sizeof(*s));

    *why = (struct tls_fault){0};
    s->refs = 1;
    s->name = xstrndup(l->name.p, l->name.n);
    s->tickets = tickets;
    for (uint32_t i = 0; i < l->ncerts; i++) {
        why->cert = i;
        if (add_cert(s, l, &l->certs[i], why))
            continue;
        tls_server_unref(s);
        return NULL;
    }
    s->one_policy = true;
    for (size_t i = 0; i < s->vhosts.n; i++) {
        s->one_policy &= s->vhosts.v[i].policy == s->vhosts.v[0].policy;
        s->vhosts.v[i].client_ca = STR_NONE;
    }
    qsort(s->names.v, s->names.n, sizeof(*s->names.v), by_text);
    return s;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
    if (s)
        s->refs++;
    return s;
}

void tls_server_unref(struct tls_server *s)
{
    if (!s || --s->refs)
        return;
    for (size_t i = 0; i < s->vhosts.n; i++)
        SSL_CTX_free(s->vhosts.v[i].ctx);
    for (size_t i = 0; i < s->names.n; i++)
        xfree(s->names.v[i].text);
    vec_release(&s->vhosts);
    vec_release(&s->names);
    xfree(s->name);
    xfree(s);
}

SSL *tls_server_ssl_new(struct tls_server *s, struct tls_server_ssl *of)
{
    SSL *ssl = SSL_new(s->vhosts.v[0].ctx);

    ASSERT(ssl);
    *of = (struct tls_server_ssl){.server = s, .policy = s->vhosts.v[0].policy};
    SSL_set_app_data(ssl, of);
    SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- services behind us ---- */

struct tls_client { /* owned by the plane */
    char *name;
    SSL_CTX *ctx; /* NULL: not configured, nothing can be opened */
    char *server_name;
    uint32_t verify;
    uint64_t epoch;
    unsigned char digest[SHA256_DIGEST_LENGTH]; /* of what it was set to */
};

struct tls_client *tls_client_new(struct str name)
{
    struct tls_client *c = xcalloc(1, sizeof(*c));

    c->name = xstrndup(name.p, name.n);
    return c;
}

void tls_client_free(struct tls_client *c)
{
    SSL_CTX_free(c->ctx);
    xfree(c->server_name);
    xfree(c->name);
    xfree(c);
}

struct str tls_client_name(const struct tls_client *c)
{
    return str_of(c->name);
}

uint64_t tls_client_epoch(const struct tls_client *c)
{
    return c->epoch;
}

void tls_session_clear(struct tls_session *s)
{
    SSL_SESSION_free(s->session);
    *s = (struct tls_session){0};
}

/* A ticket came: keep it for the next connection to this endpoint. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *room = SSL_get_app_data(ssl);
    const struct tls_client *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!room || !SSL_SESSION_is_resumable(session) || SSL_get_SSL_CTX(ssl) != c->ctx)
        return 0;
    tls_session_clear(room);
    /* A copy: a connection that is cut later marks its own as bad. */
    *room = (struct tls_session){SSL_SESSION_dup(session), c->epoch};
    return 0;
}

static void digest_spec(const struct tls_upstream_spec *s,
                        unsigned char out[SHA256_DIGEST_LENGTH])
{
    const struct str texts[] = {s->ca, s->cert, s->key, s->server_name};
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    ASSERT(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ASSERT(EVP_DigestUpdate(c, &texts[i].n, sizeof(texts[i].n)) == 1 &&
               (texts[i].n == 0 || EVP_DigestUpdate(c, texts[i].p, texts[i].n) == 1));
    ASSERT(EVP_DigestUpdate(c, &s->verify, sizeof(s->verify)) == 1 &&
           EVP_DigestFinal_ex(c, out, NULL) == 1);
    EVP_MD_CTX_free(c);
}

static bool client_setup(SSL_CTX *ctx, const struct tls_upstream_spec *s, struct tls_fault *why)
{
    set_common(ctx);
    ASSERT(SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1);
    ASSERT(SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1) == 0);
    SSL_CTX_set_session_cache_mode(ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_verify(ctx, s->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    if (s->ca.n ? !use_ca(ctx, s->ca, false, why) : SSL_CTX_set_default_verify_paths(ctx) != 1)
        return false;
    return s->cert.n == 0 || (use_chain(ctx, s->cert, why) && use_key(ctx, s->key, why));
}

bool tls_client_set(struct tls_client *c, const struct tls_upstream_spec *s,
                    struct tls_fault *why)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SSL_CTX *ctx;

    *why = (struct tls_fault){0};
    digest_spec(s, digest);
    if (c->ctx && memcmp(digest, c->digest, sizeof(digest)) == 0)
        return true;
    ctx = SSL_CTX_new(TLS_client_method());
    ASSERT(ctx);
    SSL_CTX_set_app_data(ctx, c);
    if (!client_setup(ctx, s, why)) {
        SSL_CTX_free(ctx);
        return false;
    }
    SSL_CTX_free(c->ctx);
    xfree(c->server_name);
    c->ctx = ctx;
    c->server_name = xstrndup(s->server_name.p ? s->server_name.p : "", s->server_name.n);
    c->verify = s->verify;
    c->epoch++;
    memcpy(c->digest, digest, sizeof(digest));
    return true;
}

/* An address is verified as an address and not asked for by name (RFC 6066 3). */
static bool set_peer_name(const struct tls_client *c, SSL *ssl, struct str host)
{
    char text[NAME_MAX_TLS];
    ASN1_OCTET_STRING *ip;

    if (c->server_name[0])
        host = str_of(c->server_name);
    str_copy(text, sizeof(text), host);
    ip = a2i_IPADDRESS(text);
    if (ip) {
        ASN1_OCTET_STRING_free(ip);
        return c->verify != TLS_VERIFY_FULL ||
               X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1;
    }
    ERR_clear_error();
    return SSL_set_tlsext_host_name(ssl, text) == 1 &&
           (c->verify != TLS_VERIFY_FULL || SSL_set1_host(ssl, text) == 1);
}

SSL *tls_client_ssl_new(struct tls_client *c, struct tls_session *room, struct str host)
{
    SSL *ssl = c->ctx ? SSL_new(c->ctx) : NULL;

    if (!ssl || !set_peer_name(c, ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_app_data(ssl, room);
    if (room->session && room->epoch == c->epoch)
        SSL_set_session(ssl, room->session);
    SSL_set_connect_state(ssl);
    return ssl;
}

/* ---- what a certificate says ---- */

struct listing {
    char *out;
    size_t cap, n;
};

static void list_name(void *arg, struct str name)
{
    struct listing *l = arg;

    if (l->n + name.n + 3 > l->cap)
        return;
    l->n += (size_t)snprintf(l->out + l->n, l->cap - l->n, "%s%.*s", l->n ? ", " : "",
                             STR_ARG(name));
}

bool tls_cert_describe(struct str pem, uint64_t *not_after_ms, char *names, size_t cap)
{
    X509 *x = read_leaf(pem);
    struct listing l = {names, cap, 0};
    struct tm tm;
    bool ok = x && ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1;

    names[0] = '\0';
    if (ok) {
        *not_after_ms = (uint64_t)timegm(&tm) * 1000;
        each_name(x, list_name, &l);
    }
    X509_free(x);
    ERR_clear_error();
    return ok;
}

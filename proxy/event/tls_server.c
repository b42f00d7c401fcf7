/*
 * tls_server.c - OpenSSL contexts of listeners, one for each certificate and client policy.
 *
 * Invariant: which context, session id context and client policy a connection has is settled
 * from its ClientHello before OpenSSL looks at a ticket, so none is resumed under a policy that
 * it was not made under.
 */
#include "proxy/event/tls_server.h"

#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/base/vec.h"
#include "proxy/event/tls_impl.h"
#include "proxy/event/tls_ocsp.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>

struct staple {
    const X509 *cert; /* of the vhost's context */
    struct str der;   /* owned */
    uint64_t until_ms;
};

struct vhost { /* one certificate, or two of different kinds for the same names */
    SSL_CTX *ctx;
    unsigned policy;
    int verify; /* SSL_VERIFY_* */
    unsigned char sid[SHA256_DIGEST_LENGTH];
    VEC(struct staple) staples; /* at most one a certificate */
    struct str client_ca;       /* borrowed while the server is built */
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
    unsigned char protocols[TLS_PROTOCOLS_ROOM]; /* as ALPN writes them */
    size_t nprotocols;
};

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

static int read_ticket(SSL *ssl, const struct tls_tickets *t, const unsigned char name[16],
                       const unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac)
{
    unsigned i = 0, current = t->n > 1;

    while (i < t->n && memcmp(name, t->key[i], 16) != 0)
        i++;
    if (i == t->n)
        return 0;
    if (!set_ticket_key(c, mac, t->key[i], iv, 0))
        return -1;
    /* Clients use a ticket of TLS 1.3 once (RFC 8446 C.4): each is answered with the next. */
    return i > current || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
}

/* RFC 5077 4. 0: no ticket, or not one of ours; 2: good, and time for a newer one. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *c,
                     EVP_MAC_CTX *mac, int enc)
{
    const struct tls_server *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_tickets *t = s->tickets;
    const unsigned char *key = t->key[t->n > 1];

    if (t->n == 0)
        return 0;
    if (!enc)
        return read_ticket(ssl, t, name, iv, c, mac);
    memcpy(name, key, 16);
    return RAND_bytes(iv, 16) == 1 && set_ticket_key(c, mac, key, iv, 1) ? 1 : -1;
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
    char text[TLS_NAME_MAX];
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
    unsigned at = vhost_of(s, asked_name(ssl));
    const struct vhost *v = &s->vhosts.v[at];

    *alert = SSL_AD_INTERNAL_ERROR;
    if (SSL_get_SSL_CTX(ssl) != v->ctx && !SSL_set_SSL_CTX(ssl, v->ctx))
        return SSL_CLIENT_HELLO_ERROR;
    SSL_set_verify(ssl, v->verify, NULL);
    if (SSL_set_session_id_context(ssl, v->sid, sizeof(v->sid)) != 1)
        return SSL_CLIENT_HELLO_ERROR;
    of->vhost = at;
    of->policy = v->policy;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* One that is too old would fail the handshake with a strict client; none is better. */
static int on_status(SSL *ssl, void *arg)
{
    const struct tls_server_ssl *of = SSL_get_app_data(ssl);
    const struct vhost *v = &of->server->vhosts.v[of->vhost];
    const X509 *shown = SSL_get_certificate(ssl);

    (void)arg;
    for (size_t i = 0; i < v->staples.n; i++) {
        const struct staple *s = &v->staples.v[i];
        void *copy;

        if (s->cert != shown || s->until_ms <= clock_wall_ms())
            continue;
        copy = OPENSSL_memdup(s->der.p, s->der.n);
        if (copy && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->der.n) == 1)
            return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    const struct tls_server *s = arg;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, n, s->protocols, (unsigned)s->nprotocols, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- building ---- */

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
    tls_ctx_init(ctx);
    set_session_id(v, s);
    SSL_CTX_set_app_data(ctx, s);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, s);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, s);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_verify(ctx, v->verify, NULL);
    ASSERT(SSL_CTX_set_session_id_context(ctx, v->sid, sizeof(v->sid)) == 1);
    if (l->min_version >= 3)
        ASSERT(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
    if (l->max_version == 2)
        ASSERT(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) == 1);
    if (!tls_use_crypto(ctx, l, why))
        return false;
    return c->client_auth == TLS_AUTH_NONE || tls_use_ca(ctx, c->client_ca, true, why);
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

static void add_staple(struct vhost *v, const struct tls_cert_spec *c)
{
    struct tls_staple s;
    char *der;

    if (c->ocsp.n == 0 || !tls_staple_check(c->cert, c->ocsp, clock_wall_ms(), &s) ||
        s.fault[0])
        return;
    der = xmalloc(c->ocsp.n);
    memcpy(der, c->ocsp.p, c->ocsp.n);
    *vec_add(&v->staples) =
        (struct staple){SSL_CTX_get0_certificate(v->ctx), {der, c->ocsp.n}, s.next_update_ms};
}

static bool add_cert(struct tls_server *s, const struct tls_listener_spec *l,
                     const struct tls_cert_spec *c, struct tls_fault *why)
{
    struct naming g = {.s = s, .vhost = (unsigned)s->vhosts.n, .before = (unsigned)s->names.n};
    X509 *leaf = tls_read_leaf(c->cert);
    struct vhost *v, made = {0};
    bool ok;

    if (!leaf)
        return tls_fault_set(why, TLS_FIELD_CERT, "not a usable certificate");
    g.all_taken = true;
    tls_each_name(leaf, see_name, &g);
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
    ok = tls_use_chain(v->ctx, c->cert, why) && tls_use_key(v->ctx, c->key, why);
    if (ok)
        add_staple(v, c);
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
    s->nprotocols = tls_protocols_write(l->protocols, s->protocols);
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

static void vhost_release(struct vhost *v)
{
    for (size_t i = 0; i < v->staples.n; i++)
        xfree((void *)(uintptr_t)v->staples.v[i].der.p);
    vec_release(&v->staples);
    SSL_CTX_free(v->ctx);
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
        vhost_release(&s->vhosts.v[i]);
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

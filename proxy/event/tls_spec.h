/*
 * tls_spec.h - everything about TLS that a worker must be told: certificates, keys, policies.
 *
 * Read from files by the supervisor, who may be root, and handed to the workers as one sealed
 * document; private keys are in it, so it goes nowhere else. Files travel as their PEM text.
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

enum tls_protocol { TLS_HTTP1 = 1, TLS_HTTP2 = 2 }; /* bits: what is agreed on by ALPN */
enum tls_client_auth { TLS_AUTH_NONE, TLS_AUTH_REQUEST, TLS_AUTH_REQUIRE };

struct tls_cert_spec {
    struct str cert, key; /* PEM: the chain, leaf first; its private key */
    struct str ocsp;      /* DER: the response to staple; empty: none */
    struct str client_ca; /* PEM: who signs certificates of clients; empty: nobody */
    uint32_t client_auth; /* enum tls_client_auth, for the names of this certificate */
};

struct tls_listener_spec {
    struct str name;
    struct str ciphers;   /* of TLS 1.2, in OpenSSL's notation; empty: ours */
    struct str suites;    /* of TLS 1.3; empty: ours */
    struct str curves;    /* of both; empty: ours */
    uint32_t min_version; /* 2 or 3: TLS 1.2, TLS 1.3 */
    uint32_t max_version; /* likewise; 0: the newest */
    uint32_t protocols;   /* bits of tls_protocol */
    uint32_t ncerts;      /* at least 1; the first serves unknown names */
    struct tls_cert_spec *certs;
};

enum tls_verify { TLS_VERIFY_FULL, TLS_VERIFY_CA, TLS_VERIFY_NONE };

/* Stands for the Redis of the flags; no service is called so. */
#define TLS_SPEC_REDIS "#redis"

struct tls_upstream_spec { /* of one service */
    struct str name;
    struct str ca;          /* PEM; empty: what the system trusts */
    struct str cert, key;   /* PEM of our own certificate; empty: none */
    struct str server_name; /* to ask for and to verify; empty: the endpoint's own name */
    uint32_t verify;        /* enum tls_verify */
};

struct tls_spec {
    struct tls_listener_spec *listeners;
    struct tls_upstream_spec *upstreams;
    uint32_t nlisteners, nupstreams;
};

/* S as a document. Into A. */
struct str tls_spec_write(struct arena *a, const struct tls_spec *s);
/* Texts of S point into DOC, arrays into A. False: not such a document. */
bool tls_spec_read(struct arena *a, struct str doc, struct tls_spec *s) MUST_CHECK;

enum tls_field {
    TLS_FIELD_CERT,
    TLS_FIELD_KEY,
    TLS_FIELD_CLIENT_CA,
    TLS_FIELD_CIPHERS, /* this one and the rest are the listener's, not a certificate's */
    TLS_FIELD_SUITES,
    TLS_FIELD_CURVES
};
struct tls_fault { /* why a spec is of no use */
    enum tls_field field;
    unsigned cert; /* which of a listener's certificates */
    char text[256];
};

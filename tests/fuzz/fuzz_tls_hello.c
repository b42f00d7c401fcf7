/*
 * fuzz_tls_hello.c - the first bytes of a client that wants TLS. Certificate and client policy
 * follow the name that was asked for, as OpenSSL itself reads it, and the default without one.
 *
 * The input is what comes from the socket, records and all.
 */
#include "proxy/event/tls_impl.h"
#include "tests/unit/certificate.h"

#include <openssl/err.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define OUT_MAX 65536 /* our flight, and more */

static struct arena arena;
static struct tls_tickets tickets;
static struct tls_server *server;

static void set_up(void)
{
    static const char keys[2 * TLS_TICKET_KEY] = "next";
    struct tls_fault f;

    arena_init(&arena, NULL, 0);
    struct tls_cert_spec certs[] = {certificate_new(&arena, "DNS:a.test"),
                                    certificate_new(&arena, "DNS:*.b.test"),
                                    certificate_new(&arena, "DNS:c.test,DNS:x.b.test")};
    struct tls_listener_spec l = {.name = STR("web"),
                                  .min_version = 2,
                                  .protocols = TLS_HTTP1 | TLS_HTTP2,
                                  .certs = certs,
                                  .ncerts = ARRAY_LEN(certs)};

    certs[2].client_auth = TLS_AUTH_REQUIRE;
    certs[2].client_ca = certs[0].cert;
    ASSERT(tls_tickets_set(&tickets, (struct str){keys, sizeof(keys)}));
    server = tls_server_new(&l, &tickets, &f);
    ASSERT(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tls_server_ssl of;
    BIO *in = BIO_new_mem_buf(data, (int)n), *out = BIO_new(BIO_s_mem());
    const char *name;
    char *sent;

    if (!server)
        set_up();
    SSL *ssl = tls_server_ssl_new(server, &of);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    ASSERT(SSL_do_handshake(ssl) != 1); /* nobody has the keys */
    name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    ASSERT(of.vhost < 3 && (of.policy != 0) == (of.vhost == 2));
    if (SSL_get_state(ssl) > TLS_ST_SR_CLNT_HELLO)
        ASSERT(of.policy == tls_server_policy(server, name ? str_of(name) : STR_NONE));
    ASSERT(BIO_get_mem_data(out, &sent) <= OUT_MAX);
    SSL_free(ssl);
    ERR_clear_error();
    return 0;
}

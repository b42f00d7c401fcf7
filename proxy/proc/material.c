/*
 * material.c - files of the config become the TLS document of the workers.
 *
 * Invariant: a document that leaves here was built into contexts once already, by the same code
 * that the workers use, so they will not refuse it.
 */
#include "proxy/proc/material.h"

#include "config/suggest.h"
#include "config/writer.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/rng.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/event/tls_cert.h"
#include "proxy/event/tls_client.h"
#include "proxy/event/tls_names.h"
#include "proxy/event/tls_ocsp.h"

#include <errno.h>
#include <string.h>

#define FILE_LIMIT (1u << 20) /* bytes of one file */
#define NAMES_ROOM 1024

struct reading {
    struct arena a; /* the texts; private keys among them */
    const struct conf *c;
    struct conf_diags *d;
    struct writer listing;
    bool bad;
};

static void complain(struct reading *r, struct str pointer, struct str file, const char *why)
{
    struct arena *a = &r->d->arena;

    r->bad = true;
    *vec_add(&r->d->list) = (struct conf_diag){
        .file = arena_str(a, r->c->source),
        .pointer = arena_str(a, pointer),
        .message = file.n ? arena_printf(a, "%.*s: %s", STR_ARG(file), why)
                          : arena_str(a, str_of(why)),
    };
}

/* FILE's text; empty when FILE is, or when it was complained about. */
static struct str read_file(struct reading *r, struct str pointer, const char *field,
                            struct str file)
{
    struct str text = STR_NONE;

    if (file.n == 0)
        return STR_NONE;
    pointer = arena_printf(&r->a, "%.*s/%s", STR_ARG(pointer), field);
    if (sys_read_file(&r->a, file.p, FILE_LIMIT, &text) < 0)
        complain(r, pointer, file, strerror(errno));
    else if (text.n == 0)
        complain(r, pointer, file, "the file is empty");
    else
        return text;
    return STR_NONE;
}

static void list_staple(struct writer *w, struct str file, const struct tls_staple *s)
{
    writer_text(w, STR("ocsp"), file);
    writer_text(w, STR("ocsp_fault"), str_of(s->fault));
    if (s->next_update_ms != UINT64_MAX)
        writer_uint(w, STR("ocsp_next_update"), s->next_update_ms);
}

/* STAPLE: what there is to say about the response in OCSP; NULL: there is none. */
static void list_cert(struct reading *r, const char *owner, struct str name, struct str file,
                      struct str pem, struct str ocsp, const struct tls_staple *staple)
{
    char names[NAMES_ROOM];
    uint64_t not_after;

    if (!tls_cert_describe(pem, &not_after, names, sizeof(names)))
        return;
    writer_open(&r->listing, STR_NONE, '{');
    writer_text(&r->listing, str_of(owner), name);
    writer_text(&r->listing, STR("file"), file);
    writer_text(&r->listing, STR("names"), str_of(names));
    writer_uint(&r->listing, STR("not_after"), not_after);
    if (staple)
        list_staple(&r->listing, ocsp, staple);
    writer_close(&r->listing, '}');
}

/* A response that is about another certificate, or old, is no reason to stay without a config:
 * it is not stapled, and the log and the status say so. Into C; false: C staples nothing. */
static bool read_staple(struct reading *r, struct str pointer,
                        const struct conf_certificate *from, struct tls_cert_spec *c,
                        struct tls_staple *s)
{
    struct str der = read_file(r, pointer, "ocsp", from->ocsp);

    if (der.n == 0 || c->cert.n == 0)
        return false;
    if (!tls_staple_check(c->cert, der, clock_wall_ms(), s)) {
        complain(r, arena_printf(&r->a, "%.*s/ocsp", STR_ARG(pointer)), from->ocsp,
                 "not an OCSP response in DER");
        return false;
    }
    if (s->fault[0])
        log_warn("%.*s is not stapled: %s", STR_ARG(from->ocsp), s->fault);
    else
        c->ocsp = der;
    return true;
}

static uint32_t auth_of(const struct conf_listener_tls *t, const struct conf_certificate *c)
{
    static const uint32_t auths[] = {[CONF_AUTH_NONE] = TLS_AUTH_NONE,
                                     [CONF_AUTH_REQUEST] = TLS_AUTH_REQUEST,
                                     [CONF_AUTH_REQUIRE] = TLS_AUTH_REQUIRE};

    return auths[c->client_auth == CONF_AUTH_INHERIT ? t->client_auth : c->client_auth];
}

/* Of a list, every name must be one: what OpenSSL does not know it leaves out. */
static void check_names(struct reading *r, struct str pointer, enum tls_field field,
                        const char *key, struct str list)
{
    struct arena *a = &r->d->arena;
    struct str unknown = tls_names_unknown(field, list), *names;
    size_t n;
    long near;

    if (unknown.n == 0)
        return;
    complain(r, arena_printf(&r->a, "%.*s/%s", STR_ARG(pointer), key), STR_NONE,
             arena_printf(&r->a, "OpenSSL knows no \"%.*s\"", STR_ARG(unknown)).p);
    names = tls_names_known(&r->a, field, &n);
    near = suggest_pick(unknown, names, n);
    if (near >= 0)
        r->d->list.v[r->d->list.n - 1].hint =
            arena_printf(a, "did you mean \"%.*s\"?", STR_ARG(names[near]));
}

static void try_listener(struct reading *r, struct str pointer,
                         const struct conf_listener_tls *t, const struct tls_listener_spec *l)
{
    static const char *const fields[] = {
        [TLS_FIELD_CERT] = "cert",           [TLS_FIELD_KEY] = "key",
        [TLS_FIELD_CLIENT_CA] = "client_ca", [TLS_FIELD_CIPHERS] = "ciphers",
        [TLS_FIELD_SUITES] = "ciphersuites", [TLS_FIELD_CURVES] = "curves"};
    struct tls_tickets none = {0};
    struct tls_fault f;
    struct tls_server *s = tls_server_new(l, &none, &f);
    const struct conf_certificate *c = &t->certificates[f.cert];
    struct str file = f.field == TLS_FIELD_CERT  ? c->cert
                      : f.field == TLS_FIELD_KEY ? c->key
                      : c->client_ca.n           ? c->client_ca
                                                 : t->client_ca;

    if (s)
        tls_server_unref(s);
    else if (f.field >= TLS_FIELD_CIPHERS)
        complain(r, arena_printf(&r->a, "%.*s/%s", STR_ARG(pointer), fields[f.field]), STR_NONE,
                 f.text);
    else if (f.field == TLS_FIELD_CLIENT_CA && !c->client_ca.n)
        complain(r, arena_printf(&r->a, "%.*s/client_ca", STR_ARG(pointer)), file, f.text);
    else
        complain(r,
                 arena_printf(&r->a, "%.*s/certificates/%u/%s", STR_ARG(pointer), f.cert,
                              fields[f.field]),
                 file, f.text);
}

static uint32_t protocols_of(unsigned bits)
{
    return (bits & CONF_PROTOCOL_HTTP1 ? TLS_HTTP1 : 0) |
           (bits & CONF_PROTOCOL_HTTP2 ? TLS_HTTP2 : 0);
}

static void read_listener(struct reading *r, const struct conf_listener *c,
                          struct tls_listener_spec *l)
{
    const struct conf_listener_tls *t = &c->tls;
    struct str pointer = arena_printf(&r->a, "/listeners/%.*s/tls", STR_ARG(c->name));
    struct str ca = read_file(r, pointer, "client_ca", t->client_ca);

    *l = (struct tls_listener_spec){.name = c->name,
                                    .ciphers = t->ciphers,
                                    .suites = t->ciphersuites,
                                    .curves = t->curves,
                                    .min_version = (uint32_t)t->min_version,
                                    .max_version = (uint32_t)t->max_version,
                                    .protocols = protocols_of(c->protocols),
                                    .ncerts = (uint32_t)t->ncertificates};
    l->certs = arena_zalloc(&r->a, t->ncertificates * sizeof(*l->certs) + 1);
    for (uint32_t i = 0; i < l->ncerts; i++) {
        const struct conf_certificate *from = &t->certificates[i];
        struct tls_cert_spec *to = &l->certs[i];
        struct str at = arena_printf(&r->a, "%.*s/certificates/%u", STR_ARG(pointer), i);
        struct tls_staple staple;
        bool stapled;

        to->cert = read_file(r, at, "cert", from->cert);
        to->key = read_file(r, at, "key", from->key);
        to->client_auth = auth_of(t, from);
        if (to->client_auth != TLS_AUTH_NONE)
            to->client_ca =
                from->client_ca.n ? read_file(r, at, "client_ca", from->client_ca) : ca;
        stapled = read_staple(r, at, from, to, &staple);
        list_cert(r, "listener", c->name, from->cert, to->cert, from->ocsp,
                  stapled ? &staple : NULL);
    }
    check_names(r, pointer, TLS_FIELD_CIPHERS, "ciphers", t->ciphers);
    check_names(r, pointer, TLS_FIELD_SUITES, "ciphersuites", t->ciphersuites);
    check_names(r, pointer, TLS_FIELD_CURVES, "curves", t->curves);
    if (!r->bad)
        try_listener(r, pointer, t, l);
}

/* T, which is at POINTER, for what is called OWNER NAME. */
static void read_upstream(struct reading *r, const char *owner, struct str name,
                          struct str pointer, const struct conf_service_tls *t,
                          struct tls_upstream_spec *u)
{
    static const uint32_t verify[] = {[CONF_VERIFY_FULL] = TLS_VERIFY_FULL,
                                      [CONF_VERIFY_CA] = TLS_VERIFY_CA,
                                      [CONF_VERIFY_NONE] = TLS_VERIFY_NONE};
    struct tls_client *trial;
    struct tls_fault f;
    bool ok;

    *u = (struct tls_upstream_spec){.name = name,
                                    .server_name = t->server_name,
                                    .verify = verify[t->verify],
                                    .ca = read_file(r, pointer, "ca", t->ca),
                                    .cert = read_file(r, pointer, "cert", t->cert),
                                    .key = read_file(r, pointer, "key", t->key)};
    if (t->cert.n)
        list_cert(r, owner, name, t->cert, u->cert, STR_NONE, NULL);
    if (r->bad)
        return;
    trial = tls_client_new(name);
    ok = tls_client_set(trial, u, &f);
    tls_client_free(trial);
    if (!ok)
        complain(r,
                 arena_printf(&r->a, "%.*s/%s", STR_ARG(pointer),
                              f.field == TLS_FIELD_CERT  ? "cert"
                              : f.field == TLS_FIELD_KEY ? "key"
                                                         : "ca"),
                 f.field == TLS_FIELD_CERT  ? t->cert
                 : f.field == TLS_FIELD_KEY ? t->key
                                            : t->ca,
                 f.text);
}

static void read_service(struct reading *r, const struct conf_service *s,
                         struct tls_upstream_spec *u)
{
    struct str pointer = arena_printf(&r->a, "/services/%.*s/tls", STR_ARG(s->name));

    read_upstream(r, "service", s->name, pointer, &s->tls, u);
}

/* Behind the services there is room for one that only the controller is told of: Redis. */
static void read_all(struct reading *r, struct tls_spec *spec)
{
    const struct conf *c = r->c;

    spec->listeners = arena_zalloc(&r->a, c->nlisteners * sizeof(*spec->listeners) + 1);
    spec->upstreams = arena_zalloc(&r->a, (c->nservices + 1) * sizeof(*spec->upstreams));
    writer_open(&r->listing, STR_NONE, '[');
    for (size_t i = 0; i < c->nlisteners; i++)
        if (c->listeners[i].tls.enabled)
            read_listener(r, &c->listeners[i], &spec->listeners[spec->nlisteners++]);
    for (size_t i = 0; i < c->nservices; i++)
        if (c->services[i].tls.enabled)
            read_service(r, &c->services[i], &spec->upstreams[spec->nupstreams++]);
    if (c->flags.redis_tls) {
        struct tls_upstream_spec *redis = &spec->upstreams[spec->nupstreams];

        read_upstream(r, "flags", STR("redis"), STR("/flags/tls"), &c->flags.tls, redis);
        redis->name = STR(TLS_SPEC_REDIS);
    }
    writer_close(&r->listing, ']');
}

void material_init(struct material *m)
{
    *m = (struct material){-1, -1, -1};
}

void material_release(struct material *m)
{
    sys_close(m->secret_fd);
    sys_close(m->checks_fd);
    sys_close(m->listing_fd);
    material_init(m);
}

int material_load(struct material *m, const struct conf *c, struct conf_diags *d)
{
    struct reading r = {.c = c, .d = d};
    struct tls_spec spec = {0};
    char *listing;

    material_init(m);
    arena_init(&r.a, NULL, 0);
    writer_init(&r.listing, 0);
    read_all(&r, &spec);
    listing = writer_take(&r.listing);
    if (!r.bad) {
        m->secret_fd = shm_seal("sluice-tls", tls_spec_write(&r.a, &spec));
        spec.nlisteners = 0;
        spec.nupstreams += c->flags.redis_tls;
        m->checks_fd = shm_seal("sluice-check-tls", tls_spec_write(&r.a, &spec));
        m->listing_fd = shm_seal("sluice-certificates", str_of(listing));
        if (m->secret_fd < 0 || m->checks_fd < 0 || m->listing_fd < 0)
            complain(&r, STR(""), STR_NONE, strerror(errno));
    }
    xfree(listing);
    arena_release(&r.a);
    if (!r.bad)
        return 0;
    material_release(m);
    return -1;
}

/* ---- ticket keys ---- */

void ticket_keys_init(struct ticket_keys *k)
{
    rng_secure(k->key, sizeof(k->key));
}

bool ticket_keys_take(struct ticket_keys *k, struct str text)
{
    if (text.n != sizeof(k->key)) {
        ticket_keys_init(k);
        return false;
    }
    memcpy(k->key, text.p, sizeof(k->key));
    return true;
}

void ticket_keys_rotate(struct ticket_keys *k)
{
    memmove(k->key[1], k->key[0], 2 * sizeof(k->key[0]));
    rng_secure(k->key[0], sizeof(k->key[0]));
}

struct str ticket_keys_text(const struct ticket_keys *k)
{
    return (struct str){(const char *)k->key, sizeof(k->key)};
}

/* tls_cert.c - what a certificate says about itself. */
#include "proxy/event/tls_cert.h"

#include "proxy/event/tls_impl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

void tls_each_name(X509 *x, tls_name_fn *fn, void *arg)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    char common[TLS_NAME_MAX];
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
    X509 *x = tls_read_leaf(pem);
    struct listing l = {names, cap, 0};
    struct tm tm;
    bool ok = x && ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1;

    names[0] = '\0';
    if (ok) {
        *not_after_ms = (uint64_t)timegm(&tm) * 1000;
        tls_each_name(x, list_name, &l);
    }
    X509_free(x);
    ERR_clear_error();
    return ok;
}

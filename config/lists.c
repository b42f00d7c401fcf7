/*
 * lists.c - the fields with a notation of their own: endpoints, weights, matches, keys,
 * networks.
 */
#include "config/endpoint.h"
#include "config/header.h"
#include "config/load.h"
#include "config/units.h"

#include <stdio.h>

static void lower(struct str s)
{
    char *p = (char *)(uintptr_t)s.p; /* our own copy */

    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(p[i]);
}

static bool load_endpoint_weight(struct loader *l, struct node *n, uint32_t *weight)
{
    int64_t value;

    if (n->kind != NODE_NUMBER) {
        load_wrong_kind(l, n, "a number");
        return false;
    }
    if (node_whole(n, 1, CONF_ENDPOINT_WEIGHT, &value)) {
        *weight = (uint32_t)value;
        return true;
    }
    (void)diag_at(l->d, n, AT_VALUE, "must be a whole number from 1 to %d",
                  CONF_ENDPOINT_WEIGHT);
    return false;
}

static bool load_address(struct loader *l, struct node *n, struct conf_endpoint *ep)
{
    if (!load_string(l, n, &ep->name))
        return false;
    if (!endpoint_read(l->a, ep)) {
        struct conf_diag *g =
            diag_at(l->d, n, AT_VALUE, "not an address: \"%.*s\"", STR_ARG(load_shown(n)));

        diag_hint(l->d, g,
                  "write host:port, as in 127.0.0.1:9001 or [::1]:9001, unix:/path/of.sock, or "
                  "srv:_service._tcp.domain");
        return false;
    }
    load_keep_secret(l, n, ep->name);
    ep->up = true;
    return true;
}

/* "127.0.0.1:9001", or {"address": "127.0.0.1:9001", "weight": 3}. */
static bool load_endpoint(struct loader *l, struct node *n, struct conf_endpoint *ep)
{
    static const struct str keys[] = {STR_INIT("address"), STR_INIT("weight")};
    struct node *address = node_get(n, keys[0]);
    bool ok = true;

    ep->weight = 1;
    if (n->kind != NODE_OBJECT)
        return load_address(l, n, ep);
    for (struct node *c = n->first; c; c = c->next) {
        if (str_eq(c->key, keys[1])) {
            ok = load_endpoint_weight(l, c, &ep->weight) && ok;
        } else if (!str_eq(c->key, keys[0])) {
            struct conf_diag *g =
                diag_at(l->d, c, AT_KEY, "unknown key \"%.*s\"", STR_ARG(c->key));

            diag_suggest(l->d, g, c->key, keys, ARRAY_LEN(keys));
            ok = false;
        }
    }
    if (!address)
        (void)diag_at(l->d, n, AT_VALUE, "missing key \"address\"");
    return address && load_address(l, address, ep) && ok;
}

static void report_second(struct loader *l, const struct node *n, const struct node *first,
                          const char *what)
{
    struct conf_diag *g =
        diag_at(l->d, n, AT_VALUE, "duplicate %s \"%.*s\"", what, STR_ARG(load_shown(n)));

    diag_hint(l->d, g, "first given at %.*s", STR_ARG(diag_where(l->d, first)));
}

void load_endpoints(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct conf_endpoint *list = arena_zalloc(l->a, n->n * sizeof(*list) + 1);
    struct names seen;
    size_t used = 0;

    names_init(&seen, n->n);
    for (struct node *e = n->first; e; e = e->next) {
        struct conf_endpoint *ep = &list[used];
        struct node *first;

        if (!load_endpoint(l, e, ep))
            continue;
        if ((first = names_add(&seen, ep->name, e)))
            report_second(l, e->kind == NODE_OBJECT ? node_get(e, STR("address")) : e, first,
                          "endpoint");
        used++;
    }
    names_release(&seen);
    if (n->n == 0)
        (void)diag_at(l->d, n, AT_VALUE, "must have at least one endpoint");
    field_set_array(f, base, list, used);
}

static bool load_weight(struct loader *l, struct node *n, uint32_t *weight)
{
    if (n->kind != NODE_NUMBER) {
        load_wrong_kind(l, n, "a number");
        return false;
    }

    double percent = n->number.real;

    if (unit_percent(percent, weight))
        return true;
    (void)diag_at(l->d, n, AT_VALUE,
                  percent >= 0 && percent <= 100 ? "must be a multiple of 0.01, is %.10g"
                                                 : "must be 0 to 100, is %.10g",
                  percent);
    return false;
}

static void report_no_version(struct loader *l, const struct node *n, enum diag_where where,
                              struct str name)
{
    const struct conf_service *s = l->service;
    struct str *names = arena_alloc(&l->tmp, s->nversions * sizeof(*names) + 1);
    struct conf_diag *g = diag_at(l->d, n, where, "there is no version \"%.*s\"",
                                  STR_ARG(n->shown.p ? n->shown : name));

    for (size_t i = 0; i < s->nversions; i++)
        names[i] = s->versions[i].name;
    diag_suggest(l->d, g, name, names, s->nversions);
}

long load_version_index(struct loader *l, const struct node *n, enum diag_where where,
                        struct str name)
{
    long i = conf_version_find(l->service, name);

    if (i < 0)
        report_no_version(l, n, where, name);
    return i;
}

void load_weights(struct loader *l, struct node *n)
{
    struct conf_service *s = l->service;
    uint32_t sum = 0, weight;
    bool good = true;

    for (size_t i = 0; i < s->nversions; i++)
        s->versions[i].weight = 0;
    for (struct node *w = n->first; w; w = w->next) {
        long i = load_version_index(l, w, AT_KEY, w->key);
        bool ok = load_weight(l, w, &weight);

        good = good && ok && i >= 0;
        if (!good)
            continue;
        s->versions[i].weight = weight;
        sum += weight;
    }
    if (good && sum != CONF_WEIGHT_FULL)
        (void)diag_at(l->d, n, AT_VALUE, "weights add up to %.*s, must be 100",
                      STR_ARG(unit_percent_text(&l->tmp, sum)));
}

static void load_match(struct loader *l, struct node *n, struct conf_match *m)
{
    if (m->kind != CONF_MATCH_QUERY && !unit_token(n->key)) {
        (void)diag_at(l->d, n, AT_KEY, "not the name of a %s: \"%.*s\"",
                      m->kind == CONF_MATCH_HEADER ? "header field" : "cookie",
                      STR_ARG(n->key));
        return;
    }
    m->name = arena_str(l->a, n->key);
    if (m->kind == CONF_MATCH_HEADER)
        lower(m->name);
    m->present = n->kind == NODE_BOOL && n->truth;
    if (!m->present && load_string(l, n, &m->value))
        load_keep_secret(l, n, m->value);
}

void load_matches(struct loader *l, const struct field *f, struct node *n, char *base)
{
    size_t have;
    const struct conf_match *old = field_array(f, base, &have);
    struct conf_match *list = arena_zalloc(l->a, (have + n->n) * sizeof(*list) + 1);

    if (have > 0)
        memcpy(list, old, have * sizeof(*list));
    for (struct node *m = n->first; m; m = m->next) {
        list[have].kind = (enum conf_match_kind)f->min;
        list[have].name = list[have].value = STR("");
        load_match(l, m, &list[have++]);
    }
    field_set_array(f, base, list, have);
}

static bool load_header(struct loader *l, struct node *n, struct conf_header *h)
{
    const char *error = header_error(n->key);

    if (error)
        (void)diag_at(l->d, n, AT_KEY, "%s: \"%.*s\"", error, STR_ARG(n->key));
    if (!load_string(l, n, &h->value) || error)
        return false;
    load_keep_secret(l, n, h->value);
    h->name = arena_str(l->a, n->key);
    if (!header_value_ok(h->value)) {
        (void)diag_at(l->d, n, AT_VALUE,
                      "a value neither begins nor ends with a blank and has "
                      "at most %d bytes",
                      HEADER_VALUE_MAX);
        return false;
    }
    return true;
}

void load_headers(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct conf_header *list = arena_zalloc(l->a, n->n * sizeof(*list) + 1);
    size_t used = 0;

    for (struct node *h = n->first; h; h = h->next)
        used += load_header(l, h, &list[used]);
    field_set_array(f, base, list, used);
}

bool load_key_source(struct loader *l, struct str text, struct conf_key *key)
{
    *key = (struct conf_key){.source = CONF_KEY_IP, .name = STR("")};
    if (str_eq(text, STR("client_ip")))
        return true;
    if (str_starts(text, STR("cookie:")))
        key->source = CONF_KEY_COOKIE;
    else if (str_starts(text, STR("header:")))
        key->source = CONF_KEY_HEADER;
    else
        return false;

    struct str name = str_skip(text, sizeof("cookie:") - 1); /* both are as long */

    if (!unit_token(name))
        return false;
    key->name = arena_str(l->a, name);
    if (key->source == CONF_KEY_HEADER)
        lower(key->name);
    return true;
}

bool load_rate_key(struct loader *l, struct str text, struct conf_key *key)
{
    if (!str_eq(text, STR("none")))
        return load_key_source(l, text, key);
    *key = (struct conf_key){.source = CONF_KEY_NONE, .name = STR("")};
    return true;
}

void load_keys(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct conf_key *list = arena_zalloc(l->a, n->n * sizeof(*list) + 1);
    size_t used = 0;
    struct str text;

    for (struct node *k = n->first; k; k = k->next) {
        if (!load_string(l, k, &text))
            continue;
        if (load_key_source(l, text, &list[used])) {
            used++;
            continue;
        }

        struct conf_diag *g =
            diag_at(l->d, k, AT_VALUE, "not a targeting key: \"%.*s\"", STR_ARG(load_shown(k)));

        diag_hint(l->d, g, "write cookie:NAME, header:NAME or client_ip");
    }
    field_set_array(f, base, list, used);
}

void load_networks(struct loader *l, const struct field *f, struct node *n, char *base)
{
    struct network *list = arena_zalloc(l->a, n->n * sizeof(*list) + 1);
    size_t used = 0;
    struct str text;

    for (struct node *k = n->first; k; k = k->next) {
        if (!load_string(l, k, &text))
            continue;
        if (network_parse(text, &list[used])) {
            used++;
            continue;
        }

        struct conf_diag *g =
            diag_at(l->d, k, AT_VALUE, "not a network: \"%.*s\"", STR_ARG(load_shown(k)));

        diag_hint(l->d, g,
                  "write ADDRESS/BITS with no bits behind the prefix, as in 10.0.0.0/8 or "
                  "2001:db8::/32");
    }
    if (n->n < f->min)
        (void)diag_at(l->d, n, AT_VALUE, "must have at least one network");
    field_set_array(f, base, list, used);
}

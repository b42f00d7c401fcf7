/*
 * material.h - certificates, keys and ticket keys: what the supervisor reads or makes, and
 * hands to the workers.
 *
 * Workers may run as a user who cannot read the files. The secrets exist as a sealed document
 * in memory and nowhere else; the controller gets a listing without keys, and what health
 * checks speak to endpoints with.
 */
#pragma once
#include "config/conf.h"
#include "proxy/event/tls_server.h"

struct material {
    int secret_fd;  /* document of proxy/event/tls_spec.h; owned */
    int checks_fd;  /* likewise, of services only: for IPC_CHECK_TLS; owned */
    int listing_fd; /* JSON for IPC_CERTIFICATES; owned */
};

void material_init(struct material *m);
void material_release(struct material *m);
/*
 * Read and try all files that C names. 0; or -1 with a diagnostic in D for each that is of no
 * use, naming the field and the file, and M holds nothing.
 */
int material_load(struct material *m, const struct conf *c, struct conf_diags *d) MUST_CHECK;

#define TICKET_KEYS_MS                                                                         \
    3600000 /* a key makes tickets for so long, and takes them twice as long */

struct ticket_keys {
    unsigned char key[3][TLS_TICKET_KEY]; /* next, current, previous */
};
void ticket_keys_init(struct ticket_keys *k);
/* Those of ticket_keys_text; False: TEXT is something else, and K has new ones. */
bool ticket_keys_take(struct ticket_keys *k, struct str text);
void ticket_keys_rotate(struct ticket_keys *k);
struct str ticket_keys_text(const struct ticket_keys *k); /* borrowed, for IPC_TICKET_KEYS */

/*
 * notice_text.h - what a notice says and how it is signed.
 *
 * A webhook gets the event with the members that Flagger's event webhooks have. With a secret
 * it carries "Sluice-Signature: t=SECONDS,v1=HEX": HMAC-SHA256 of "SECONDS.BODY", so that a
 * receiver can refuse what is forged or old. Slack gets {"text": ...}, PagerDuty an event of
 * its Events API v2 whose dedup_key is the rollout: what went wrong is triggered, what went
 * well resolves it. An e-mail is a plain text (RFC 5322).
 */
#pragma once
#include "control/link/fetch.h"
#include "control/rollout/machine.h"
#include "control/rollout/spec_notify.h"

#include <jansson.h>

/*
 * What is stored of EV for ENTRY of R's "notify":
 * {"rollout","service","type","ts_ms","target","secret","body"}; for PagerDuty "routing"
 * besides, for e-mail "mail". Owned by the caller.
 */
json_t *notice_doc(const json_t *entry, const json_t *ev, const struct rollout *r);

struct notice_request { /* owned, but for what MAIL points to: DOC's texts and these */
    char *url, *body, *why;
    char *headers[8]; /* NULL-terminated */
    bool is_mail;
    struct fetch_mail mail;
    const char *to[SPEC_RECIPIENTS + 1];
    char *password;
};
/*
 * The request of DOC, sent at NOW_S (Unix). 0, or -1: a reference leads nowhere, and only
 * Q->why is there. DOC is borrowed as long as Q is.
 */
MUST_CHECK int notice_request(const json_t *doc, const char *key, uint64_t now_s,
                              struct notice_request *q);
void notice_request_release(struct notice_request *q);

/*
 * notice_mail.h - an event of a rollout as an e-mail.
 *
 * RFC 5322: every line ends in CR LF, header fields are printable ASCII whatever the event
 * says, and the message's id is the event's, so that one that was sent twice is one.
 */
#pragma once
#include "control/rollout/machine.h"

#include <jansson.h>

/* MAIL is the spec's "email"; owned by the caller. */
char *notice_mail(const json_t *mail, const json_t *ev, const struct rollout *r);

/*
 * action.h - what a route does besides naming a service: answers, other paths, other fields.
 *
 * The path that goes on is always the one that was matched: as it came if only the case of its
 * escapes is not that of the normal form, else the normal form, or what the route makes of it.
 * Fields that an operator writes were checked when the configuration was loaded; none of them
 * frames a message.
 */
#pragma once
#include "proxy/http/head_write.h"
#include "proxy/stream/stream.h"

/* The route has a redirect or a fixed answer: give it and end the exchange. */
void action_answer(struct stream *s);
/* The Location line of the route's redirect, in s->arena. */
struct str action_location(struct stream *s);
/* s->forward_path. False: the route does not take this path, or makes none of it. */
bool action_path(struct stream *s);
/* Fields of H that E removes or sets go no further. */
void action_strip(const struct conf_edit *e, struct head *h);
/* The lines of E, and how many bytes they are at most. */
size_t action_size(const struct conf_edit *e);
void action_write(const struct conf_edit *e, struct out *o);

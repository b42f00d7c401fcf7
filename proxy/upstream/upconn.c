/* upconn.c - what an exchange with an endpoint goes over: the part that all protocols share. */
#include "proxy/upstream/upconn.h"

#include "proxy/upstream/lane.h"
#include "proxy/upstream/upconn1.h"

struct upconn *upconn_connect(struct endpoint *ep, loop_cb *on_open)
{
    return ep->protocol == CONF_UPSTREAM_HTTP1 ? upconn1_connect(ep, on_open)
                                               : lane_connect(ep, on_open);
}

void upconn_borrow(struct upconn *u, const struct codec_ops *ops, void *self, struct head *head)
{
    u->ops = ops;
    u->borrower = self;
    u->head = head;
    u->tunnel = false;
    u->trailer_room = STR_NONE;
    u->kind->borrowed(u);
}

/*
 * accept.h - the listening sockets of a worker: accepting, pausing, and leaving a port.
 *
 * Who leaves a port takes what the kernel has let in there already: closing a listening socket
 * resets the connections in its queue, whose clients believe that they are connected.
 */
#pragma once
#include "proxy/stream/plane_state.h"

void accept_init(struct plane *p);
void accept_release(struct plane *p); /* closes all listeners at once */

/*
 * Leave every port. For LEAVING_MS new handshakes are not answered (their clients ask again
 * after a second and are refused then, or find who listens next) while those under way are
 * completed and accepted; then the sockets are closed and plane_check_drained is called.
 */
void accept_drain(struct plane *p);

/* For the plane: what its newest documents say about L is looked up again. */
void listener_find_conf(struct listener *l);
void listener_set_tls(struct listener *l);

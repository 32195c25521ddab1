/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/conn.h - what one connection does: a request and its check, and its last words. */
#ifndef WEFT_STRESS_CONN_H
#define WEFT_STRESS_CONN_H

#include "load.h"

#define CONN_SPARE_BYTES ((size_t)8) /* that a read may bring beyond the message */

/*
 * Send the message of that number and read it back.  False: it failed, the error was counted,
 * and the stream is of no more use.
 */
bool conn_exchange(struct conn *cn, uint64_t request);

/* End our half, expect the server to end its own without another byte, and close. */
void conn_finish(struct conn *cn);

#endif

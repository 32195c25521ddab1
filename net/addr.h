/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.h - addresses as text and as the system has them.
 *
 * Knows text and bytes only: looks no name up, and makes no descriptor.
 */
#ifndef WF_ADDR_H
#define WF_ADDR_H

#include "runtime/base.h"

#include <weft/net.h>

#define WF_HOST_MAX 254 /* the longest host name (253) and its end */

/* "host:port", taken apart. */
typedef struct wf_endpoint {
    char     host[WF_HOST_MAX]; /* "": all interfaces, or this host */
    bool     bracketed;         /* it stood in [ ]: an IPv6 literal */
    uint16_t port;
} wf_endpoint;

/* AF_UNSPEC for "tcp", AF_INET for "tcp4", AF_INET6 for "tcp6"; anything else -EINVAL. */
int wf_network_family(const char *network);

/* 0, or -EINVAL: malformed. */
int wf_endpoint_parse(wf_endpoint *out, const char *address);
/* 0, or -EINVAL: the host is not a literal address (or its zone is unknown). */
int  wf_endpoint_literal(const wf_endpoint *e, weft_addr *out);
bool wf_endpoint_is_localhost(const wf_endpoint *e);
/* It could be a host's name: letters, digits, '-', '_', '.', and no number for its end. */
bool wf_endpoint_is_name(const wf_endpoint *e);

/* All interfaces, or the loopback one; family AF_INET or AF_INET6. */
void wf_addr_any(weft_addr *out, int family, uint16_t port);
void wf_addr_loopback(weft_addr *out, int family, uint16_t port);
void wf_addr_set_port(weft_addr *a, uint16_t port);
bool wf_addr_is_any(const weft_addr *a);
/* The same address and port; of one family. */
bool wf_addr_equal(const weft_addr *a, const weft_addr *b);

static inline struct sockaddr *wf_addr_sa(weft_addr *a)
{
    return (struct sockaddr *)&a->sa;
}

static inline const struct sockaddr *wf_addr_csa(const weft_addr *a)
{
    return (const struct sockaddr *)&a->sa;
}

#endif

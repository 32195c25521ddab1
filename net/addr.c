/* SPDX-License-Identifier: Apache-2.0 */
/* addr.c - addresses from text and to text; see addr.h. */
#include "addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* Views of the storage; sockaddr_storage is aligned for each of them. */
static struct sockaddr_in *v4(weft_addr *a)
{
    return (struct sockaddr_in *)&a->sa;
}

static struct sockaddr_in6 *v6(weft_addr *a)
{
    return (struct sockaddr_in6 *)&a->sa;
}

static const struct sockaddr_in *cv4(const weft_addr *a)
{
    return (const struct sockaddr_in *)&a->sa;
}

static const struct sockaddr_in6 *cv6(const weft_addr *a)
{
    return (const struct sockaddr_in6 *)&a->sa;
}

int wf_network_family(const char *network)
{
    if (!network)
        return -EINVAL;
    if (strcmp(network, "tcp") == 0)
        return AF_UNSPEC;
    if (strcmp(network, "tcp4") == 0)
        return AF_INET;
    if (strcmp(network, "tcp6") == 0)
        return AF_INET6;
    return -EINVAL;
}

/* ---- Making addresses ---------------------------------------------------------------- */

static void make_v4(weft_addr *out, in_addr_t host, uint16_t port)
{
    memset(out, 0, sizeof *out);
    v4(out)->sin_family = AF_INET;
    v4(out)->sin_addr.s_addr = host;
    v4(out)->sin_port = htons(port);
    out->len = sizeof(struct sockaddr_in);
}

static void make_v6(weft_addr *out, struct in6_addr host, uint32_t zone, uint16_t port)
{
    memset(out, 0, sizeof *out);
    v6(out)->sin6_family = AF_INET6;
    v6(out)->sin6_addr = host;
    v6(out)->sin6_scope_id = zone;
    v6(out)->sin6_port = htons(port);
    out->len = sizeof(struct sockaddr_in6);
}

void wf_addr_any(weft_addr *out, int family, uint16_t port)
{
    if (family == AF_INET)
        make_v4(out, htonl(INADDR_ANY), port);
    else
        make_v6(out, in6addr_any, 0, port);
}

void wf_addr_loopback(weft_addr *out, int family, uint16_t port)
{
    if (family == AF_INET)
        make_v4(out, htonl(INADDR_LOOPBACK), port);
    else
        make_v6(out, in6addr_loopback, 0, port);
}

void wf_addr_set_port(weft_addr *a, uint16_t port)
{
    if (a->sa.ss_family == AF_INET)
        v4(a)->sin_port = htons(port);
    else if (a->sa.ss_family == AF_INET6)
        v6(a)->sin6_port = htons(port);
}

bool wf_addr_is_any(const weft_addr *a)
{
    if (a->sa.ss_family == AF_INET)
        return cv4(a)->sin_addr.s_addr == htonl(INADDR_ANY);
    return a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&cv6(a)->sin6_addr);
}

bool wf_addr_equal(const weft_addr *a, const weft_addr *b)
{
    if (a->sa.ss_family != b->sa.ss_family)
        return false;
    if (a->sa.ss_family == AF_INET)
        return cv4(a)->sin_port == cv4(b)->sin_port &&
               cv4(a)->sin_addr.s_addr == cv4(b)->sin_addr.s_addr;
    return a->sa.ss_family == AF_INET6 && cv6(a)->sin6_port == cv6(b)->sin6_port &&
           IN6_ARE_ADDR_EQUAL(&cv6(a)->sin6_addr, &cv6(b)->sin6_addr);
}

/* ---- From text ----------------------------------------------------------------------- */

static bool all_digits(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    return n > 0;
}

static int parse_port(const char *text, uint16_t *out)
{
    size_t n = strlen(text);
    if (n > 5 || !all_digits(text, n))
        return -EINVAL;
    long port = strtol(text, NULL, 10);
    *out = (uint16_t)port;
    return port <= UINT16_MAX ? 0 : -EINVAL;
}

int wf_endpoint_parse(wf_endpoint *out, const char *address)
{
    if (!address)
        return -EINVAL;
    out->bracketed = address[0] == '[';
    const char *host = address + out->bracketed;
    const char *end = strchr(host, out->bracketed ? ']' : ':');
    if (!end || (size_t)(end - host) >= sizeof out->host || (out->bracketed && end == host))
        return -EINVAL;
    memcpy(out->host, host, (size_t)(end - host));
    out->host[end - host] = 0;
    end += out->bracketed;
    return *end == ':' ? parse_port(end + 1, &out->port) : -EINVAL;
}

/* The number or the name of an interface; 0: there is none such. */
static uint32_t parse_zone(const char *zone)
{
    size_t n = strlen(zone);
    if (n == 0 || n >= IF_NAMESIZE)
        return 0;
    if (!all_digits(zone, n))
        return if_nametoindex(zone);
    unsigned long index = strtoul(zone, NULL, 10);
    return index <= UINT32_MAX ? (uint32_t)index : 0;
}

static int literal_v6(const wf_endpoint *e, weft_addr *out)
{
    char            text[INET6_ADDRSTRLEN];
    struct in6_addr host;
    const char     *percent = strchr(e->host, '%');
    size_t          n = percent ? (size_t)(percent - e->host) : strlen(e->host);
    uint32_t        zone = percent ? parse_zone(percent + 1) : 0;
    if (n >= sizeof text || (percent && zone == 0))
        return -EINVAL;
    memcpy(text, e->host, n);
    text[n] = 0;
    if (inet_pton(AF_INET6, text, &host) != 1)
        return -EINVAL;
    make_v6(out, host, zone, e->port);
    return 0;
}

int wf_endpoint_literal(const wf_endpoint *e, weft_addr *out)
{
    struct in_addr host;
    if (e->bracketed)
        return literal_v6(e, out);
    if (e->host[0] == 0) {
        wf_addr_any(out, AF_INET6, e->port);
        return 0;
    }
    if (inet_pton(AF_INET, e->host, &host) != 1)
        return -EINVAL;
    make_v4(out, host.s_addr, e->port);
    return 0;
}

bool wf_endpoint_is_localhost(const wf_endpoint *e)
{
    return !e->bracketed && strcasecmp(e->host, "localhost") == 0;
}

bool wf_endpoint_is_name(const wf_endpoint *e)
{
    const char *label = e->host;
    if (e->bracketed || !isalnum((unsigned char)e->host[0]))
        return false;
    for (const char *at = e->host; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
            return false;
        if (*at == '.' && at[1])
            label = at + 1;
    }
    return !all_digits(label, strcspn(label, ".")); /* "1.2.3" is an address gone wrong */
}

int weft_addr_parse(weft_addr *out, const char *address)
{
    wf_endpoint e;
    int         r = wf_endpoint_parse(&e, address);
    return r < 0 ? r : wf_endpoint_literal(&e, out);
}

/* ---- To text ------------------------------------------------------------------------- */

static int format_v4(struct in_addr host, in_port_t port, char *out)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &host, text, sizeof text);
    snprintf(out, WEFT_ADDR_MAX, "%s:%u", text, (unsigned)ntohs(port));
    return 0;
}

static int format_v6(const struct sockaddr_in6 *sa, char *out)
{
    char text[INET6_ADDRSTRLEN];
    char zone[16] = "";
    if (IN6_IS_ADDR_V4MAPPED(&sa->sin6_addr)) { /* an IPv4 peer of a socket for both */
        struct in_addr host;
        memcpy(&host, &sa->sin6_addr.s6_addr[12], sizeof host);
        return format_v4(host, sa->sin6_port, out);
    }
    if (sa->sin6_scope_id)
        snprintf(zone, sizeof zone, "%%%u", (unsigned)sa->sin6_scope_id);
    inet_ntop(AF_INET6, &sa->sin6_addr, text, sizeof text);
    snprintf(out, WEFT_ADDR_MAX, "[%s%s]:%u", text, zone, (unsigned)ntohs(sa->sin6_port));
    return 0;
}

/* A path; "@name" for an abstract one; "" for an unnamed socket. */
static int format_unix(const weft_addr *a, char *out)
{
    const struct sockaddr_un *sa = (const struct sockaddr_un *)&a->sa;
    size_t                    head = offsetof(struct sockaddr_un, sun_path);
    size_t                    n = a->len > head ? a->len - head : 0;
    if (n > sizeof sa->sun_path)
        return -EINVAL;
    bool abstract = n > 0 && sa->sun_path[0] == 0;
    if (!abstract)
        n = strnlen(sa->sun_path, n);
    for (size_t i = 0; i < n; i++)
        out[i] = sa->sun_path[i] ? sa->sun_path[i] : '@';
    out[n] = 0;
    return 0;
}

int weft_addr_format(const weft_addr *a, char out[WEFT_ADDR_MAX])
{
    out[0] = 0;
    if (a->len < sizeof(sa_family_t) || a->len > sizeof a->sa)
        return -EINVAL;
    switch (a->sa.ss_family) {
    case AF_INET:
        return a->len < sizeof *cv4(a) ? -EINVAL
                                       : format_v4(cv4(a)->sin_addr, cv4(a)->sin_port, out);
    case AF_INET6:
        return a->len < sizeof *cv6(a) ? -EINVAL : format_v6(cv6(a), out);
    case AF_UNIX:
        return format_unix(a, out);
    default:
        return -EAFNOSUPPORT;
    }
}

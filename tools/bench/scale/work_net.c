/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/scale/work_net.c - the workloads on sockets, over loopback: an echo on standing
 * connections, and connections that are made, used once and closed.
 *
 * Both ends are coroutines of this process, so a message costs one write and one read, and
 * what is counted is what one end costs.  Must never be tuned to a machine.
 */
#include "scale.h"

#include <string.h>

enum { CONNECTIONS = 4, DIALLERS = 4, BYTES = 64 };

struct net {
    weft_listener  l;
    char           address[WEFT_ADDR_MAX];
    weft_waitgroup clients, servers;
    int            rounds;
};

struct served {
    struct net *n;
    weft_conn   c;
};

static void net_listen(struct net *n)
{
    must("weft_listen", weft_listen(&n->l, "tcp", "127.0.0.1:0"));
    must("weft_listener_address", weft_listener_address(n->l, n->address));
}

static void serve_one(void *arg)
{
    struct served *s = arg;
    char           buf[BYTES];
    ssize_t        r;
    while ((r = weft_conn_read(s->c, buf, sizeof buf)) > 0)
        must("weft_conn_write", (int)weft_conn_write(s->c, buf, (size_t)r));
    weft_conn_close(s->c);
    weft_waitgroup_done(&s->n->servers);
}

static void accept_all(void *arg)
{
    struct net   *n = arg;
    struct served s = { .n = n };
    while (weft_listener_accept(n->l, &s.c) == 0) {
        weft_waitgroup_add(&n->servers, 1);
        must("weft_go", weft_go(serve_one, &s, sizeof s));
    }
    weft_waitgroup_done(&n->servers);
}

static void talk(weft_conn c, int rounds)
{
    char sent[BYTES], got[BYTES];
    for (int i = 0; i < rounds; i++) {
        memset(sent, 'a' + i % 26, sizeof sent);
        must("weft_conn_write", (int)weft_conn_write(c, sent, sizeof sent));
        expect("bytes echoed", weft_conn_read_full(c, got, sizeof got, NULL), sizeof got);
        expect("what was echoed, compared", memcmp(sent, got, sizeof got), 0);
    }
}

static weft_conn dial(const struct net *n)
{
    weft_conn c;
    must("weft_dial", weft_dial(&c, "tcp", n->address, WEFT_FOREVER));
    return c;
}

static void talk_for_long(void *arg)
{
    struct net *n = arg;
    weft_conn   c = dial(n);
    talk(c, n->rounds);
    weft_conn_close(c);
    weft_waitgroup_done(&n->clients);
}

/* The client goes by a reset, so that thousands leave no port behind that waits. */
static void talk_once_each(void *arg)
{
    struct net *n = arg;
    for (int i = 0; i < n->rounds; i++) {
        weft_conn c = dial(n);
        talk(c, 1);
        weft_conn_abort(c);
    }
    weft_waitgroup_done(&n->clients);
}

static void wait_all(weft_waitgroup *wg)
{
    must("weft_waitgroup_wait", weft_waitgroup_wait(wg, WEFT_FOREVER));
}

static void run_clients(void (*client)(void *arg), int clients, int rounds)
{
    struct net n = { .rounds = rounds };
    net_listen(&n);
    weft_waitgroup_add(&n.servers, 1);
    must("weft_go", weft_go(accept_all, &n, 0));
    weft_waitgroup_add(&n.clients, clients);
    for (int i = 0; i < clients; i++)
        must("weft_go", weft_go(client, &n, 0));
    wait_all(&n.clients);
    weft_listener_close(n.l);
    wait_all(&n.servers);
}

/* size: round trips of each connection; two messages each */
uint64_t echo_run(int procs, int size)
{
    run_clients(talk_for_long, CONNECTIONS * procs, size);
    return 2 * (uint64_t)CONNECTIONS * (uint64_t)procs * (uint64_t)size;
}

/* size: connections of each client */
uint64_t churn_run(int procs, int size)
{
    run_clients(talk_once_each, DIALLERS * procs, size);
    return (uint64_t)DIALLERS * (uint64_t)procs * (uint64_t)size;
}

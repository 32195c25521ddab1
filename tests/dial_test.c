/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/dial_test.c - dialling: addresses in order, refusals, deadlines, cancellation, names,
 * and a socket that meets itself.
 */
#include "net_support.h"
#include "scale.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A port of this host where nobody listens, nor will: a socket has it that does not listen. */
static int closed_port(char address[WEFT_ADDR_MAX])
{
    weft_addr a;
    int       fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_IS(weft_addr_parse(&a, "127.0.0.1:0"), 0);
    CHECK_IS(bind(fd, (struct sockaddr *)&a.sa, a.len), 0);
    CHECK_IS(getsockname(fd, (struct sockaddr *)&a.sa, &a.len), 0);
    CHECK_IS(weft_addr_format(&a, address), 0);
    return fd;
}

/* ---- Refusals ------------------------------------------------------------------------ */

static int refused(void *arg)
{
    char      address[WEFT_ADDR_MAX];
    weft_conn c = { 6 };
    int       before = open_fds(), keeps_it = closed_port(address);
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", address, WEFT_FOREVER), -ECONNREFUSED);
    CHECK_IS(weft_dial(&c, "tcp6", "[::1]:1", WEFT_FOREVER), -ECONNREFUSED);
    memmove(address, strrchr(address, ':'), strlen(strrchr(address, ':')) + 1);
    CHECK_IS(weft_dial(&c, "tcp", address, WEFT_FOREVER), -ECONNREFUSED); /* both families */
    CHECK_IS(c.id, 6);
    close(keeps_it);
    CHECK_IS(open_fds(), before);
    return 0;
}

/* DialClosedPortFailFast, DualStackFDLeak. */
Test(dial, a_closed_port_refuses_and_leaves_nothing)
{
    run_on_1_2_4(refused);
}

static int malformed(void *arg)
{
    static const struct {
        const char *network, *address;
    } table[] = {
        { "udp", "127.0.0.1:1" },
        { "unix", "/tmp/socket" },
        { NULL, "127.0.0.1:1" },
        { "tcp", NULL },
        { "tcp", "" },
        { "tcp", "host" },
        { "tcp", "127.0.0.1" },
        { "tcp", "127.0.0.1:" },
        { "tcp", "127.0.0.1:65536" },
        { "tcp4", "[::1]:1" },
        { "tcp6", "127.0.0.1:1" },
        { "tcp", "[localhost]:1" },
        { "tcp", "no such host:1" },
        { "tcp", "-host:1" },
        { "tcp", "1.2.3:1" },
        { "tcp", "256.0.0.1:1" },
        { "tcp", "host/path:1" },
        { "tcp", "http://host:1" },
        { "tcp", "::1:1" },
        { "tcp", "host.9:1" },
        { "tcp", "user@host:1" },
    };
    weft_conn c;
    (void)arg;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        CHECK_IS(weft_dial(&c, table[i].network, table[i].address, WEFT_FOREVER), -EINVAL);
    return 0;
}

Test(dial, malformed_addresses_are_refused_untried)
{
    run_on(1, malformed, NULL);
}

/* ---- Deadlines and cancellation ------------------------------------------------------ */

enum { STUFFING = 8 };

/* A listener whose queue is full: the kernel answers no more of those who knock. */
static struct silent {
    int  listener, stuffing[STUFFING];
    char address[WEFT_ADDR_MAX];
} silent;

static void make_silent(void)
{
    weft_addr a;
    CHECK_IS(weft_addr_parse(&a, "127.0.0.1:0"), 0);
    silent.listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_IS(bind(silent.listener, (struct sockaddr *)&a.sa, a.len), 0);
    CHECK_IS(listen(silent.listener, 0), 0);
    CHECK_IS(getsockname(silent.listener, (struct sockaddr *)&a.sa, &a.len), 0);
    CHECK_IS(weft_addr_format(&a, silent.address), 0);
    for (int i = 0; i < STUFFING; i++) {
        silent.stuffing[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(silent.stuffing[i], (struct sockaddr *)&a.sa, a.len);
    }
}

static int dial_cancelled(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", silent.address, WEFT_FOREVER), -ECANCELED);
    return 0;
}

static int unanswered(void *arg)
{
    static const weft_time passed[] = { 0, 1, -1, -WEFT_S, INT64_MIN };
    weft_conn              c;
    weft_group             g = WEFT_GROUP_INIT;
    int                    first, before = open_fds();
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", silent.address, weft_after(30 * WEFT_MS)), -ETIMEDOUT);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        CHECK_IS(weft_dial(&c, "tcp", silent.address, passed[i]), -ETIMEDOUT);
    for (int i = 0; i < 5; i++)
        CHECK_IS(weft_group_go(&g, dial_cancelled, NULL, 0), 0);
    let_others_park();
    weft_group_cancel(&g);
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    CHECK_IS(open_fds(), before);
    return 0;
}

/* DialTimeout, DialCancel. */
Test(dial, an_unanswered_dial_ends_by_deadline_and_cancellation)
{
    make_silent();
    run_on_1_2_4(unanswered);
}

/* A deadline that has passed still lets it try once, which on loopback may be enough. */
static int tried_once(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    int           before = open_fds();
    (void)arg;
    for (int i = 0; i < 20; i++) {
        weft_conn c, s;
        int       r = weft_dial(&c, "tcp", address, WEFT_NOWAIT);
        CHECK(r == 0 || r == -ETIMEDOUT);
        if (r == 0)
            CHECK_IS(weft_conn_close(c), 0);
        CHECK_IS(weft_listener_set_deadline(l, weft_after(r == 0 ? PATIENCE : WEFT_MS)), 0);
        if (weft_listener_accept(l, &s) == 0)
            CHECK_IS(weft_conn_close(s), 0);
        CHECK_IS(open_fds(), before);
    }
    return 0;
}

Test(dial, a_deadline_that_has_passed_lets_it_try_once)
{
    run_on_1_2_4(tried_once);
}

/* Dialled with a deadline that is soon, but late enough for this machine; when that is. */
static weft_time connect_soon(pair *p)
{
    weft_time end = 0;
    int       r = -ETIMEDOUT;
    for (int64_t ns = 40 * WEFT_MS; r == -ETIMEDOUT && ns < PATIENCE; ns *= 2) {
        char          address[WEFT_ADDR_MAX];
        weft_listener l = listen_loopback(address);
        end = weft_after(ns);
        r = weft_dial(&p->a, "tcp", address, end);
        CHECK_IS(r == 0 ? weft_listener_accept(l, &p->b) : 0, 0);
        CHECK_IS(weft_listener_close(l), 0);
    }
    CHECK_IS(r, 0);
    return end;
}

struct later {
    weft_conn conn;
    weft_time at;
};

static void send_later(void *arg)
{
    const struct later *s = arg;
    CHECK_IS(weft_sleep_until(s->at), 0);
    CHECK_IS(weft_conn_write(s->conn, "x", 1), 1);
}

static int dial_then_cancel(void *arg)
{
    const char *address = *(const char **)arg;
    weft_conn   c;
    CHECK_IS(weft_dial(&c, "tcp", address, weft_after(PATIENCE)), 0);
    while (!weft_cancelled())
        weft_yield();
    bool was = weft_shield(true);
    char byte;
    CHECK_IS(weft_conn_read(c, &byte, 1),
             1); /* CancelAfterDial: the connection is none the worse */
    weft_shield(was);
    return 0;
}

static int nothing_stays(void *arg)
{
    char           address[WEFT_ADDR_MAX];
    const char    *where = address;
    weft_listener  l = listen_loopback(address);
    weft_waitgroup wg = { { 0 } };
    weft_group     g = WEFT_GROUP_INIT;
    weft_conn      s;
    pair           p;
    char           byte;
    int            first;
    (void)arg;
    struct later later = { .at = connect_soon(&p) + 20 * WEFT_MS };
    later.conn = p.b;
    spawn(&wg, send_later, &later);
    CHECK_IS(weft_conn_read(p.a, &byte, 1), 1); /* beyond the dial's deadline */
    CHECK_IS(weft_conn_write(p.a, "x", 1), 1);
    join(&wg);
    CHECK_IS(weft_group_go(&g, dial_then_cancel, &where, sizeof where), 0);
    CHECK_IS(weft_listener_accept(l, &s), 0);
    let_others_park();
    weft_group_cancel(&g);
    CHECK_IS(weft_conn_write(s, "x", 1), 1);
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    return 0;
}

Test(dial, its_deadline_and_its_cancellation_stay_behind)
{
    run_on_1_2_4(nothing_stays);
}

/* ---- Names --------------------------------------------------------------------------- */

static void answers(const char *network, const char *address, const char *host, const char *remote)
{
    weft_listener l;
    weft_conn     c, s;
    char          text[WEFT_ADDR_MAX], target[WEFT_ADDR_MAX];
    CHECK_IS(weft_listen(&l, "tcp", address), 0);
    CHECK_IS(weft_listener_address(l, text), 0);
    snprintf(target, sizeof target, "%s%s", host, strrchr(text, ':'));
    CHECK_IS(weft_dial(&c, network, target, weft_after(PATIENCE)), 0);
    CHECK_IS(weft_listener_accept(l, &s), 0);
    CHECK_IS(weft_conn_remote_address(c, text), 0);
    CHECK(strncmp(text, remote, strlen(remote)) == 0);
    CHECK_IS(weft_conn_close(c), 0);
    CHECK_IS(weft_conn_close(s), 0);
    CHECK_IS(weft_listener_close(l), 0);
}

static int here(void *arg)
{
    (void)arg;
    answers("tcp", "127.0.0.1:0", "localhost", "127.0.0.1:");
    answers("tcp", "[::1]:0", "localhost", "[::1]:"); /* the second of its addresses */
    answers("tcp6", "[::1]:0", "localhost", "[::1]:");
    answers("tcp", "[::1]:0", "", "[::1]:");
    answers("tcp", "0.0.0.0:0", "0.0.0.0", "127.0.0.1:");
    return 0;
}

Test(dial, tries_the_addresses_of_this_host_in_order)
{
    run_on_1_2_4(here);
}

static int own_name(void *arg)
{
    answers("tcp4", "0.0.0.0:0", arg, "");
    return 0;
}

Test(dial, a_name_is_looked_up)
{
    char             host[254] = "";
    struct addrinfo *ai = NULL, hints = { .ai_family = AF_INET };
    gethostname(host, sizeof host - 1);
    if (!host[0] || getaddrinfo(host, NULL, &hints, &ai) != 0)
        cr_skip_test("this machine cannot resolve its own name, \"%s\"", host);
    freeaddrinfo(ai);
    run_on(1, own_name, host);
    run_on(2, own_name, host);
}

static int unknown(void *arg)
{
    weft_conn c;
    char      host[] = "a-label-that-is-longer-than-any-label-of-a-name-may-be-which-is-63-bytes:1";
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", host, weft_after(PATIENCE)), -EHOSTUNREACH);
    return 0;
}

Test(dial, a_name_that_does_not_resolve_is_unreachable)
{
    run_on(1, unknown, NULL);
}

/* ---- Meeting oneself: lesson 39 ------------------------------------------------------ */

/* In a network of its own, where every dial gets one of two local ports. */
static bool narrow_the_ports(void)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    int  s = socket(AF_INET, SOCK_DGRAM, 0);
    bool up = ioctl(s, SIOCSIFFLAGS, &lo) == 0;
    close(s);
    int  fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY);
    bool set = fd >= 0 && write(fd, "40000 40001", 11) == 11;
    close(fd);
    return up && set;
}

static int meet_oneself(void *arg)
{
    int before = open_fds();
    (void)arg;
    for (long i = 0, n = test_scaled(200); i < n; i++) {
        weft_conn c;
        int       r = weft_dial(&c, "tcp", i % 2 ? "127.0.0.1:40000" : "127.0.0.1:40001",
                                weft_after(PATIENCE));
        CHECK(r == -ECONNREFUSED || r == -EADDRNOTAVAIL); /* nobody listens: never 0 */
    }
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(dial, a_socket_that_meets_itself_is_no_connection)
{
    if (!narrow_the_ports())
        cr_skip_test("no right to a network namespace of one's own");
    run_on(1, meet_oneself, NULL);
    run_on(2, meet_oneself, NULL);
}

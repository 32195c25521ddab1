/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load.c - the load generator that every echo server gets alike.
 *
 * Owns the client's side of the network rows: N connections, one request in
 * flight on each (or several, sent at once), every byte that comes back checked.
 * One thread, one epoll, hand-written, so that it costs little and the same for
 * all.  It reads the server's CPU clock at both ends of the measured window itself.
 * Must use nothing of weft; must end by itself whatever the server does.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS   512
#define GRACE_NS INT64_C(5000000000) /* for what is late: a first answer, the last ones */

struct conn {
    int         fd;
    long        seq;
    const char *request;
    size_t      sent, got;
    int64_t     t0; /* when it was sent; 0: idle */
};

struct load {
    struct load_options opt;
    int                 ep;
    struct conn        *conns;
    struct load_talk    talk;
    char               *buf;                   /* for one answer, or all of a depth */
    long                in_flight, done, next; /* next: whose turn it is, when paced */
    int64_t             next_ns;
    bool                stopping;
    struct load_window  win;
};

static void want_events(struct load *l, struct conn *c, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };

    if (epoll_ctl(l->ep, EPOLL_CTL_MOD, c->fd, &ev) != 0) {
        load_die("epoll_ctl: %s", strerror(errno));
    }
}

static long id_of(const struct load *l, const struct conn *c)
{
    return (long)(c - l->conns);
}

/* Send what remains of c's request. */
static void send_rest(struct load *l, struct conn *c)
{
    const size_t len = l->talk.request_len;
    bool         was_stuck = c->sent > 0;

    while (c->sent < len) {
        ssize_t n = send(c->fd, c->request + c->sent, len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            want_events(l, c, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0 && errno != EINTR) {
            load_die("send after %ld requests: %s", l->done, strerror(errno));
        }
        c->sent += n < 0 ? 0 : (size_t)n;
    }
    if (was_stuck) {
        want_events(l, c, EPOLLIN);
    }
}

static void open_conn(struct load *l, struct conn *c)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

    c->fd = load_connect(&l->opt.to, id_of(l, c));
    load_nonblocking(c->fd);
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        load_die("connection %ld: epoll_ctl: %s", id_of(l, c), strerror(errno));
    }
}

static void start_request(struct load *l, struct conn *c, int64_t now)
{
    if (c->fd < 0) {
        open_conn(l, c);
    }
    c->request = load_talk_request(&l->talk, id_of(l, c), c->seq++);
    c->sent = c->got = 0;
    c->t0 = now;
    l->in_flight++;
    send_rest(l, c);
}

static bool closed_loop(const struct load *l)
{
    return l->opt.rate == 0;
}

static void end_request(struct load *l, struct conn *c)
{
    const long depth = (long)l->opt.depth;
    int64_t    now = load_now();

    if (l->opt.churn) {
        close(c->fd);
        c->fd = -1;
    }
    if (l->win.open) {
        load_window_add(&l->win, now - c->t0, depth);
    }
    c->t0 = 0;
    l->in_flight--;
    l->done += depth;
    if (closed_loop(l) && !l->stopping) {
        start_request(l, c, now);
    }
}

static void receive(struct load *l, struct conn *c)
{
    ssize_t n = recv(c->fd, l->buf, l->talk.answer_len, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        load_die("connection %ld: the server closed it after %ld requests: %s", id_of(l, c), c->seq,
                 n == 0 ? "end of stream" : strerror(errno));
    }
    if (c->t0 == 0) {
        load_die("connection %ld: got %zd bytes that nobody asked for", id_of(l, c), n);
    }
    load_talk_check(&l->talk, c->request, c->got, l->buf, (size_t)n, id_of(l, c));
    c->got += (size_t)n;
    if (c->got == l->talk.answer_len) {
        end_request(l, c);
    }
}

/* When paced: one request each 1/rate s, in turn over the connections that are idle. */
static void send_due(struct load *l, int64_t now)
{
    while (!closed_loop(l) && !l->stopping && l->next_ns <= now) {
        for (long i = 0; i < l->opt.conns; i++) {
            struct conn *c = &l->conns[l->next++ % l->opt.conns];
            if (c->t0 == 0) {
                start_request(l, c, load_now());
                break;
            }
        }
        l->next_ns += INT64_C(1000000000) / l->opt.rate;
    }
}

static int64_t wait_until(const struct load *l, int64_t end)
{
    return !closed_loop(l) && !l->stopping && l->next_ns < end ? l->next_ns : end;
}

/* One epoll_wait and all that came of it; returns the time at its end. */
static int64_t turn(struct load *l, int64_t now, int64_t end)
{
    struct epoll_event ev[EVENTS];
    int64_t            left = wait_until(l, end) - now;
    struct timespec    ts = { left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0 };
    int                n = epoll_pwait2(l->ep, ev, EVENTS, &ts, NULL);

    if (n < 0 && errno != EINTR) {
        load_die("epoll_pwait2: %s", strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        if ((ev[i].events & EPOLLOUT) && c->t0 != 0) {
            send_rest(l, c);
        }
        if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            receive(l, c);
        }
    }
    now = load_now();
    send_due(l, now);
    return now;
}

static void run(struct load *l)
{
    int64_t now = load_now(), begin = now + l->opt.warmup_ns, end = begin + l->opt.duration_ns;

    l->next_ns = now;
    for (long i = 0; closed_loop(l) && i < l->opt.conns; i++) {
        start_request(l, &l->conns[i], load_now());
    }
    while (now < begin) {
        now = turn(l, now, begin);
    }
    load_window_open(&l->win, &l->opt);
    while (now < end && l->win.requests < l->opt.max_requests) {
        now = turn(l, now, end);
    }
    for (end = now + GRACE_NS; now < end && l->win.requests == 0;) {
        now = turn(l, now, end); /* a machine so busy that nothing was answered yet */
    }
    load_window_close(&l->win, &l->opt);
    l->stopping = true;
    for (end = now + GRACE_NS; now < end && l->in_flight > 0;) {
        now = turn(l, now, end);
    }
    if (l->in_flight > 0) {
        load_die("%ld of %ld requests were never answered", l->in_flight, l->done + l->in_flight);
    }
}

int main(int argc, char **argv)
{
    static struct load l;

    load_options_parse(&l.opt, argc, argv);
    load_raise_nofile(l.opt.conns + 16);
    prctl(PR_SET_TIMERSLACK, 1UL);
    load_talk_begin(&l.talk, &l.opt);
    if (l.opt.idle) {
        load_idle(&l.opt, &l.talk);
        return 0;
    }
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    l.conns = load_alloc((size_t)l.opt.conns, sizeof(*l.conns));
    l.buf = load_alloc(l.talk.answer_len, 1);
    for (long i = 0; i < l.opt.conns; i++) {
        if (l.opt.churn) {
            l.conns[i].fd = -1;
        } else {
            open_conn(&l, &l.conns[i]);
        }
    }
    run(&l);
    load_window_print(&l.win, &l.opt, l.done);
    return 0;
}

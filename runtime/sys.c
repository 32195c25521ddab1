/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.c - the calls on sockets and descriptors, each as the system has it but for the
 * negative errno; see sys.h.
 *
 * Owns the fault hook.  Must never retry, park, or allocate.
 */
#include "sys.h"

#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef WEFT_FAULTS
long (*wf_sys_fault)(const char *call, int fd);

static _Thread_local size_t last_cap; /* of this thread's last transfer; 0: none */

static long fault(const char *call, int fd)
{
    long (*f)(const char *, int) = wf_sys_fault;
    return f ? f(call, fd) : 0;
}
#else
static inline long fault(const char *call, int fd)
{
    (void)call;
    (void)fd;
    return 0;
}
#endif

/* No system call is asked for more at once: some answer less than 2 GiB for reasons of
 * their own, which must not look like a short read. */
#define MOST ((size_t)1 << 30)

static inline ssize_t result(ssize_t r)
{
    return WF_UNLIKELY(r < 0) ? -errno : r;
}

/* How much of n to transfer, in *n; negative: the error to answer with. */
static inline long cap(const char *call, int fd, size_t *n)
{
    long f = fault(call, fd);
    if (*n > MOST)
        *n = MOST;
#ifdef WEFT_FAULTS
    last_cap = f > 0 ? (size_t)f : 0;
    if (f > 0 && *n > (size_t)f)
        *n = (size_t)f;
#endif
    return f < 0 ? f : 0;
}

WF_NOINLINE size_t wf_sys_asked(size_t n)
{
#ifdef WEFT_FAULTS
    if (last_cap && n > last_cap)
        return last_cap;
#endif
    return n < MOST ? n : MOST;
}

/* ---- Transfers ----------------------------------------------------------------------- */

/*
 * The C library's recv and send are points of cancellation for pthread_cancel, which means
 * nothing to threads of the runtime: four locked operations and 120 instructions for the two
 * of a request.  Sanitizers know the calls by their names only.
 */
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define receive(fd, buf, n, flags)  recv(fd, buf, n, flags)
#define transmit(fd, buf, n, flags) send(fd, buf, n, flags)
#else
#define receive(fd, buf, n, flags)  syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL)
#define transmit(fd, buf, n, flags) syscall(SYS_sendto, fd, buf, n, flags, NULL, 0)
#endif

ssize_t wf_sys_read(int fd, void *buf, size_t n)
{
    long f = cap("read", fd, &n);
    return f ? f : result(read(fd, buf, n));
}

ssize_t wf_sys_write(int fd, const void *buf, size_t n)
{
    long f = cap("write", fd, &n);
    return f ? f : result(write(fd, buf, n));
}

ssize_t wf_sys_recv(int fd, void *buf, size_t n, int flags)
{
    long f = cap("recv", fd, &n);
    return f ? f : result(receive(fd, buf, n, flags));
}

ssize_t wf_sys_send(int fd, const void *buf, size_t n, int flags)
{
    long f = cap("send", fd, &n);
    return f ? f : result(transmit(fd, buf, n, flags));
}

ssize_t wf_sys_discard(int fd, size_t n)
{
    long f = cap("discard", fd, &n);
    if (f)
        return f;
    /* Not by recv(): sanitizers would see its result as bytes written to NULL. */
    return result(syscall(SYS_recvfrom, fd, NULL, n, MSG_TRUNC | MSG_DONTWAIT, NULL, NULL));
}

/* A capped vector is its first element, cut. */
static long cap_vector(const char *call, int fd, const struct iovec *iov, int *n, struct iovec *cut)
{
    long f = fault(call, fd);
    if (WF_UNLIKELY(f > 0) && *n > 0) {
        *cut = iov[0];
        cut->iov_len = cut->iov_len > (size_t)f ? (size_t)f : cut->iov_len;
        *n = 1;
    }
    return f;
}

ssize_t wf_sys_readv(int fd, const struct iovec *iov, int n)
{
    struct iovec cut;
    long         f = cap_vector("readv", fd, iov, &n, &cut);
    return f < 0 ? f : result(readv(fd, f > 0 ? &cut : iov, n));
}

ssize_t wf_sys_writev(int fd, const struct iovec *iov, int n)
{
    struct iovec cut;
    long         f = cap_vector("writev", fd, iov, &n, &cut);
    return f < 0 ? f : result(writev(fd, f > 0 ? &cut : iov, n));
}

ssize_t wf_sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct msghdr m = *msg;
    struct iovec  cut;
    int           n = (int)m.msg_iovlen;
    long          f = cap_vector("sendmsg", fd, m.msg_iov, &n, &cut);
    if (f < 0)
        return f;
    if (f > 0)
        m.msg_iov = &cut;
    m.msg_iovlen = (size_t)n;
    return result(sendmsg(fd, &m, flags));
}

/* ---- Sockets ------------------------------------------------------------------------- */

int wf_sys_socket(int domain, int type, int protocol)
{
    long f = fault("socket", -1);
    return f < 0 ? (int)f
                 : (int)result(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

int wf_sys_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    long f = fault("bind", fd);
    return f < 0 ? (int)f : (int)result(bind(fd, sa, len));
}

int wf_sys_listen(int fd, int backlog)
{
    long f = fault("listen", fd);
    return f < 0 ? (int)f : (int)result(listen(fd, backlog));
}

int wf_sys_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    long f = fault("accept", fd);
    return f < 0 ? (int)f : (int)result(accept4(fd, sa, len, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int wf_sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    long f = fault("connect", fd);
    return f < 0 ? (int)f : (int)result(connect(fd, sa, len));
}

int wf_sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    long f = fault("getsockopt", fd);
    return f < 0 ? (int)f : (int)result(getsockopt(fd, level, name, value, len));
}

int wf_sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    long f = fault("setsockopt", fd);
    return f < 0 ? (int)f : (int)result(setsockopt(fd, level, name, value, len));
}

int wf_sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    long f = fault("getsockname", fd);
    return f < 0 ? (int)f : (int)result(getsockname(fd, sa, len));
}

int wf_sys_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
    long f = fault("getpeername", fd);
    return f < 0 ? (int)f : (int)result(getpeername(fd, sa, len));
}

int wf_sys_shutdown(int fd, int how)
{
    long f = fault("shutdown", fd);
    return f < 0 ? (int)f : (int)result(shutdown(fd, how));
}

int wf_sys_above_stdio(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (up < 0)
        up = -errno;
    close(fd);
    return up;
}

int wf_sys_poll(struct pollfd *p)
{
    long f = fault("poll", p->fd);
    return f < 0 ? (int)f : (int)result(poll(p, 1, 0));
}

int wf_sys_getaddrinfo(const char *host, const struct addrinfo *hints, struct addrinfo **out)
{
    long f = fault("getaddrinfo", -1);
    if (f < 0)
        return (int)f;
    switch (getaddrinfo(host, NULL, hints, out)) {
    case 0:
        return 0;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM: /* of these only a want of means is not about the name */
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EHOSTUNREACH;
    default:
        return -EHOSTUNREACH;
    }
}

/* ---- Descriptors --------------------------------------------------------------------- */

/* 1: they were so already. */
static int change_flags(const char *call, int fd, int on, int off)
{
    long f = fault(call, fd);
    if (f < 0)
        return (int)f;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    int wanted = (flags | on) & ~off;
    return wanted == flags ? 1 : (int)result(fcntl(fd, F_SETFL, wanted));
}

int wf_sys_nonblock(int fd)
{
    return change_flags("nonblock", fd, O_NONBLOCK, 0);
}

int wf_sys_restore(int fd)
{
    return change_flags("restore", fd, 0, O_NONBLOCK);
}

int wf_sys_cloexec(int fd)
{
    long f = fault("cloexec", fd);
    return f < 0 ? (int)f : (int)result(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int wf_sys_pipe(int fds[2])
{
    long f = fault("pipe", -1);
    return f < 0 ? (int)f : (int)result(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
}

int wf_sys_close(int fd)
{
    long f = fault("close", fd); /* an injected error comes, as a real one, after the close */
    int  r = (int)result(close(fd));
    return f < 0 ? (int)f : r;
}

int wf_sys_allowed(const char *call, int fd)
{
    long f = fault(call, fd);
    return f < 0 ? (int)f : 0;
}

/* ---- Polling ------------------------------------------------------------------------- */

int wf_sys_epoll_create(void)
{
    long f = fault("epoll_create", -1);
    return f < 0 ? (int)f : (int)result(epoll_create1(EPOLL_CLOEXEC));
}

int wf_sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    WF_TALLY_EVENT_AT("epoll_ctl", ev);
    long f = fault("epoll_ctl", fd);
    return f < 0 ? (int)f : (int)result(epoll_ctl(epfd, op, fd, ev));
}

static int whole_ms(int64_t timeout_ns)
{
    int64_t ms = timeout_ns / WEFT_MS + (timeout_ns % WEFT_MS != 0); /* up: never early */
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* See Transfers: a point of cancellation too. */
#if defined(WEFT_ASAN) || defined(WEFT_TSAN) || !defined(SYS_epoll_wait)
#define await(epfd, evs, n, ms) epoll_wait(epfd, evs, n, ms)
#else
#define await(epfd, evs, n, ms) syscall(SYS_epoll_wait, epfd, evs, n, ms)
#endif

int wf_sys_epoll_wait(int epfd, struct epoll_event *evs, int n, int64_t timeout_ns)
{
    static volatile unsigned no_pwait2; /* set once: the kernel is older than 5.11 */
    long                     f = fault("epoll_wait", epfd);
    if (f < 0)
        return (int)f;
    if (timeout_ns <= 0)
        return (int)result(await(epfd, evs, n, timeout_ns < 0 ? -1 : 0));
    if (!AO_int_load(&no_pwait2)) {
        struct timespec ts = { timeout_ns / WEFT_S, timeout_ns % WEFT_S };
        int             r = (int)result(epoll_pwait2(epfd, evs, n, &ts, NULL));
        if (r != -ENOSYS && r != -EPERM) /* EPERM: a sandbox that has never heard of it */
            return r;
        AO_int_store(&no_pwait2, 1);
    }
    return (int)result(await(epfd, evs, n, whole_ms(timeout_ns)));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h - the one thin file that all calls on sockets and descriptors pass.
 *
 * Each returns what the system call returns, or a negative errno; none retries and
 * none parks: that is their callers' work.  A build with WEFT_FAULTS lets a test
 * make any of them fail or fall short (wf_sys_fault), which is why no other file may
 * call the system for a descriptor.
 */
#ifndef WF_SYS_H
#define WF_SYS_H

#include "base.h"

#include <netdb.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t wf_sys_read(int fd, void *buf, size_t n);
ssize_t wf_sys_write(int fd, const void *buf, size_t n);
ssize_t wf_sys_recv(int fd, void *buf, size_t n, int flags);
ssize_t wf_sys_send(int fd, const void *buf, size_t n, int flags);
/* How many of n bytes the last transfer of this thread really asked for: fewer if n is
 * very large or a fault cut it.  Fewer still came: then no more were there. */
size_t  wf_sys_asked(size_t n);
ssize_t wf_sys_discard(int fd, size_t n); /* of a TCP socket's received bytes, uncopied */
ssize_t wf_sys_readv(int fd, const struct iovec *iov, int n);
ssize_t wf_sys_writev(int fd, const struct iovec *iov, int n);
ssize_t wf_sys_sendmsg(int fd, const struct msghdr *msg, int flags);

int wf_sys_socket(int domain, int type, int protocol); /* non-blocking, close-on-exec */
int wf_sys_bind(int fd, const struct sockaddr *sa, socklen_t len);
int wf_sys_listen(int fd, int backlog);
int wf_sys_accept(int fd, struct sockaddr *sa, socklen_t *len); /* non-blocking, close-on-exec */
int wf_sys_connect(int fd, const struct sockaddr *sa, socklen_t len);
int wf_sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int wf_sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int wf_sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int wf_sys_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int wf_sys_shutdown(int fd, int how);
/* Blocks for seconds: never on a thread that holds a P.  0, -EHOSTUNREACH where the name
 * does not resolve, or -ENOMEM, -EMFILE, -ENFILE. */
int wf_sys_getaddrinfo(const char *host, const struct addrinfo *hints, struct addrinfo **out);

int wf_sys_nonblock(int fd); /* sets O_NONBLOCK; 1: it was set already */
int wf_sys_restore(int fd);  /* clears it */
int wf_sys_cloexec(int fd);
int wf_sys_pipe(int fds[2]); /* non-blocking, close-on-exec */
/* fd, or if it is 0, 1 or 2 (they were closed) a copy beyond them, and fd is closed:
 * messages must not end up in a descriptor of ours. */
int wf_sys_above_stdio(int fd);
int wf_sys_close(int fd); /* never retried on EINTR: the descriptor is gone */

struct pollfd;
int wf_sys_poll(struct pollfd *p); /* of one, without waiting */

int wf_sys_epoll_create(void);
int wf_sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
/* timeout_ns < 0: for ever */
int wf_sys_epoll_wait(int epfd, struct epoll_event *evs, int n, int64_t timeout_ns);

/* Of a call that is made elsewhere, through liburing: 0, or a fault's negative errno. */
int wf_sys_allowed(const char *call, int fd);

#ifdef WEFT_FAULTS
/* Called before each system call by its name ("recv", "accept", ...): a negative
 * errno is returned in its stead, > 0 caps the transfer to so many bytes, 0 lets it
 * pass.  NULL: no faults.  Set only while no coroutine runs. */
extern long (*wf_sys_fault)(const char *call, int fd);
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.h - the table of open descriptors, and the one way to operate on one.
 *
 * A slot (wf_fd) belongs to the poll_desc of the same index and is, like it, type-stable:
 * a late caller with a stale handle may always look at it.  A handle is the poll_desc's
 * number (index and generation).  To acquire: a place in the slot's fdlock first, then
 * the comparison of handle and kind; on a mismatch the place is given back (which may
 * finish a close) and the answer is -EBADF.
 *
 * An operation (wf_op) is what a call does between entering and leaving: it holds a
 * place, perhaps the turn of its mode, and gives both back at its end, whatever comes.
 */
#ifndef WF_FD_H
#define WF_FD_H

#include "fdlock.h"
#include "runtime/netpoll.h"

enum wf_fd_kind { WF_FD_LISTENER = 1, WF_FD_CONN };
/* How bytes move: TCP (short reads drain, closing drains), another stream socket, or
 * anything else that read and write serve. */
enum wf_fd_type { WF_FD_TCP = 1, WF_FD_STREAM, WF_FD_FILE };

typedef struct wf_fd {
    wf_fdlock     lock;
    wf_poll_desc *pd;           /* fixed once the slot was used */
    int           held;         /* owner of the turn to read: a listener's accepted descriptor
                                   that could not be registered yet; else -1 */
    uint8_t       kind : 4;     /* fixed while open: enum wf_fd_kind */
    uint8_t       type : 4;     /* fixed while open: enum wf_fd_type */
    bool          ringed;       /* fixed while open: rings serve it; see ringed.h */
    bool          eof : 1;      /* owner of the turn to read: the peer's end was read */
    bool          accepted : 1; /* owner of the turn to read: the last accept found one */
    bool          reset;        /* who closed it: a reset is wanted, so drain nothing */
} WF_ALIGNED wf_fd;

_Static_assert(sizeof(wf_fd) == WF_CACHELINE, "an idle connection should cost one line here");

/*
 * Takes fd (non-blocking) into the table and the poller; 0 and *id, or a negative errno:
 * fd is then still the caller's.
 */
int wf_fd_open(int fd, enum wf_fd_kind kind, enum wf_fd_type type, uint64_t *id);
/* The same of a descriptor that comes from outside: sets it non-blocking and
 * close-on-exec; where that fails it is as it was. */
int wf_fd_adopt(wf_m *mp, int fd, enum wf_fd_kind kind, enum wf_fd_type type, uint64_t *id);

/* ---- Operations ---------------------------------------------------------------------- */

typedef struct wf_op {
    wf_m        *mp;   /* the M the coroutine runs on; changes as it parks */
    wf_fd       *f;    /* NULL: no place is held */
    enum wf_mode mode; /* whose turn it holds, if turn */
    bool         turn;
} wf_op;

/*
 * Each begin enters the runtime and is followed by exactly one wf_op_end, also where it
 * failed.  wf_op_begin takes no turn and never parks; wf_op_begin_turn takes the turn of
 * `mode`, is the begin of all calls that park, and answers -ECANCELED to a cancelled
 * caller.  -EBADF: the handle is stale, closed, or of another kind.
 */
int  wf_op_begin(wf_op *op, const char *call, uint64_t id, enum wf_fd_kind kind);
int  wf_op_begin_turn(wf_op *op, const char *call, uint64_t id, enum wf_fd_kind kind,
                      enum wf_mode mode);
void wf_op_end(wf_op *op);
/* wf_op_begin_turn of a caller that has entered already; its M is op->mp. */
int wf_op_take(wf_op *op, uint64_t id, enum wf_fd_kind kind, enum wf_mode mode);
/*
 * The same with the turn that a borrow of the current coroutine left behind.  False:
 * nothing has begun, for the handle is stale or closed, or somebody waits for the turn:
 * wf_fd_return_turn, then as everybody else.
 */
bool wf_op_resume_turn(wf_op *op, uint64_t id, enum wf_mode mode);
/* For calls that have nothing to do but must report: 0, -ECANCELED or -EBADF. */
int wf_op_probe(const char *call, uint64_t id, enum wf_fd_kind kind);

/*
 * Round a park: between rest and back the operation does not hold up a close.  False:
 * it was closed; the answer is -EBADF.
 */
bool wf_op_rest(wf_op *op);
bool wf_op_back(wf_op *op);

/* Before an attempt: lets others run if this coroutine's were all answered at once lately.
 * False: closed meanwhile; the answer is -EBADF.  [parks] */
bool wf_op_share(wf_op *op);

/* What an operation tries: a count >= 0, -EAGAIN (park and try again), or an error. */
typedef ssize_t (*wf_op_try)(wf_op *op, void *arg);

/* Would an attempt be allowed?  0, -ETIMEDOUT, -ECANCELED, -EBADF. */
int wf_op_check(wf_op *op);

/* Asks the system whether one of `events` (of poll) is there now. */
bool wf_fd_ready(wf_fd *f, short events);

/* Tries until it is answered otherwise than by -EINTR and -EAGAIN; parks in between.
 * -ETIMEDOUT, -ECANCELED, -EBADF.  The caller holds the turn.  [parks] */
ssize_t wf_op_attempt(wf_op *op, wf_op_try attempt, void *arg);

/* Closes the handle: waits end, later calls answer -EBADF.  The number itself goes as
 * soon as nobody uses it.  0 or -EBADF. */
enum wf_close { WF_CLOSE_GRACEFULLY, WF_CLOSE_RESET };
int wf_op_close(wf_op *op, enum wf_close how);

/* Gives up the turn that a borrow left behind; false: the handle is stale. */
bool wf_fd_return_turn(wf_m *mp, uint64_t id, enum wf_mode mode);

/* When the runtime has stopped, on the thread of weft_run: closes all that is open. */
void wf_fd_close_all(void);

#endif

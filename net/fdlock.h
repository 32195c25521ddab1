/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdlock.h - the life of a descriptor, and whose turn it is to read and to write.
 *
 * One word counts who is inside and says whether the descriptor is open; whoever may
 * use the descriptor's number has a place, so the number is closed, and the slot freed,
 * only when nobody can touch it any more.  (The idea is that of the fdMutex in Go's
 * internal/poll; the difference is that here a coroutine that is parked inside does not
 * hold up the close: the peer reads the end, and a port is free, as soon as the close
 * returns.)
 *
 * The word:
 *
 *   bit 0         OPEN      calls may enter; a zeroed lock is closed
 *   bits 1, 2     TURN      somebody has the turn to read, to write
 *   bits 3, 4     QUEUED    coroutines wait for that turn; changed under l->lock
 *   bits 8..35    users     inside, and may use the descriptor's number
 *   bits 36..63   parked    inside, and may not: they wait, or are closing
 *
 *   transition         by                          when
 *   closed -> OPEN     wf_fdlock_open              by the owner of the free slot: store
 *   users + 1          wf_fdlock_ref               OPEN, else it fails
 *   users + 1, TURN    wf_fdlock_take              OPEN and no TURN
 *   users + 1          wf_fdlock_take, busy        OPEN and TURN: then _wait
 *   users + 1          wf_fdlock_resume            OPEN, TURN (a borrow's), not QUEUED
 *   users -> parked    wf_fdlock_rest              OPEN, else it fails
 *   parked -> users    wf_fdlock_back              OPEN, else it fails
 *   TURN               wf_fdlock_claim             OPEN and no TURN
 *   TURN               wf_fdlock_join              OPEN and no TURN, under l->lock
 *   QUEUED             wf_fdlock_join              OPEN and TURN, under l->lock
 *   no QUEUED          wf_fdlock_part, hand_over   the queue is empty, under l->lock
 *   no TURN            wf_fdlock_release           not QUEUED; with users - 1
 *   no TURN            wf_fdlock_give              not QUEUED
 *   no TURN            hand_over                   under l->lock: all waiters had given up
 *   OPEN -> closed     wf_fdlock_close             by a user; once
 *   users - 1          wf_fdlock_drop, _release    OPEN, or other users remain
 *   users -> parked    wf_fdlock_drop, _release    closed, and the last user: CLOSE_FD
 *   parked - 1         wf_fdlock_leave             closed; the last one: FREE
 *   any -> closed      wf_fdlock_abandon           when the runtime has stopped: store
 *
 * All are compare-and-swaps of the whole word (acquire-release), so what a user did is
 * seen by whoever closes, and what the last one did by whoever opens the slot again.
 *
 * Who closes, who frees.  Once closed, nobody becomes a user any more (ref, take and
 * back ask for OPEN), so exactly one drop finds itself the last user: it closes the
 * number, keeping a place among the parked meanwhile.  Exactly one leave finds itself
 * the last of all: it frees the slot.
 *
 * The turn is handed to the oldest waiter directly: TURN stays set.  No wake-up is lost:
 *   - A waiter enters the queue and sets QUEUED under l->lock, by a CAS that finds OPEN
 *     and TURN.  A release that comes before it clears TURN: the CAS fails and the
 *     waiter takes the turn.  One that comes after finds QUEUED and goes through l->lock.
 *   - A close before that CAS makes it fail.  One after it finds QUEUED in the word and
 *     ends all waits under l->lock.
 *   - The deadline is read after that CAS.  Who changes a deadline stores it, passes a
 *     fence and looks at QUEUED: either the waiter reads the new one, or it is in the
 *     queue and its wait is ended, whereupon it looks again (wf_fdlock_deadline_changed).
 *     It then goes to the queue's end.
 *   - A waiter that gives up (deadline, cancellation) lost its token to no hand-over: the
 *     token has one winner (g.h).
 * One may wait for both turns, or for a turn and for readiness, with one token: the waiter
 * itself says whether the turn was given to it.
 */
#ifndef WF_FDLOCK_H
#define WF_FDLOCK_H

#include "runtime/poll_desc.h"
#include "runtime/wait.h"

typedef struct wf_fdlock {
    volatile AO_t word;     /* see the table */
    wf_lock       lock;     /* of the two queues and their QUEUED bits */
    int           fd;       /* the descriptor's number; fixed while open, for users only */
    wf_list       queue[2]; /* under lock; of waiters, by enum wf_mode */
} wf_fdlock;

/* One who waits for a turn; on its own stack. */
typedef struct wf_fdlock_waiter {
    wf_list   node; /* under l->lock */
    wf_g     *gp;
    wf_ticket ticket;
    bool      granted; /* under l->lock: the turn is its, for its token was fired for it */
} wf_fdlock_waiter;

#define WF_FDLOCK_OPEN       ((AO_t)1)
#define WF_FDLOCK_TURN(m)    ((AO_t)2 << (m))
#define WF_FDLOCK_QUEUED(m)  ((AO_t)8 << (m))
#define WF_FDLOCK_USER       ((AO_t)1 << 8)
#define WF_FDLOCK_PARKED     ((AO_t)1 << 36)
#define WF_FDLOCK_USERS(w)   (((w) >> 8) & (((AO_t)1 << 28) - 1))
#define WF_FDLOCK_PARKEDS(w) ((w) >> 36)

/* What a take found. */
enum wf_fdlock_take { WF_TAKE_CLOSED, WF_TAKE_TURN, WF_TAKE_BUSY };
/* What the caller of a drop or a release must do. */
enum wf_fdlock_duty { WF_DUTY_NONE, WF_DUTY_CLOSE_FD };

void wf_fdlock_open(wf_fdlock *l, int fd); /* the owner of a slot that nobody is inside of */

bool                wf_fdlock_ref(wf_fdlock *l); /* false: closed */
enum wf_fdlock_take wf_fdlock_take(wf_fdlock *l, enum wf_mode mode);
/* By whom a borrow left the turn: a user again, with it, unless somebody waits for it. */
bool                wf_fdlock_resume(wf_fdlock *l, enum wf_mode mode);
enum wf_fdlock_duty wf_fdlock_drop(wf_fdlock *l);
/* Gives the turn on, and drops. */
enum wf_fdlock_duty wf_fdlock_release(wf_m *mp, wf_fdlock *l, enum wf_mode mode);
/* After WF_DUTY_CLOSE_FD, or when back failed.  True: the caller must free the slot. */
bool wf_fdlock_leave(wf_fdlock *l);

bool wf_fdlock_rest(wf_fdlock *l); /* a user is about to park; false: closed, still a user */
bool wf_fdlock_back(wf_fdlock *l); /* it is to go on; false: closed, still parked */

/*
 * By a parked one: waits for the turn until *deadline (a wf_poll_side's).  0: it is
 * the caller's; -ETIMEDOUT, -ECANCELED, -EBADF.  [parks]
 */
int wf_fdlock_wait(wf_m **mp, wf_fdlock *l, enum wf_mode mode, const volatile AO_t *deadline);
/*
 * The same in parts, by one who is inside and waits for more than this turn.  join: 0 the
 * turn is the caller's; -EAGAIN it waits for it by *w, as wait t of gp, and must part after
 * the wait; -EBADF.  part: true: the turn is the caller's.
 */
int  wf_fdlock_join(wf_fdlock *l, enum wf_mode mode, wf_fdlock_waiter *w, wf_g *gp, wf_ticket t);
bool wf_fdlock_part(wf_fdlock *l, enum wf_mode mode, wf_fdlock_waiter *w);
/* By one who is inside, and stays. */
bool wf_fdlock_claim(wf_fdlock *l, enum wf_mode mode);          /* the turn, if it is free */
void wf_fdlock_give(wf_m *mp, wf_fdlock *l, enum wf_mode mode); /* the turn on */
void wf_fdlock_deadline_changed(wf_m *mp, wf_fdlock *l, enum wf_mode mode);

/* By a user, who stays one: later calls fail, waits for a turn end.  False: it was closed. */
bool wf_fdlock_close(wf_m *mp, wf_fdlock *l);

/* After the close, by the one who closed: until no other user is left.  They are in a call
 * that does not block, and do not become users again, so this is soon. */
void wf_fdlock_await_users(const wf_fdlock *l);

/* When the runtime has stopped: whoever is inside never runs again.  WF_DUTY_CLOSE_FD if
 * the number is open still; *used: the slot is to be freed. */
enum wf_fdlock_duty wf_fdlock_abandon(wf_fdlock *l, bool *used);

/* A wf_poll_side's deadline as a weft_time: there 0 is none and -1 one that has passed. */
static inline weft_time wf_fdlock_deadline(const volatile AO_t *deadline)
{
    int64_t d = (int64_t)AO_load(deadline);
    return d == 0 ? WEFT_FOREVER : d;
}

static inline bool wf_fdlock_passed(const volatile AO_t *deadline)
{
    weft_time d = wf_fdlock_deadline(deadline);
    return WF_UNLIKELY(d != WEFT_FOREVER) && d <= wf_now();
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completed.c - completions: taking them from a ring and into the inboxes; see ring.h, inbox.h.
 *
 * Who takes them is indifferent: the M whose ring it is, another that epoll told, sysmon.
 */
#ifdef WEFT_URING

#include "completed.h"

#include "sys.h"

#include <sys/mman.h>
#include <sys/resource.h>

enum {
    INBOX_MOST = 16, /* buffers or descriptors unread; some more are on their way then */
    AHEAD = 4,
    OVER_MOST = 8,
    STRAYS_MOST = 4,
    LINKS_MOST = 1 << 24
};

/* Requests to be ended once no lock is held. */
struct over {
    uint64_t key[OVER_MOST];
    int      n;
};

/* Under pd->lock: the request's last completion came.  What only a system call can tell truly
 * (there is no memory, no descriptor, no buffer) the reader's next attempt will tell. */
static void ended(wf_uring *u, wf_poll_desc *pd, int res, enum wf_uring_what what)
{
    pd->inbox.ring = NULL;
    pd->inbox.ending = pd->inbox.more = false;
    switch (-res) {
    case ENOBUFS:
        if (what == WF_URING_RECEIVE && pd->inbox.count < INBOX_MOST)
            wf_ring_grow(u); /* but not for one whose reader is slow */
        break;
    case ECANCELED:
    case EMFILE:
    case ENFILE:
        break;
    case EINVAL:
    case EOPNOTSUPP:
    case ENOMEM:
    case EAGAIN:
    case EFAULT:
    case EBADF:
        pd->inbox.by_ring = false; /* asked again it would say so again */
        break;
    default:
        if (res < 0 && what == WF_URING_RECEIVE)
            pd->inbox.error = res;
    }
}

/* ---- Accepted descriptors -------------------------------------------------------------- */

static struct {
    /* [a descriptor in an inbox], atomic: the next one; -1: it is the last.  Under the pd->lock
     * of that inbox; from one inbox to another a number goes through the kernel alone. */
    volatile unsigned      *next;
    volatile unsigned char *own; /* [a descriptor]: atomic: see wf_uring_claim */
    size_t                  n;
} links;

/* A descriptor that was accepted and not yet asked for must be kept whatever happens, so the
 * room for its link is reserved; pages of it are there once they are used. */
int wf_ring_reserve_links(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -errno;
    links.n = limit.rlim_max < LINKS_MOST ? limit.rlim_max : LINKS_MOST;
    void *room = wf_map_room(links.n * (sizeof(int) + 1));
    if (room == MAP_FAILED)
        return -ENOMEM;
    links.next = room;
    links.own = (unsigned char *)(links.next + links.n);
    return 0;
}

void wf_ring_free_links(void)
{
    if (links.next)
        munmap((void *)links.next, links.n * (sizeof(int) + 1));
    links.next = NULL;
}

bool wf_uring_claim(int fd)
{
    if (!wf_uring_on() || (size_t)fd >= links.n)
        return false;
    AO_char_store_release(&links.own[fd], 1); /* pairs with wf_uring_has, and across a reuse */
    return true;
}

void wf_uring_disclaim(int fd)
{
    if (wf_uring_on() && (size_t)fd < links.n && AO_char_load(&links.own[fd]))
        AO_char_store_release(&links.own[fd], 0); /* pairs with wf_uring_has */
}

bool wf_uring_has(int fd)
{
    return wf_uring_on() && (size_t)fd < links.n &&
           AO_char_load_acquire(&links.own[fd]); /* pairs with claim, disclaim */
}

/* Under pd->lock. */
static void put_fd(wf_inbox *in, int fd)
{
    AO_int_store_release(&links.next[fd], (unsigned)-1); /* pairs with wf_uring_take_fd */
    if (in->last >= 0)
        AO_int_store_release(&links.next[in->last], (unsigned)fd); /* the same */
    else
        in->first = fd;
    in->last = fd;
    in->count++;
}

int wf_uring_take_fd(wf_inbox *in)
{
    int fd = in->first;
    in->first = (int)AO_int_load_acquire(&links.next[fd]); /* pairs with put_fd */
    if (in->first < 0)
        in->last = -1;
    in->count--;
    return fd;
}

/* ---- Into the inbox -------------------------------------------------------------------- */

/* Under pd->lock: true: it lies in the inbox. */
static bool keep(wf_poll_desc *pd, wf_buffer *b, int fd)
{
    if (pd->closing || (b && b->n == 0) || fd >= (int)links.n)
        return false;
    if (b)
        wf_inbox_put(&pd->inbox, b);
    else
        put_fd(&pd->inbox, fd);
    return true;
}

/* Under pd->lock.  Too much lies unread; or the completions wake a thread that sleeps, and
 * another does the work: then the reader is to ask the ring of the one that runs it. */
static void end_early(wf_uring *u, wf_poll_desc *pd, uint64_t data, struct over *over)
{
    wf_inbox *in = &pd->inbox;
    in->strays = AO_load(&u->asleep) ? in->strays + 1 : 0;
    if ((in->count < INBOX_MOST && in->strays < STRAYS_MOST) || in->ending || !in->ring ||
        over->n == OVER_MOST)
        return;
    in->ending = true;
    in->strays = 0;
    over->key[over->n++] = data;
}

/* Of a receive or an accept. */
static void news(wf_uring *u, const struct io_uring_cqe *cqe, struct over *over, wf_glist *out)
{
    uint64_t           data = cqe->user_data;
    enum wf_uring_what what = data & WF_KIND_MASK;
    wf_poll_desc      *pd = wf_poll_cache_at((unsigned)(data >> WF_KIND_BITS & 0xffffff));
    wf_buffer         *b = NULL;
    int                fd = what == WF_URING_ACCEPT ? cqe->res : -1;
    bool               kept = false, last = !(cqe->flags & IORING_CQE_F_MORE);
    if (cqe->flags & IORING_CQE_F_BUFFER)
        b = wf_ring_used(u, cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
    wf_spin_acquire(&pd->lock);
    if (wf_ring_key(pd) ==
        (data & ~(uint64_t)WF_KIND_MASK)) { /* else of one that was closed since */
        kept = (b || fd >= 0) && keep(pd, b, fd);
        if (pd->inbox.ring == u) { /* else of an orphan: it brings nothing, but that it ended */
            pd->inbox.more = b && cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
            if (last)
                ended(u, pd, cqe->res, what);
            end_early(u, pd, data, over);
        } else if (last) {
            pd->inbox.orphan = false;
        }
        if (!pd->closing)
            wf_poll_fire(pd, WF_READ, WF_EVENT, out);
    }
    wf_spin_release(&pd->lock);
    if (b && !kept)
        wf_uring_give(b);
    if (fd >= 0 && !kept)
        wf_sys_close(fd);
    if (last)
        AO_fetch_and_add_full(&u->out, (AO_t)-1); /* pairs with all_told in uring.c */
}

/* After the token is fired s may be gone. */
static void sent(uint64_t data, int res, wf_glist *out)
{
    wf_uring_sent *s = (void *)(uintptr_t)(data & ~(uint64_t)WF_KIND_MASK);
    wf_g          *gp = (wf_g *)AO_load_acquire(&s->gp); /* pairs with wf_uring_send */
    s->result = res;
    if (wf_token_fire(gp, s->ticket, WF_EVENT) == WF_WON_PARKED)
        wf_glist_push(out, gp);
}

static void complete(wf_uring *u, const struct io_uring_cqe *cqe, struct over *over, wf_glist *out)
{
    if ((cqe->user_data & WF_KIND_MASK) == WF_URING_SENT)
        sent(cqe->user_data, cqe->res, out);
    else
        news(u, cqe, over, out);
}

static void near(const struct io_uring *io, unsigned head, unsigned tail)
{
    const struct io_uring_cq *cq = &io->cq;
    uint64_t                  far = cq->cqes[(head + AHEAD) & *cq->kring_mask].user_data;
    uint64_t                  next = cq->cqes[(head + AHEAD / 2) & *cq->kring_mask].user_data;
    if (head + AHEAD < tail && (far & WF_KIND_MASK) != WF_URING_SENT)
        wf_poll_near(far >> WF_KIND_BITS);
    if (head + AHEAD / 2 < tail && (next & WF_KIND_MASK) != WF_URING_SENT)
        wf_poll_near_g(next >> WF_KIND_BITS);
}

int wf_ring_take(wf_uring *u, unsigned most, wf_glist *out)
{
    struct over over = { .n = 0 };
    unsigned    n = 0;
    wf_spin_acquire(&u->cq);
    if (wf_ring_flags(u) & IORING_SQ_CQ_OVERFLOW)
        io_uring_get_events(&u->io);
    unsigned head = *u->io.cq.khead;
    unsigned tail = io_uring_smp_load_acquire(u->io.cq.ktail); /* pairs with the kernel's */
    for (; head + n != tail && n < most; n++) {
        near(&u->io, head + n, tail);
        complete(u, &u->io.cq.cqes[(head + n) & *u->io.cq.kring_mask], &over, out);
    }
    io_uring_cq_advance(&u->io, n);
    wf_spin_release(&u->cq);
    for (int i = 0; i < over.n; i++)
        wf_ring_cancel(u, over.key[i]);
    return (int)n;
}

int wf_ring_take_all(wf_uring *u, wf_glist *out)
{
    int n = 0;
    while (wf_ring_any(u))
        n += wf_ring_take(u, WF_RING_COMPLETIONS, out);
    return n;
}

void wf_ring_flush(wf_uring *u, wf_glist *out)
{
    uint64_t    data[WF_RING_ENTRIES];
    struct over over = { .n = 0 };
    wf_lock_acquire(&u->sq);
    int n = wf_ring_submit(u) < 0 ? wf_ring_retract(u, data) : 0;
    wf_lock_release(&u->sq);
    if (n > 0)
        AO_store(&u->direct, WF_RING_DIRECT);
    for (int i = 0; i < n; i++) {
        bool                is_send = (data[i] & WF_KIND_MASK) == WF_URING_SENT;
        struct io_uring_cqe none = { .user_data = data[i], .res = is_send ? -EINTR : -ENOMEM };
        complete(u, &none, &over, out);
    }
}

#endif

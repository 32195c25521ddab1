/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/conn.c - see conn.h.  Runs in the connection's coroutine; frames stay small, for
 * there are as many as connections.
 *
 * A message of up to 64 KiB is one write and one read.  Of a longer one only 64 KiB are ever
 * under way: an echo server stops reading when nobody reads what it sends, so a client that
 * wrote it all first would wait for the server and the server for it.
 *
 * Where nothing but the message is under way, a read asks for a few bytes more.  So a byte too
 * many shows at once, and the whole message is a short read: it tells weft that the socket is
 * empty, and the next read waits straight away instead of trying in vain first.
 */
#include "conn.h"

#include <errno.h>
#include <string.h>

#include "pattern.h"

#define UNDER_WAY_BYTES ((size_t)65536)

static unsigned char *sent_bytes(struct conn *cn)
{
    return (unsigned char *)(cn + 1);
}

static unsigned char *read_bytes(struct conn *cn)
{
    return sent_bytes(cn) + cn->load->piece;
}

/* ---- Failures -------------------------------------------------------------- */

struct place {
    uint64_t request;
    uint64_t base;
    size_t   offset; /* in the message */
};

static void write_failed(struct conn *cn, const struct place *at, ssize_t err)
{
    struct errors *e = &cn->load->errors;

    if (err == -ECANCELED) {
        return; /* we were told to stop */
    }
    errors_add(e, err == -ETIMEDOUT ? ERROR_TIMEOUT : ERROR_WRITE,
               "connection %u, request %llu, byte %zu: write: %s", cn->id,
               (unsigned long long)at->request, at->offset, strerror((int)-err));
}

static void too_many(struct conn *cn, size_t bytes)
{
    errors_add(&cn->load->errors, ERROR_EXTRA, "connection %u: %zu bytes more than were sent",
               cn->id, bytes);
}

static void wrong_byte(struct conn *cn, const struct place *at, size_t right)
{
    errors_add(&cn->load->errors, ERROR_MISMATCH,
               "connection %u, request %llu: byte %zu of %u is not the one sent", cn->id,
               (unsigned long long)at->request, at->offset + right + 1,
               (unsigned)cn->load->options->bytes);
}

/* All bytes that came were right, but too few came: n says why. */
static void read_failed(struct conn *cn, const struct place *at, ssize_t n, size_t done)
{
    const unsigned long long request = at->request;
    const size_t             came = at->offset + done;
    const unsigned           bytes = cn->load->options->bytes;
    struct errors           *e = &cn->load->errors;

    switch (n) {
    case 0:
        errors_add(e, ERROR_EOF,
                   "connection %u, request %llu: the stream ended after %zu of %u "
                   "bytes",
                   cn->id, request, came, bytes);
        break;
    case -ETIMEDOUT:
        errors_add(e, ERROR_TIMEOUT, "connection %u, request %llu: %zu of %u bytes came in time",
                   cn->id, request, came, bytes);
        break;
    case -ECANCELED:
        break; /* we were told to stop */
    default:
        errors_add(e, ERROR_READ, "connection %u, request %llu: read after %zu of %u bytes: %s",
                   cn->id, request, came, bytes, strerror((int)-n));
    }
}

/* ---- A request -------------------------------------------------------------- */

static bool send_piece(struct conn *cn, const struct place *at, size_t n)
{
    pattern_fill(sent_bytes(cn), n, at->base, at->offset);
    ssize_t written = weft_conn_write(cn->handle, sent_bytes(cn), n);
    if (written < 0) {
        write_failed(cn, at, written);
        return false;
    }
    return true;
}

/* n bytes, and up to `spare` more if they are there; *why is what the last read returned. */
static size_t read_at_least(struct conn *cn, size_t n, size_t spare, ssize_t *why)
{
    size_t done = 0;

    do {
        *why = weft_conn_read(cn->handle, read_bytes(cn) + done, n - done + spare);
        done += *why > 0 ? (size_t)*why : 0;
    } while (*why > 0 && done < n);
    return done;
}

static bool read_piece(struct conn *cn, const struct place *at, size_t n)
{
    const size_t spare = n == cn->load->options->bytes ? CONN_SPARE_BYTES : 0;
    ssize_t      why;
    const size_t done = read_at_least(cn, n, spare, &why);
    const size_t checked = done < n ? done : n;
    const size_t right = pattern_check(read_bytes(cn), checked, at->base, at->offset);

    if (right < checked) {
        wrong_byte(cn, at, right);
        return false;
    }
    if (done < n) {
        read_failed(cn, at, why, done);
        return false;
    }
    if (done > n) {
        too_many(cn, done - n);
        return false;
    }
    return true;
}

/* The bytes of the piece that stands there: the last may be shorter. */
static size_t piece_bytes(const struct conn *cn, const struct place *at)
{
    const size_t left = cn->load->options->bytes - at->offset;

    return left < cn->load->piece ? left : cn->load->piece;
}

/* As far as may be under way while the reader is at `seen`. */
static bool send_ahead(struct conn *cn, struct place *sent, size_t seen)
{
    while (sent->offset < cn->load->options->bytes && sent->offset - seen < UNDER_WAY_BYTES) {
        const size_t n = piece_bytes(cn, sent);
        if (!send_piece(cn, sent, n)) {
            return false;
        }
        sent->offset += n;
    }
    return true;
}

bool conn_exchange(struct conn *cn, uint64_t request)
{
    const uint64_t base = pattern_base(cn->id, request);
    struct place   sent = { request, base, 0 };
    struct place   seen = { request, base, 0 };

    while (seen.offset < cn->load->options->bytes) {
        const size_t n = piece_bytes(cn, &seen);
        if (!send_ahead(cn, &sent, seen.offset) || !read_piece(cn, &seen, n)) {
            return false;
        }
        seen.offset += n;
    }
    return true;
}

/* ---- The end ---------------------------------------------------------------- */

void conn_finish(struct conn *cn)
{
    struct errors *e = &cn->load->errors;

    weft_conn_set_deadline(cn->handle, weft_after(LOAD_REPLY_LIMIT_S * WEFT_S));
    weft_conn_close_write(cn->handle);
    ssize_t n = weft_conn_read(cn->handle, read_bytes(cn), cn->load->piece);
    if (n > 0) {
        too_many(cn, (size_t)n);
    } else if (n < 0 && n != -ETIMEDOUT) { /* a server may keep its half open: no byte is lost */
        errors_add(e, ERROR_READ, "connection %u: read of the end: %s", cn->id, strerror((int)-n));
    }
    weft_conn_close(cn->handle);
}

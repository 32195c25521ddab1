/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/writev_test.c - vectors, and writes that end half way: what *done counts is what the peer
 * reads, and not a byte is lost or doubled when the rest follows.
 */
#include "net_support.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <netinet/in.h>

static pair p;

static char expected(size_t at)
{
    return (char)(at * 13 + at / 251);
}

static void make_small(weft_conn c)
{
    int bytes = 4096;
    CHECK_IS(setsockopt(weft_conn_fd(c), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

/* Reads all there is until the end, and checks it. */
static void read_expected(void *arg)
{
    size_t *total = arg, at = 0;
    char    buf[5000];
    ssize_t n;
    while ((n = weft_conn_read(p.b, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            CHECK_IS(buf[i], expected(at + (size_t)i));
        at += (size_t)n;
    }
    CHECK_IS(n, 0);
    CHECK_IS(at, *total);
}

/* n elements of growing size, some of them empty, over data. */
static size_t make_vector(struct iovec *iov, int n, char *data, size_t most)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        size_t len = i % 5 == 3 ? 0 : (size_t)i * 37 % most;
        iov[i] = (struct iovec){ data + at, len };
        for (size_t j = 0; j < len; j++)
            data[at + j] = expected(at + j);
        at += len;
    }
    return at;
}

static void send_vector_of(int n, size_t most)
{
    char          *data = malloc((size_t)n * most);
    struct iovec  *iov = calloc((size_t)n, sizeof *iov), *copy = calloc((size_t)n, sizeof *iov);
    size_t         total = make_vector(iov, n, data, most), done = 0;
    weft_waitgroup wg = { { 0 } };
    memcpy(copy, iov, (size_t)n * sizeof *iov);
    p = connect_pair();
    make_small(p.a);
    spawn(&wg, read_expected, &total);
    CHECK_IS(weft_conn_writev(p.a, iov, n, &done), total);
    CHECK_IS(done, total);
    CHECK(memcmp(iov, copy, (size_t)n * sizeof *iov) == 0); /* the caller's, unchanged */
    CHECK_IS(weft_conn_close(p.a), 0);
    join(&wg);
    CHECK_IS(weft_conn_close(p.b), 0);
    free(data);
    free(iov);
    free(copy);
}

static int vectors(void *arg)
{
    (void)arg;
    send_vector_of(1, 2);
    send_vector_of(2, 50);
    send_vector_of(17, 9000);
    send_vector_of(100, 20000);           /* stops within elements, again and again */
    send_vector_of(3 * IOV_MAX + 1, 100); /* more than the system takes at once */
    return 0;
}

Test(writev, a_vector_goes_whole_and_in_order)
{
    run_on_1_2_4(vectors);
}

static int bad_vectors(void *arg)
{
    struct iovec huge[2] = { { huge, SSIZE_MAX }, { huge, 1 } };
    struct iovec empty[3] = { { NULL, 0 } };
    struct iovec nowhere[1] = { { (void *)8, 100 } };
    size_t       done = 9;
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_writev(p.a, huge, -1, &done), -EINVAL);
    CHECK_IS(done, 0);
    CHECK_IS(weft_conn_writev(p.a, huge, 2, NULL), -EINVAL);
    CHECK_IS(weft_conn_writev(p.a, NULL, 1, NULL), -EINVAL);
    CHECK_IS(weft_conn_writev(p.a, empty, 3, &done), 0);
    CHECK_IS(weft_conn_writev(p.a, nowhere, 1, &done), -EFAULT);
    CHECK_IS(done, 0);
    return 0;
}

Test(writev, what_is_no_vector_is_refused)
{
    run_on(1, bad_vectors, NULL);
}

/* The reader starts after the write was given up; the writer then sends the rest. */
static int give_up_and_resume(void *arg)
{
    enum { N = 400 };
    static char    data[N * 9000];
    struct iovec   iov[N];
    size_t         total = make_vector(iov, N, data, 9000), done = 0, rest = 0;
    weft_waitgroup wg = { { 0 } };
    bool           vector = arg != NULL;
    p = connect_pair();
    make_small(p.a);
    CHECK_IS(weft_conn_set_write_deadline(p.a, weft_after(30 * WEFT_MS)), 0);
    CHECK_IS(vector ? weft_conn_writev(p.a, iov, N, &done)
                    : weft_conn_write_part(p.a, data, total, &done),
             -ETIMEDOUT);
    CHECK(done > 0 && done < total);
    CHECK_IS(weft_conn_set_write_deadline(p.a, WEFT_FOREVER), 0);
    spawn(&wg, read_expected, &total);
    CHECK_IS(weft_conn_write_part(p.a, data + done, total - done, &rest), total - done);
    CHECK_IS(weft_conn_close(p.a), 0);
    join(&wg);
    return 0;
}

Test(writev, a_write_given_up_counts_what_went)
{
    run_on(1, give_up_and_resume, NULL);
    run_on(2, give_up_and_resume, "vector");
    run_on(4, give_up_and_resume, "vector");
}

static int broken(void *arg)
{
    static char  data[8 << 20];
    struct iovec iov[2] = { { data, sizeof data / 2 },
                            { data + sizeof data / 2, sizeof data / 2 } };
    size_t       done = 0;
    char         byte;
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_write(p.a, "x", 1), 1);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    CHECK_IS(weft_conn_abort(p.b), 0);
    ssize_t r = weft_conn_writev(p.a, iov, 2, &done);
    CHECK(r == -ECONNRESET || r == -EPIPE);
    CHECK(done < sizeof data);
    return 0;
}

Test(writev, a_broken_connection_ends_it_with_an_error)
{
    run_on_1_2_4(broken);
}

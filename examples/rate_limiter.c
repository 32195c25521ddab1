/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/rate_limiter.c - a token bucket: bursts up to its size, then one request a tick.
 *
 * The bucket is a channel of tokens (elements of no size); its capacity is the largest burst.  A
 * request takes a token, at once or not at all (WEFT_NOWAIT), or waits for one.  A ticker puts one
 * token in each millisecond and drops it where the bucket is full.
 */
#include <stdio.h>
#include <weft.h>

#define BURST  3
#define PERIOD (1 * WEFT_MS)

struct limiter {
    weft_chan  *bucket;
    weft_timer *ticker;
};

/* False where the bucket is full: the token is dropped. */
static bool add_token(weft_chan *bucket)
{
    return weft_chan_send_until(bucket, "", WEFT_NOWAIT) == 0;
}

/* Ends when main has returned: the receive is -ECANCELED then. */
static void refill(void *arg)
{
    const struct limiter *limiter = arg;

    while (weft_chan_recv(weft_timer_chan(limiter->ticker), NULL) == 0) {
        (void)add_token(limiter->bucket);
    }
    weft_timer_free(limiter->ticker);
    weft_chan_unref(limiter->bucket);
}

/* Requests that take a token by `deadline`, of n. */
static int requests(weft_chan *bucket, int n, weft_time deadline)
{
    int allowed = 0;

    for (int i = 0; i < n; i++) {
        allowed += weft_chan_recv_until(bucket, NULL, deadline) == 0;
    }
    return allowed;
}

static int start_refill(weft_chan *bucket)
{
    struct limiter limiter = { weft_chan_ref(bucket), weft_timer_new(weft_after(PERIOD), PERIOD) };
    int            err = -1;

    if (limiter.ticker != NULL) {
        err = weft_go(refill, &limiter, sizeof(limiter));
    }
    if (err < 0) {
        weft_timer_free(limiter.ticker);
        weft_chan_unref(bucket);
    }
    return err;
}

static int run(void *arg)
{
    weft_chan *bucket = weft_chan_new(0, BURST);
    int        tokens = 0;

    (void)arg;
    for (int i = 0; bucket != NULL && i < 2 * BURST; i++) {
        tokens += add_token(bucket);
    }
    printf("tokens after a rest: %d\n", tokens);
    printf("a burst of 5: %d allowed at once\n", requests(bucket, 5, WEFT_NOWAIT));

    weft_time start = weft_now();
    if (bucket == NULL || start_refill(bucket) < 0) {
        fprintf(stderr, "rate_limiter: cannot start: out of memory\n");
        return 1;
    }
    printf("20 that wait: %d allowed, ", requests(bucket, 20, WEFT_FOREVER));
    printf("%s\n", weft_now() - start < 20 * PERIOD ? "too fast" : "none before its tick");
    weft_chan_unref(bucket);
    return 0;
}

int main(void)
{
    return weft_run(NULL, run, NULL) == 0 ? 0 : 1;
}

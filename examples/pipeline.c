/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/pipeline.c - count, square, collect: three stages, joined by typed channels.
 *
 * A stage ends in one of two ways.  Its input is closed: it closes its output, and so the end
 * runs down the pipeline.  Its output is closed, by a reader who has enough: the send is -EPIPE
 * (Go panics here), it closes its input, and so the end runs up the pipeline.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

WEFT_CHAN_OF(numbers, int64_t);

struct source {
    numbers out;
    int64_t last;
};

struct stage {
    numbers in, out;
};

static int count(void *arg)
{
    const struct source *source = arg;

    for (int64_t n = 1; n <= source->last && numbers_send(source->out, n) == 0; n++) {
    }
    weft_chan_close(source->out.chan);
    return 0;
}

static int square(void *arg)
{
    const struct stage *stage = arg;
    int64_t             n;

    while (numbers_recv(stage->in, &n) == 0 && numbers_send(stage->out, n * n) == 0) {
    }
    weft_chan_close(stage->in.chan); /* closed already, or not: -EPIPE does no harm */
    weft_chan_close(stage->out.chan);
    return 0;
}

/* The reader of all there is. */
static void print_all(numbers in)
{
    const char *before = "";
    int64_t     n;

    while (numbers_recv(in, &n) == 0) {
        printf("%s%lld", before, (long long)n);
        before = " ";
    }
    printf("\n");
}

/* The reader who has enough before the source has ended. */
static void print_first_above(numbers in, int64_t bound)
{
    int64_t n;

    while (numbers_recv(in, &n) == 0 && n <= bound) {
    }
    weft_chan_close(in.chan);
    printf("the first square above %lld: %lld\n", (long long)bound, (long long)n);
}

/* Joins the stages, lets `bound` say who reads (0: all), and waits until the stages have ended. */
static int run_pipeline(int64_t last, int64_t bound)
{
    weft_group    group = WEFT_GROUP_INIT;
    numbers       raw = numbers_new(0), squares = numbers_new(4);
    struct source source = { raw, last };
    struct stage  stage = { raw, squares };
    int           err = -ENOMEM;

    if (raw.chan != NULL && squares.chan != NULL) {
        err = weft_group_go(&group, count, &source, sizeof(source));
    }
    if (err == 0) {
        err = weft_group_go(&group, square, &stage, sizeof(stage));
    }
    if (err == 0) {
        bound == 0 ? print_all(squares) : print_first_above(squares, bound);
    } else {
        weft_group_cancel(&group);
    }
    int waited = weft_group_wait(&group, WEFT_FOREVER, NULL); /* the channels are still in use */
    weft_chan_unref(raw.chan);
    weft_chan_unref(squares.chan);
    return err < 0 ? err : waited;
}

static int run(void *arg)
{
    (void)arg;
    int err = run_pipeline(10, 0);
    return err < 0 ? err : run_pipeline(INT64_C(1000000), 1000);
}

int main(void)
{
    int err = weft_run(NULL, run, NULL);

    if (err < 0) {
        fprintf(stderr, "pipeline: cannot run: %s\n", strerror(-err));
    }
    return err == 0 ? 0 : 1;
}

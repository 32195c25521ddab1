/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/worker_pool.c - four workers take 1,000 jobs from one channel and send the results to
 * another.
 *
 * A job goes to exactly one worker, whoever is free.  The queue is closed when all jobs are in it:
 * a worker that finds it closed and empty ends, and the group knows when all have.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

#define WORKERS 4
#define JOBS    1000

struct result {
    int     job;
    int64_t square;
};

WEFT_CHAN_OF(jobs, int);
WEFT_CHAN_OF(results, struct result);

struct pool {
    jobs       todo;
    results    done;
    weft_group workers;
};

static int work(void *arg)
{
    struct pool *pool = arg;
    int          job;

    while (jobs_recv(pool->todo, &job) == 0) {
        struct result result = { job, (int64_t)job * job };
        int           err = results_send(pool->done, result);
        if (err < 0) {
            return err; /* the first worker's error is what weft_group_wait tells */
        }
    }
    return 0;
}

static int feed(void *arg)
{
    struct pool *pool = arg;
    int          err = 0;

    for (int job = 1; job <= JOBS && err == 0; job++) {
        err = jobs_send(pool->todo, job);
    }
    weft_chan_close(pool->todo.chan);
    return err;
}

static int start(struct pool *pool)
{
    int err = weft_group_go(&pool->workers, feed, pool, 0); /* pool outlives them: no copy */

    for (int i = 0; i < WORKERS && err == 0; i++) {
        err = weft_group_go(&pool->workers, work, pool, 0);
    }
    return err;
}

/* One result for each job: how often each came, and the sum. */
static void collect(struct pool *pool)
{
    int           times[JOBS + 1] = { 0 }, once = 0;
    int64_t       sum = 0;
    struct result result;

    for (int i = 0; i < JOBS && results_recv(pool->done, &result) == 0; i++) {
        times[result.job]++;
        sum += result.square;
    }
    for (int job = 1; job <= JOBS; job++) {
        once += times[job] == 1;
    }
    printf("%d of %d jobs done once by %d workers\n", once, JOBS, WORKERS);
    printf("sum of the squares: %lld\n", (long long)sum);
}

static int run(void *arg)
{
    struct pool pool = { jobs_new(0), results_new(16), WEFT_GROUP_INIT };
    int         err = -ENOMEM, first = 0;

    (void)arg;
    if (pool.todo.chan != NULL && pool.done.chan != NULL) {
        err = start(&pool);
    }
    if (err == 0) {
        collect(&pool);
    } else {
        fprintf(stderr, "worker_pool: cannot start: %s\n", strerror(-err));
        weft_group_cancel(&pool.workers);
    }
    int waited = weft_group_wait(&pool.workers, WEFT_FOREVER, &first);
    weft_chan_unref(pool.todo.chan);
    weft_chan_unref(pool.done.chan);
    return err < 0 || waited < 0 || first < 0 ? 1 : 0;
}

int main(void)
{
    return weft_run(NULL, run, NULL) == 0 ? 0 : 1;
}

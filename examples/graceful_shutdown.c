/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/graceful_shutdown.c - SIGTERM: take nothing new, finish what was taken, then go.
 *
 *     graceful_shutdown [stuck]
 *
 * One select waits for the signal and for work.  What was taken is finished within a grace; after
 * that, or at a second signal, the rest is cancelled: with `stuck` one job would take an hour.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

#define WORKERS 2
#define JOB     (3 * WEFT_MS)
#define GRACE   (2 * WEFT_S)

struct service {
    weft_chan *queue;   /* of int64_t: how long a job takes */
    weft_chan *signals; /* of int */
    weft_chan *drained; /* closed when all workers have ended */
    weft_group workers;
    int        taken;
    atomic_int finished;
};

static int work(void *arg)
{
    struct service *service = arg;
    int64_t         takes_ns;

    while (weft_chan_recv(service->queue, &takes_ns) == 0 && weft_sleep(takes_ns) == 0) {
        service->finished++;
    }
    return 0; /* the queue is closed and empty, or we are cancelled */
}

/* Turns the group's end into something that a select can wait for. */
static void watch(void *arg)
{
    struct service *service = arg;

    if (weft_group_wait(&service->workers, WEFT_FOREVER, NULL) == 0) {
        weft_chan_close(service->drained);
    }
}

static void take(struct service *service, int64_t takes_ns)
{
    if (weft_chan_send_until(service->queue, &takes_ns, WEFT_NOWAIT) == 0 &&
        service->taken++ == 0) {
        puts("running");
    }
}

/* A job each millisecond, until a signal arrives. */
static void take_jobs(struct service *service, weft_timer *ticks)
{
    weft_case cases[] = { { .chan = service->signals }, { .chan = weft_timer_chan(ticks) } };

    while (weft_select(cases, 2, WEFT_FOREVER) == 1) {
        take(service, JOB);
    }
    weft_timer_free(ticks);
    puts("signal: no new jobs");
}

static void drain(struct service *service)
{
    weft_case cases[] = { { .chan = service->drained }, { .chan = service->signals } };

    weft_chan_close(service->queue);
    int which = weft_select(cases, 2, weft_after(GRACE));
    if (which != 0) {
        printf("%s: the rest is cancelled\n", which == 1 ? "second signal" : "the grace is over");
        weft_group_cancel(&service->workers);
        weft_chan_recv(service->drained, NULL); /* the group must not go while it has members */
    }
}

static int start(struct service *service)
{
    int err = weft_signal_notify(service->signals, SIGTERM);

    for (int i = 0; i < WORKERS && err == 0; i++) {
        err = weft_group_go(&service->workers, work, service, 0);
    }
    return err == 0 ? weft_go(watch, service, 0) : err;
}

static int run(void *argument)
{
    static struct service service; /* outlives every coroutine */
    weft_timer           *ticks = weft_timer_new(weft_after(WEFT_MS), WEFT_MS);

    service.queue = weft_chan_new(sizeof(int64_t), 8);
    service.signals = weft_chan_new(sizeof(int), 1);
    service.drained = weft_chan_new(0, 0);
    if (!ticks || !service.queue || !service.signals || !service.drained || start(&service) < 0) {
        fprintf(stderr, "graceful_shutdown: cannot start: out of memory\n");
        return 1;
    }
    if (argument != NULL && strcmp(argument, "stuck") == 0) {
        take(&service, 3600 * WEFT_S);
    }
    take_jobs(&service, ticks);
    drain(&service);
    puts(service.finished == service.taken ? "all that was taken is done" : "some was not done");
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return weft_run(NULL, run, argc == 2 ? argv[1] : NULL) == 0 ? 0 : 1;
}

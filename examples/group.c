/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/group.c - groups: start several, learn the first error, cancel the rest, wait with a
 * deadline.
 *
 * A group's members return a value; the first negative one is the group's.  An error cancels
 * nobody by itself: whoever wants that says weft_group_cancel, and every call of a cancelled
 * member that would wait returns -ECANCELED at once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

struct job {
    int64_t takes_ns;
    int     result;
};

/* Sleeps as long as the job takes; cancelled, it ends at once and says so. */
static int work(void *arg)
{
    const struct job *job = arg;
    int               err = weft_sleep(job->takes_ns);

    return err < 0 ? err : job->result;
}

/* The job is copied to the member's own stack: ours may be gone before it runs. */
static void start(weft_group *group, int64_t takes_ns, int result)
{
    struct job job = { takes_ns, result };
    int        err = weft_group_go(group, work, &job, sizeof(job));

    if (err < 0) {
        fprintf(stderr, "group: cannot start a coroutine: %s\n", strerror(-err));
    }
}

static const char *describe(int err)
{
    return err == 0 ? "no error" : strerror(-err);
}

/* All members end; the wait tells the first error among them. */
static int first_error(void)
{
    weft_group group = WEFT_GROUP_INIT;
    int        first;

    start(&group, 1 * WEFT_MS, 0);
    start(&group, 2 * WEFT_MS, -ENOENT);
    start(&group, 3 * WEFT_MS, 0);
    int err = weft_group_wait(&group, WEFT_FOREVER, &first);
    printf("three jobs: %s\n", describe(first));
    return err;
}

/* A member would take an hour: the deadline passes, the group is cancelled, the member ends. */
static int deadline_and_cancel(void)
{
    weft_group group = WEFT_GROUP_INIT;
    int        first;

    start(&group, 3600 * WEFT_S, 0);
    int err = weft_group_wait(&group, weft_after(20 * WEFT_MS), NULL);
    printf("an hour's job after 20 ms: %s\n", describe(err));

    weft_group_cancel(&group);
    err = weft_group_wait(&group, WEFT_FOREVER, &first); /* group must live until this is 0 */
    printf("the same job cancelled: %s\n", describe(first));
    return err;
}

static int run(void *arg)
{
    (void)arg;
    int err = first_error();
    return err < 0 ? err : deadline_and_cancel();
}

int main(void)
{
    return weft_run(NULL, run, NULL) == 0 ? 0 : 1;
}

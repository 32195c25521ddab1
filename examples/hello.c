/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/hello.c - start a few coroutines and wait for all of them.
 *
 * weft_run starts the runtime and runs hello() as the main coroutine; weft_go starts others
 * beside it; a wait group counts those still running.  What they do comes in any order, so each
 * fills its own line, and the main coroutine prints the lines.
 */
#include <stdio.h>
#include <string.h>
#include <weft.h>

#define GREETERS 3

struct greeting {
    const char     *name;
    weft_waitgroup *running;
    char            line[32];
};

static void greet(void *arg)
{
    struct greeting *greeting = arg;

    weft_sleep(1 * WEFT_MS); /* parks this coroutine only: all of them sleep at the same time */
    snprintf(greeting->line, sizeof(greeting->line), "hello, %s", greeting->name);
    weft_waitgroup_done(greeting->running);
}

static int hello(void *arg)
{
    weft_waitgroup  running = { 0 };
    struct greeting greetings[GREETERS] = {
        { "warp", &running, "" },
        { "weft", &running, "" },
        { "world", &running, "" },
    };

    (void)arg;
    for (int i = 0; i < GREETERS; i++) {
        weft_waitgroup_add(&running, 1);
        int err = weft_go(greet, &greetings[i], 0);
        if (err < 0) {
            fprintf(stderr, "hello: cannot start a coroutine: %s\n", strerror(-err));
            weft_waitgroup_done(&running);
        }
    }
    weft_waitgroup_wait(&running, WEFT_FOREVER); /* greetings must outlive the coroutines */
    for (int i = 0; i < GREETERS; i++) {
        puts(greetings[i].line);
    }
    return 0;
}

int main(void)
{
    return weft_run(NULL, hello, NULL) == 0 ? 0 : 1;
}

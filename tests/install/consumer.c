/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer.c - a user's program against an installed weft: valid as C and as C++, it starts
 * coroutines, waits for them, sends a byte through TCP and prints the library's version.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

enum { COROUTINES = 100 };

static weft_waitgroup done;
static uint64_t       ids[COROUTINES];

static void note_id(void *arg)
{
    uint64_t **slot = (uint64_t **)arg;

    weft_yield();
    **slot = weft_id();
    weft_waitgroup_done(&done);
}

/* One byte from a dialled connection to the accepted one, over loopback. */
static int send_byte(void)
{
    weft_listener l;
    weft_conn     from, to;
    char          address[WEFT_ADDR_MAX], got = 0;
    int           err;

    err = weft_listen(&l, "tcp", "127.0.0.1:0");
    if (err < 0)
        return err;
    err = weft_listener_address(l, address);
    if (err == 0)
        err = weft_dial(&from, "tcp", address, weft_after(10 * WEFT_S));
    if (err == 0)
        err = weft_listener_accept(l, &to);
    if (err == 0)
        err = (int)weft_conn_write(from, "w", 1);
    if (err == 1)
        err = (int)weft_conn_read(to, &got, 1);
    weft_listener_close(l);
    return err == 1 && got == 'w' ? 0 : err;
}

static int start_all(void *arg)
{
    int i, err;

    (void)arg;
    err = send_byte();
    if (err != 0)
        return err;
    weft_waitgroup_add(&done, COROUTINES);
    for (i = 0; i < COROUTINES; i++) {
        uint64_t *slot = &ids[i];

        err = weft_go(note_id, &slot, sizeof(slot));
        if (err < 0)
            return err;
    }
    return weft_waitgroup_wait(&done, weft_after(10 * WEFT_S));
}

int main(void)
{
    char version[32];
    int  i, err;

    err = weft_run(NULL, start_all, NULL);
    if (err != 0) {
        fprintf(stderr, "weft_run: %s\n", strerror(-err));
        return 1;
    }
    for (i = 0; i < COROUTINES; i++) {
        if (ids[i] == 0) {
            fprintf(stderr, "coroutine %d did not run\n", i);
            return 1;
        }
    }
    snprintf(version, sizeof(version), "%d.%d.%d", WEFT_VERSION_MAJOR, WEFT_VERSION_MINOR,
             WEFT_VERSION_PATCH);
    if (strcmp(version, weft_version()) != 0) {
        fprintf(stderr, "headers are %s, the library is %s\n", version, weft_version());
        return 1;
    }
    printf("weft %s\n", version);
    return 0;
}

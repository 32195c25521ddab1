/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load_idle.c - connections that say one thing and then nothing.
 *
 * Owns what an idle connection costs the server: CPU while nobody says anything, and
 * resident memory against what it had before the first came.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Resident bytes and page tables of the servers. */
static double resident(const struct load_options *opt)
{
    double bytes = 0;

    for (int i = 0; i < opt->npids; i++) {
        char  path[64], line[256];
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)opt->pids[i]);
        f = fopen(path, "r");
        if (f == NULL) {
            load_die("cannot read %s: has the server ended?", path);
        }
        while (fgets(line, sizeof(line), f) != NULL) {
            if (strncmp(line, "VmRSS:", 6) == 0) {
                bytes += atof(line + 6) * 1024;
            }
        }
        fclose(f);
    }
    return bytes;
}

static void rest(int64_t ns)
{
    struct timespec ts = { ns / 1000000000, ns % 1000000000 };

    while (nanosleep(&ts, &ts) != 0) {
    }
}

/* One request and its answer; `room` holds the answer. */
static void talk_once(const struct load_talk *talk, int fd, long id, long seq, char *room)
{
    const char    *request = load_talk_request(talk, id, seq);
    struct timeval limit = { .tv_sec = 10 };

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    load_send_all(fd, request, talk->request_len, id);
    load_receive_all(fd, room, talk->answer_len, id);
    load_talk_check(talk, request, 0, room, talk->answer_len, id);
}

void load_idle(const struct load_options *opt, const struct load_talk *talk)
{
    static struct load_window win;
    char                     *room = load_alloc(talk->answer_len, 1);
    int                      *fds = load_alloc((size_t)opt->conns, sizeof(*fds));
    double                    bytes = resident(opt), seconds;

    for (long i = 0; i < opt->conns; i++) {
        fds[i] = load_connect(&opt->to, i);
        talk_once(talk, fds[i], i, 0, room);
    }
    rest(opt->warmup_ns);
    load_window_open(&win, opt);
    rest(opt->duration_ns);
    load_window_close(&win, opt);
    bytes = resident(opt) - bytes;
    for (long i = 0; i < opt->conns; i++) {
        talk_once(talk, fds[i], i, 1, room); /* it was idle, not dead */
    }
    seconds = (double)(win.end - win.begin) / 1e9;
    printf("load connections=%ld seconds=%.3f rss_bytes=%.0f idle_cpu_us=%.1f\n", opt->conns,
           seconds, bytes / (double)opt->conns,
           (double)(win.server_end - win.server_begin) / 1e3 / seconds);
}

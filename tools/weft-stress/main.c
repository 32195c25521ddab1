/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/main.c - loads an echo server and tells what came of it.  Everything the user may
 * have got wrong is found before the first connection, and then nothing is left behind.
 */
#include <weft.h>

#include "json_file.h"
#include "load.h"
#include "options.h"
#include "progress.h"
#include "report.h"

#define CLI_PROGRAM "weft-stress"
#include "../cli.h"

#define OTHER_FILES 64 /* descriptors besides the connections: weft's, stdio, pipes */

struct session {
    struct options   options;
    struct json_file json;
    int              signal_fd; /* a byte for each signal, until signals owns it */
    weft_conn        signals;
    struct load      load;
    weft_group       helpers; /* the coroutines of progress and signals */
    struct report    report;
};

/* ---- Inside weft ---------------------------------------------------------------- */

/* The first signal ends the run; the second finds its default action. */
static int watch_signals(void *arg)
{
    struct session *s = arg;
    char            byte;

    if (weft_conn_read(s->signals, &byte, 1) == 1) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        load_interrupt(&s->load);
    }
    return 0;
}

static int start_helpers(struct session *s)
{
    int err = weft_conn_adopt(&s->signals, s->signal_fd);

    if (err == 0) {
        err = weft_group_go(&s->helpers, watch_signals, s, 0);
    }
    if (err == 0) {
        err = weft_group_go(&s->helpers, progress_show, &s->load, 0);
    }
    return err;
}

static void stop_helpers(struct session *s)
{
    weft_group_cancel(&s->helpers);
    int err = weft_group_wait(&s->helpers, WEFT_FOREVER, NULL);
    if (err < 0) {
        fprintf(stderr, "weft-stress: waiting for helpers: %s\n", strerror(-err));
    }
}

static int no_server(const struct session *s, int err)
{
    switch (err) {
    case -EHOSTUNREACH:
        return cli_bad_input("no way to '%s': the name does not resolve or no route leads there; "
                             "check the host",
                             s->options.target);
    case -EINVAL:
        return cli_bad_input("malformed target '%s': give tcp://HOST:PORT, such as "
                             "tcp://127.0.0.1:7000",
                             s->options.target);
    default:
        return cli_bad_input("no server at '%s': %s; start one there, such as weft-echo %s",
                             s->options.target, strerror(-err), s->options.address);
    }
}

static int run(void *arg)
{
    struct session *s = arg;
    int             err = load_reach(&s->load);

    if (err < 0) {
        return no_server(s, err);
    }
    err = start_helpers(s);
    if (err == 0) {
        load_run(&s->load);
    }
    stop_helpers(s);
    if (err == 0) {
        err = report_gather(&s->report, &s->load);
    }
    if (err < 0) {
        fprintf(stderr, "weft-stress: cannot run the load: %s\n", strerror(-err));
        return 1;
    }
    return 0;
}

/* ---- Before and after ------------------------------------------------------------ */

static int check_nofile(const struct options *options)
{
    const rlim_t limit = cli_raise_nofile();
    const rlim_t needed = (rlim_t)options->connections + OTHER_FILES;

    if (limit >= needed) {
        return OPTIONS_GO;
    }
    if (limit <= OTHER_FILES) {
        return cli_bad_input("the hard limit on open files is %llu: raise it (ulimit -Hn) to at "
                             "least %llu for -c %u",
                             (unsigned long long)limit, (unsigned long long)needed,
                             (unsigned)options->connections);
    }
    return cli_bad_input("-c %u needs %llu open files but the hard limit is %llu: give at most "
                         "-c %llu or raise the limit (ulimit -Hn)",
                         (unsigned)options->connections, (unsigned long long)needed,
                         (unsigned long long)limit, (unsigned long long)(limit - OTHER_FILES));
}

static int open_json(struct session *s)
{
    int err;

    if (s->options.json == NULL) {
        return OPTIONS_GO;
    }
    err = json_file_open(&s->json, s->options.json);
    if (err < 0) {
        return cli_bad_input("cannot write --json '%s': %s; give a file that can be written",
                             s->options.json, strerror(-err));
    }
    return OPTIONS_GO;
}

static int write_json(struct session *s)
{
    char *text = report_json(&s->report);
    int   err = -ENOMEM;

    if (text == NULL) {
        json_file_discard(&s->json);
    } else {
        err = json_file_write(&s->json, text);
        free(text);
    }
    if (err < 0) {
        fprintf(stderr, "weft-stress: cannot write --json '%s': %s\n", s->options.json,
                strerror(-err));
        return 1;
    }
    return 0;
}

static int tell(struct session *s)
{
    int status = errors_total(&s->load.errors) > 0 ? 1 : 0;

    report_print(&s->report);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "weft-stress: cannot write the summary: %s\n", strerror(errno));
        status = 1;
    }
    if (s->options.json != NULL && write_json(s) != 0) {
        status = 1;
    }
    return status;
}

static int run_weft(struct session *s)
{
    const weft_options options = { .procs = s->options.procs };
    int                status = load_init(&s->load, &s->options);

    if (status < 0) {
        return cli_bad_input("no memory for -c %u -s %u: give fewer connections or smaller "
                             "messages",
                             (unsigned)s->options.connections, (unsigned)s->options.bytes);
    }
    s->signal_fd = cli_signals_to_pipe();
    if (s->signal_fd < 0) {
        fprintf(stderr, "weft-stress: cannot make a pipe for signals: %s\n",
                strerror(-s->signal_fd));
        return 1;
    }
    status = weft_run(&options, run, s);
    if (status < 0) {
        fprintf(stderr, "weft-stress: cannot start the runtime: %s\n", strerror(-status));
        return 1;
    }
    return status;
}

int main(int argc, char **argv)
{
    static struct session s; /* outlives every coroutine */
    int                   status = options_parse(&s.options, argc, argv);

    if (status == OPTIONS_GO) {
        status = check_nofile(&s.options);
    }
    if (status == OPTIONS_GO) {
        status = open_json(&s);
    }
    if (status != OPTIONS_GO) {
        return status;
    }
    status = run_weft(&s);
    if (status == 0) {
        status = tell(&s);
    } else if (s.options.json != NULL) {
        json_file_discard(&s.json);
    }
    load_free(&s.load);
    return status;
}

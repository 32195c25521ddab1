/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-echo/options.c - reads the command line; every complaint is one line that names the
 * value and the remedy.  It opens nothing and starts nothing.
 */
#include "options.h"

#include <getopt.h>
#include <weft.h>

#define CLI_PROGRAM "weft-echo"
#include "../cli.h"

#define MAX_PROCS         1024
#define MAX_GRACE_SECONDS 86400

static const char help[] =
    "usage: weft-echo [--procs N] [--grace SECONDS] ADDRESS\n"
    "\n"
    "Send back every byte that comes, on TCP, until SIGTERM or SIGINT.\n"
    "\n"
    "  ADDRESS          HOST:PORT with a numeric host or localhost, [V6]:PORT, or :PORT\n"
    "                   for all interfaces; port 0 takes a free one\n"
    "  --procs N        how many Ps run coroutines (default: the CPUs it may use)\n"
    "  --grace SECONDS  after the signal, how long open connections may go on (default 5)\n"
    "  --help, --version\n"
    "\n"
    "The first line on stdout is `listening on HOST:PORT` with the real port.  The signal\n"
    "ends accepting; connections still open when the grace is over are closed; a second\n"
    "signal ends the grace.  Exit status: 0 after a drain, 1 on a failure while running,\n"
    "2 on bad input.\n";

enum { OPT_PROCS = 256, OPT_GRACE, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
    { "procs", required_argument, NULL, OPT_PROCS },
    { "grace", required_argument, NULL, OPT_GRACE },
    { "help", no_argument, NULL, OPT_HELP },
    { "version", no_argument, NULL, OPT_VERSION },
    { NULL, 0, NULL, 0 },
};

static int bad_option(int code, char **argv)
{
    if (code == ':') {
        return cli_bad_input("option '%s' needs a value; see weft-echo --help", argv[optind - 1]);
    }
    return cli_bad_input("unknown option '%s'; see weft-echo --help", argv[optind - 1]);
}

static int take_number(const char *name, const char *text, long min, long max, long *out)
{
    if (cli_number(text, min, max, out)) {
        return OPTIONS_GO;
    }
    return cli_bad_input("%s '%s': give a whole number from %ld to %ld", name, text, min, max);
}

static int take_option(struct options *out, int code, char **argv)
{
    long number = 0;
    int  status;

    switch (code) {
    case OPT_PROCS:
        status = take_number("--procs", optarg, 1, MAX_PROCS, &number);
        out->procs = (int)number;
        return status;
    case OPT_GRACE:
        return take_number("--grace", optarg, 0, MAX_GRACE_SECONDS, &out->grace_seconds);
    case OPT_HELP:
        fputs(help, stdout);
        return 0;
    case OPT_VERSION:
        printf("weft-echo %s\n", weft_version());
        return 0;
    default:
        return bad_option(code, argv);
    }
}

int options_parse(struct options *out, int argc, char **argv)
{
    int code;

    *out = (struct options){ .address = NULL, .procs = 0, .grace_seconds = 5 };
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        int status = take_option(out, code, argv);
        if (status != OPTIONS_GO) {
            return status;
        }
    }
    if (optind == argc) {
        return cli_bad_input("no address given: say where to listen, such as 127.0.0.1:7000");
    }
    if (optind + 1 < argc) {
        return cli_bad_input("unexpected argument '%s': give one address only", argv[optind + 1]);
    }
    out->address = argv[optind];
    return OPTIONS_GO;
}

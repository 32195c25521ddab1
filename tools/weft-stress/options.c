/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/options.c - reads the command line; every complaint is one line that names the
 * value and the remedy.  It opens nothing and starts nothing.
 */
#include "options.h"

#include <getopt.h>
#include <weft.h>

#define CLI_PROGRAM "weft-stress"
#include "../cli.h"

#define MAX_CONNECTIONS 1000000
#define MAX_SECONDS     86400
#define MAX_BYTES       67108864 /* 64 MiB */
#define MAX_PROCS       1024
#define SCHEME          "tcp://"

static const char help[] =
    "usage: weft-stress [-c CONNECTIONS] [-d SECONDS] [-s BYTES] [--procs N] [--json FILE]\n"
    "                   tcp://HOST:PORT\n"
    "\n"
    "Load a TCP echo server and check every byte that comes back.\n"
    "\n"
    "  -c CONNECTIONS  how many at once (default 64, at most 1000000)\n"
    "  -d SECONDS      how long, from the moment all are up (default 10, at most 86400)\n"
    "  -s BYTES        size of a message (default 64, at most 67108864)\n"
    "  --procs N       how many Ps run coroutines (default: the CPUs it may use)\n"
    "  --json FILE     write the figures there as JSON\n"
    "  --help, --version\n"
    "\n"
    "Each connection sends a message, reads it back, checks it and sends the next.  At the\n"
    "end each finishes its request, for which it has 5 s.  Of messages over 64 KiB at most\n"
    "64 KiB are under way at a time.  SIGINT and SIGTERM end the run early.\n"
    "\n"
    "stderr shows the progress, stdout the summary: requests, requests a second, bytes that\n"
    "came back right, latency, errors by kind.  Exit status: 0 when every byte came back,\n"
    "1 on any error, 2 on bad input.\n";

enum { OPT_PROCS = 256, OPT_JSON, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
    { "procs", required_argument, NULL, OPT_PROCS },
    { "json", required_argument, NULL, OPT_JSON },
    { "help", no_argument, NULL, OPT_HELP },
    { "version", no_argument, NULL, OPT_VERSION },
    { NULL, 0, NULL, 0 },
};

/* ---- The target ------------------------------------------------------------ */

/* A bracketed IPv6 address, or a name or IPv4 address without colons. */
static bool host_is_sound(const char *host, size_t length)
{
    if (length > 2 && host[0] == '[') {
        return memchr(host, ']', length) == host + length - 1;
    }
    return length > 0 && strcspn(host, ":/[]@ ") >= length;
}

static bool target_is_sound(const char *target)
{
    if (strncmp(target, SCHEME, strlen(SCHEME)) != 0) {
        return false;
    }
    const char *host = target + strlen(SCHEME);
    const char *colon = strrchr(host, ':');
    long        port;

    return colon != NULL && host_is_sound(host, (size_t)(colon - host)) &&
           cli_number(colon + 1, 1, 65535, &port);
}

static int take_target(struct options *out, const char *target)
{
    if (!target_is_sound(target)) {
        return cli_bad_input("malformed target '%s': give tcp://HOST:PORT, such as "
                             "tcp://127.0.0.1:7000",
                             target);
    }
    out->target = target;
    out->address = target + strlen(SCHEME);
    return OPTIONS_GO;
}

/* ---- Options --------------------------------------------------------------- */

static int bad_option(int code, char **argv)
{
    const char  letters[] = { '-', (char)optopt, '\0' };
    const bool  is_short = optopt > 0 && optopt < OPT_PROCS;
    const char *name = is_short ? letters : argv[optind - 1];

    if (code == ':') {
        return cli_bad_input("option '%s' needs a value; see weft-stress --help", name);
    }
    return cli_bad_input("unknown option '%s'; see weft-stress --help", name);
}

static int take_number(const char *name, long max, long *out)
{
    if (cli_number(optarg, 1, max, out)) {
        return OPTIONS_GO;
    }
    return cli_bad_input("%s '%s': give a whole number from 1 to %ld", name, optarg, max);
}

static int take_option(struct options *out, int code, char **argv)
{
    long number = 0;
    int  status;

    switch (code) {
    case 'c':
        status = take_number("-c", MAX_CONNECTIONS, &number);
        out->connections = (uint32_t)number;
        return status;
    case 'd':
        return take_number("-d", MAX_SECONDS, &out->seconds);
    case 's':
        status = take_number("-s", MAX_BYTES, &number);
        out->bytes = (uint32_t)number;
        return status;
    case OPT_PROCS:
        status = take_number("--procs", MAX_PROCS, &number);
        out->procs = (int)number;
        return status;
    case OPT_JSON:
        out->json = optarg;
        return OPTIONS_GO;
    case OPT_HELP:
        fputs(help, stdout);
        return 0;
    case OPT_VERSION:
        printf("weft-stress %s\n", weft_version());
        return 0;
    default:
        return bad_option(code, argv);
    }
}

int options_parse(struct options *out, int argc, char **argv)
{
    int code;

    *out = (struct options){ .connections = 64, .seconds = 10, .bytes = 64 };
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":c:d:s:", long_options, NULL)) != -1) {
        int status = take_option(out, code, argv);
        if (status != OPTIONS_GO) {
            return status;
        }
    }
    if (optind == argc) {
        return cli_bad_input("no target given: name the server, such as tcp://127.0.0.1:7000");
    }
    if (optind + 1 < argc) {
        return cli_bad_input("unexpected argument '%s': give one target only", argv[optind + 1]);
    }
    return take_target(out, argv[optind]);
}

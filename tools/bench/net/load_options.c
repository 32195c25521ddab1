/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load_options.c - the load generator's command line and limits.
 *
 * Owns what is said for a wrong one: one line with the value, exit status 2.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "usage: bench_load [-c CONNECTIONS] [-s BYTES] [-k DEPTH] [-d SECONDS] [-w WARMUP_SECONDS]\n"
    "                  [-n MAX_REQUESTS] [-r REQUESTS_A_SECOND] [-p SERVER_PID]... [-H] [-C | -i]\n"
    "                  IPV4:PORT\n"
    "-r paces the requests over all connections; without it each connection sends its\n"
    "next request when the last one came back. -k sends so many at once. -H asks for /hello\n"
    "by HTTP instead of having bytes echoed. -C makes a new connection for each request.\n"
    "-i has each connection say one thing, and then measures how they idle.\n";

__attribute__((noreturn, format(printf, 1, 2))) static void bad(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "load: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n%s", usage);
    exit(2);
}

static double number(int option, const char *text, double low, double high)
{
    char  *end;
    double v = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(v >= low && v <= high)) {
        bad("-%c %s: give a number from %g to %g", option, text, low, high);
    }
    return v;
}

static void parse_address(struct sockaddr_in *to, const char *text)
{
    const char *colon = strrchr(text, ':');
    char        host[INET_ADDRSTRLEN];
    size_t      len = colon == NULL ? sizeof(host) : (size_t)(colon - text);
    char       *end = NULL;
    long        port = colon == NULL ? 0 : strtol(colon + 1, &end, 10);

    if (len >= sizeof(host) || port < 1 || port > 65535 || *end != '\0') {
        bad("address %s: give IPV4:PORT, as 127.0.0.1:7000", text);
    }
    memcpy(host, text, len);
    host[len] = '\0';
    memset(to, 0, sizeof(*to));
    to->sin_family = AF_INET;
    to->sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &to->sin_addr) != 1) {
        bad("address %s: give IPV4:PORT, as 127.0.0.1:7000", text);
    }
}

static void add_pid(struct load_options *opt, const char *text)
{
    if (opt->npids == LOAD_MAX_PIDS) {
        bad("-p %s: at most %d processes", text, LOAD_MAX_PIDS);
    }
    opt->pids[opt->npids++] = (pid_t)number('p', text, 1, 1 << 30);
}

static void set_option(struct load_options *opt, int option, const char *text)
{
    /* clang-format off */
    switch (option) {
    case 'c': opt->conns = (long)number(option, text, 1, 1000000); break;
    case 's': opt->size = (size_t)number(option, text, 1, 1 << 20); break;
    case 'd': opt->duration_ns = (int64_t)(number(option, text, 0.01, 3600) * 1e9); break;
    case 'w': opt->warmup_ns = (int64_t)(number(option, text, 0, 60) * 1e9); break;
    case 'n': opt->max_requests = (long)number(option, text, 1, 1e15); break;
    case 'r': opt->rate = (long)number(option, text, 1, 1e6); break;
    case 'k': opt->depth = (size_t)number(option, text, 1, 1024); break;
    case 'p': add_pid(opt, text); break;
    case 'H': opt->http = true; break;
    case 'C': opt->churn = true; break;
    case 'i': opt->idle = true; break;
    default:  bad("unknown option");
    }
    /* clang-format on */
}

void load_options_parse(struct load_options *opt, int argc, char **argv)
{
    int option;

    opt->conns = 64;
    opt->size = 64;
    opt->depth = 1;
    opt->max_requests = 1000000000;
    opt->duration_ns = 2000000000;
    opt->warmup_ns = 200000000;
    while ((option = getopt(argc, argv, "c:s:d:w:n:r:k:p:HCi")) != -1) {
        set_option(opt, option, optarg);
    }
    if (opt->churn && opt->idle) {
        bad("-C and -i exclude each other");
    }
    if (optind != argc - 1) {
        bad("give one address, as 127.0.0.1:7000");
    }
    parse_address(&opt->to, argv[optind]);
}

void load_raise_nofile(long need)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || (rlim_t)need <= r.rlim_cur) {
        return;
    }
    if ((rlim_t)need > r.rlim_max) {
        bad("%ld connections need %ld descriptors, the hard limit is %ld: raise it (ulimit -Hn) "
            "or give a smaller -c",
            need - 16, need, (long)r.rlim_max);
    }
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) {
        bad("raising the limit of descriptors: %s", strerror(errno));
    }
}

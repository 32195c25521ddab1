/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/redis_client.c - hiredis as it is, in coroutines: 50 of them, a connection each, count
 * together to 5,000, while four more wait for work in BLPOP.
 *
 *   redis_client wait HOST:PORT|SOCKET    hiredis fills and empties buffers, weft_fd_wait waits
 *   redis_client block HOST:PORT|SOCKET   hiredis blocks, on threads lent by weft_block_enter
 *
 * The first is the way for many connections: a command that waits holds no thread.  The second
 * needs no knowledge of the library, and costs a thread for each command under way.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { COUNTERS = 50, COUNTS = 100, WORKERS = 4, JOBS = 40 };

#define PATIENCE (10 * WEFT_S) /* for one answer */

typedef redisContext *connect_fn(const char *host, int port);
typedef redisReply   *command_fn(redisContext *c, const char *format, va_list args);

struct way {
    const char *name;
    connect_fn *connect, *connect_unix;
    command_fn *command;
};

static const struct way *way;
static char              host[108]; /* or the path of a socket */
static int               port;      /* 0: a path */

/* ---- By weft_fd_wait ----------------------------------------------------------------------------- */

static redisContext *connect_path_nonblock(const char *path, int unused)
{
    (void)unused;
    return redisConnectUnixNonBlock(path);
}

/* A connection that is still being made is ready for writing once it is up, or has failed. */
static redisReply *command_by_wait(redisContext *c, const char *format, va_list args)
{
    void *reply = NULL;
    int   sent = 0;

    if (redisvAppendCommand(c, format, args) != REDIS_OK)
        return NULL;
    while (!sent) {
        if (weft_fd_wait(c->fd, POLLOUT, weft_after(PATIENCE)) < 0 ||
            redisBufferWrite(c, &sent) != REDIS_OK)
            return NULL;
    }
    while (redisGetReplyFromReader(c, &reply) == REDIS_OK && !reply) {
        if (weft_fd_wait(c->fd, POLLIN, weft_after(PATIENCE)) < 0 || redisBufferRead(c) != REDIS_OK)
            return NULL;
    }
    return reply;
}

/* ---- By weft_block_enter --------------------------------------------------------------------------- */

static redisContext *connect_blocking(const char *name, int number)
{
    weft_block_enter();
    redisContext *c = redisConnect(name, number);
    weft_block_leave();
    return c;
}

static redisContext *connect_path_blocking(const char *path, int unused)
{
    (void)unused;
    weft_block_enter();
    redisContext *c = redisConnectUnix(path);
    weft_block_leave();
    return c;
}

static redisReply *command_by_block(redisContext *c, const char *format, va_list args)
{
    weft_block_enter();
    redisReply *reply = redisvCommand(c, format, args);
    weft_block_leave();
    return reply;
}

static const struct way ways[] = {
    { "wait", redisConnectNonBlock, connect_path_nonblock, command_by_wait },
    { "block", connect_blocking, connect_path_blocking, command_by_block },
};

/* ---- What both do -------------------------------------------------------------------------------------- */

static redisContext *dial(void)
{
    redisContext *c = port ? way->connect(host, port) : way->connect_unix(host, 0);

    if (c && !c->err)
        return c;
    fprintf(stderr, "redis_client: cannot connect to %s: %s\n", host, c ? c->errstr : "no memory");
    if (c)
        redisFree(c);
    return NULL;
}

/* The answer, to be freed; NULL after a message. */
static redisReply *command(redisContext *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = way->command(c, format, args);
    va_end(args);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        return reply;
    fprintf(stderr, "redis_client: %s: %s\n", format, reply ? reply->str : c->errstr);
    if (reply)
        freeReplyObject(reply);
    return NULL;
}

/* As command, for an answer that is a number; negative: there is none. */
static long long number(redisContext *c, const char *format)
{
    redisReply *reply = command(c, format);
    long long   n = -1;

    if (reply && reply->type == REDIS_REPLY_INTEGER)
        n = reply->integer;
    else if (reply && reply->type == REDIS_REPLY_STRING)
        n = atoll(reply->str);
    if (reply)
        freeReplyObject(reply);
    return n;
}

static int count(void *arg)
{
    redisContext *c = dial();
    int           err = c ? 0 : -EIO;

    (void)arg;
    for (int i = 0; i < COUNTS && err == 0; i++)
        err = number(c, "INCR weft:counter") > 0 ? 0 : -EIO;
    if (c)
        redisFree(c);
    return err;
}

/* Waits for each job in the server; the connection is this coroutine's alone. */
static int work(void *arg)
{
    redisContext *c = dial();
    int           err = c ? 0 : -EIO;

    for (int i = 0; i < JOBS / WORKERS && err == 0; i++) {
        redisReply *reply = command(c, "BLPOP weft:jobs 10");
        err = reply && reply->type == REDIS_REPLY_ARRAY ? 0 : -EIO;
        if (err == 0)
            *(long *)arg += atol(reply->element[1]->str);
        if (reply)
            freeReplyObject(reply);
    }
    if (c)
        redisFree(c);
    return err;
}

static int give_jobs(redisContext *c)
{
    for (int i = 1; i <= JOBS; i++) {
        redisReply *reply = command(c, "RPUSH weft:jobs %d", i);
        if (!reply)
            return -EIO;
        freeReplyObject(reply);
    }
    return 0;
}

static int all(redisContext *c)
{
    weft_group group = WEFT_GROUP_INIT;
    long       sums[WORKERS] = { 0 }, sum = 0;
    int        err = 0, first = 0;

    if (number(c, "DEL weft:counter weft:jobs") < 0)
        return -EIO;
    for (int i = 0; i < WORKERS && err == 0; i++)
        err = weft_group_go(&group, work, &sums[i], 0);
    for (int i = 0; i < COUNTERS && err == 0; i++)
        err = weft_group_go(&group, count, NULL, 0);
    if (err == 0)
        err = give_jobs(c);
    int waited = weft_group_wait(&group, WEFT_FOREVER, &first);
    for (int i = 0; i < WORKERS; i++)
        sum += sums[i];
    printf("%s: counted to %lld of %d, jobs done %ld of %d\n", way->name,
           number(c, "GET weft:counter"), COUNTERS * COUNTS, sum, JOBS * (JOBS + 1) / 2);
    return err ? err : waited ? waited : first;
}

static int run(void *arg)
{
    redisContext *c = dial();
    int           err = c ? all(c) : -EIO;

    (void)arg;
    if (c)
        redisFree(c);
    return err;
}

/* HOST:PORT, or the path of a Unix socket. */
static int parse(const char *address)
{
    const char *colon = strrchr(address, ':');

    snprintf(host, sizeof host, "%s", address);
    if (address[0] == '/')
        return 0;
    if (!colon || (port = atoi(colon + 1)) <= 0)
        return -EINVAL;
    host[colon - address < (long)sizeof host ? colon - address : 0] = '\0';
    return 0;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            way = &ways[i];
    if (!way || parse(argv[2]) != 0) {
        fprintf(stderr, "usage: redis_client wait|block HOST:PORT|SOCKET\n");
        return 2;
    }
    return weft_run(NULL, run, NULL) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/postgres_client.c - libpq as it is, in coroutines: 20 of them, a connection each, fill a
 * table, while another listens for the notice that each sends when it is done.
 *
 *   postgres_client CONNINFO      as libpq takes it: "host=/run/postgresql dbname=test"
 *
 * libpq's non-blocking calls, with weft_fd_wait where a program would poll: a query that waits in
 * the server holds no thread here.
 */
#include <errno.h>
#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { CLIENTS = 20, ROWS = 25 };

#define PATIENCE (20 * WEFT_S)

static const char *conninfo;

static int complain(PGconn *c, const char *what)
{
    fprintf(stderr, "postgres_client: %s: %s", what, c ? PQerrorMessage(c) : "no memory\n");
    return -EIO;
}

/* The socket may be another one after each step, so it is asked for anew. */
static int finish_connect(PGconn *c, weft_time deadline)
{
    int events = POLLOUT;

    for (;;) {
        int err = weft_fd_wait(PQsocket(c), events, deadline);
        if (err < 0)
            return err;
        switch (PQconnectPoll(c)) {
        case PGRES_POLLING_OK:
            return 0;
        case PGRES_POLLING_READING:
            events = POLLIN;
            break;
        case PGRES_POLLING_WRITING:
            events = POLLOUT;
            break;
        default:
            return -EIO;
        }
    }
}

/* NULL after a message. */
static PGconn *dial(void)
{
    PGconn *c = PQconnectStart(conninfo);

    if (c && PQstatus(c) != CONNECTION_BAD && finish_connect(c, weft_after(PATIENCE)) == 0 &&
        PQsetnonblocking(c, 1) == 0)
        return c;
    complain(c, "cannot connect");
    PQfinish(c);
    return NULL;
}

/* Sends what is queued; meanwhile the server may have something to say, which must be taken. */
static int flush(PGconn *c, weft_time deadline)
{
    int left;

    while ((left = PQflush(c)) > 0) {
        int ready = weft_fd_wait(PQsocket(c), POLLIN | POLLOUT, deadline);
        if (ready < 0)
            return ready;
        if ((ready & POLLIN) && !PQconsumeInput(c))
            return -EIO;
    }
    return left < 0 ? -EIO : 0;
}

static int take_input(PGconn *c, weft_time deadline)
{
    int err = weft_fd_wait(PQsocket(c), POLLIN, deadline);

    return err < 0 ? err : PQconsumeInput(c) ? 0 : -EIO;
}

/* The last result of the query, to be cleared; NULL after a message. */
static PGresult *query(PGconn *c, const char *sql, int n, const char *const *values)
{
    weft_time deadline = weft_after(PATIENCE);
    PGresult *last = NULL, *next;
    int       err = -EIO;

    if (PQsendQueryParams(c, sql, n, NULL, values, NULL, NULL, 0) == 1)
        err = flush(c, deadline);
    while (err == 0) {
        while (err == 0 && PQisBusy(c))
            err = take_input(c, deadline);
        if (err != 0 || !(next = PQgetResult(c)))
            break;
        PQclear(last);
        last = next;
    }
    ExecStatusType status = last ? PQresultStatus(last) : PGRES_FATAL_ERROR;
    if (err == 0 && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK))
        return last;
    complain(c, sql);
    PQclear(last);
    return NULL;
}

static int execute(PGconn *c, const char *sql, int n, const char *const *values)
{
    PGresult *r = query(c, sql, n, values);

    PQclear(r);
    return r ? 0 : -EIO;
}

/* ---- The coroutines --------------------------------------------------------------------------------- */

static int fill(void *arg)
{
    PGconn *c = dial();
    int     err = c ? 0 : -EIO;
    char    who[16], row[16];

    snprintf(who, sizeof who, "%d", *(int *)arg);
    for (int i = 0; i < ROWS && err == 0; i++) {
        const char *values[] = { who, row };
        snprintf(row, sizeof row, "%d", i);
        err = execute(c, "insert into weft_rows values ($1::int, $2::int)", 2, values);
    }
    if (err == 0)
        err = execute(c, "notify weft_done", 0, NULL);
    PQfinish(c);
    return err;
}

/* On a connection that is idle but for notices. */
static int hear(PGconn *c, int n)
{
    int heard = 0, err = 0;

    while (heard < n && err == 0) {
        for (PGnotify *notice; (notice = PQnotifies(c)); PQfreemem(notice))
            heard++;
        if (heard < n)
            err = take_input(c, weft_after(PATIENCE));
    }
    return err == 0 ? heard : err;
}

static int report(PGconn *c, int heard)
{
    PGresult *r = query(c, "select count(*), count(distinct (who, n)) from weft_rows", 0, NULL);

    if (!r)
        return -EIO;
    printf("rows %s of %d, different %s, notices %d of %d\n", PQgetvalue(r, 0, 0), CLIENTS * ROWS,
           PQgetvalue(r, 0, 1), heard, CLIENTS);
    PQclear(r);
    return 0;
}

static int all(PGconn *c)
{
    weft_group group = WEFT_GROUP_INIT;
    int        first = 0, heard = 0;
    int        err = execute(c, "drop table if exists weft_rows", 0, NULL);

    if (err == 0)
        err = execute(c, "create table weft_rows (who int, n int)", 0, NULL);
    if (err == 0)
        err = execute(c, "listen weft_done", 0, NULL);
    for (int i = 0; i < CLIENTS && err == 0; i++)
        err = weft_group_go(&group, fill, &i, sizeof i);
    if (err == 0)
        heard = hear(c, CLIENTS);
    int waited = weft_group_wait(&group, WEFT_FOREVER, &first);
    if (err == 0)
        err = heard < 0 ? heard : waited ? waited : first;
    return err == 0 ? report(c, heard) : err;
}

static int run(void *arg)
{
    PGconn *c = dial();
    int     err = c ? all(c) : -EIO;

    (void)arg;
    PQfinish(c);
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: postgres_client CONNINFO\n");
        return 2;
    }
    conninfo = argv[1];
    return weft_run(NULL, run, NULL) == 0 ? 0 : 1;
}

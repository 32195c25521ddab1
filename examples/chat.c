/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/chat.c - a chat server with rooms.
 *
 *     chat 127.0.0.1:7000 [PATIENCE_SECONDS]
 *
 * A client's first line is its name; then: join ROOM, say TEXT, leave (back to the hall), quit.
 *
 * Three kinds of coroutines, joined by channels.  The hub (the main coroutine) alone knows who is
 * in which room, so nothing needs a lock.  A client's reader sends its lines to the hub; its
 * writer sends it what comes through its own channel, the outbox.  The hub never waits for a
 * client: one whose outbox is full misses the line.  A client that says nothing, or takes nothing,
 * for PATIENCE seconds (600) is let go.  On SIGTERM all are told, what is on its way to them is
 * sent, and the program ends.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

#define NAME   24
#define LINE   256
#define OUTBOX 64

struct line {
    char text[LINE + NAME + 16];
};

WEFT_CHAN_OF(outbox, struct line);

struct event {
    outbox who; /* a client is known by its outbox */
    char   text[LINE];
};

WEFT_CHAN_OF(inbox, struct event);

static struct server {
    const char   *address;
    int64_t       patience_ns;
    weft_listener listener;
    inbox         events; /* capacity 0: an event that was sent was received */
    weft_chan    *signals;
    weft_group    clients; /* and the accept loop */
} server;

/* ---- The hub -------------------------------------------------------------- */

struct member {
    struct member *next;
    outbox         out; /* a reference of the hub's own */
    char           name[NAME], room[NAME];
};

/* Never waits.  False: the outbox is full or closed, and the line is lost. */
static bool offer(outbox out, const char *text)
{
    struct line line;

    snprintf(line.text, sizeof(line.text), "%s\n", text);
    return weft_chan_send_until(out.chan, &line, WEFT_NOWAIT) == 0;
}

/* To all in the room of `who`, itself too: its name after `before`, then `verb` and `text`. */
static void announce(struct member *to, const struct member *who, const char *before,
                     const char *verb, const char *text)
{
    char line[LINE + NAME + 12];

    snprintf(line, sizeof(line), "%s%s%s%s", before, who->name, verb, text);
    for (; to != NULL; to = to->next) {
        if (strcmp(to->room, who->room) == 0) {
            offer(to->out, line);
        }
    }
}

static void move(struct member *first, struct member *who, const char *room)
{
    announce(first, who, "* ", " leaves ", who->room);
    snprintf(who->room, NAME, "%.*s", NAME - 1, room);
    announce(first, who, "* ", " joins ", who->room);
}

static void enter(struct member **first, const struct event *event)
{
    struct member *member = calloc(1, sizeof(*member));

    if (member == NULL) {
        weft_chan_close(event->who.chan);
        return;
    }
    snprintf(member->name, NAME, "%.*s", NAME - 1, event->text);
    strcpy(member->room, "hall");
    member->out.chan = weft_chan_ref(event->who.chan);
    member->next = *first;
    *first = member;
    announce(*first, member, "* ", " joins ", "hall");
}

/* Takes *at out of the list; its writer sends what is in the outbox, then closes the connection. */
static void let_go(struct member **at, const char *farewell)
{
    struct member *member = *at;

    *at = member->next;
    offer(member->out, farewell);
    weft_chan_close(member->out.chan);
    weft_chan_unref(member->out.chan);
    free(member);
}

static void handle(struct member **first, const struct event *event)
{
    struct member **at = first;
    char            text[LINE];

    while (*at != NULL && (*at)->out.chan != event->who.chan) {
        at = &(*at)->next;
    }
    if (strcmp(event->text, "quit") == 0 && *at == NULL) {
        weft_chan_close(event->who.chan); /* it never gave its name, or has quit already */
    } else if (strcmp(event->text, "quit") == 0) {
        announce(*first, *at, "* ", " leaves ", (*at)->room);
        let_go(at, "* bye");
    } else if (*at == NULL) {
        enter(first, event);
    } else if (sscanf(event->text, "join %23s", text) == 1) {
        move(*first, *at, text);
    } else if (strcmp(event->text, "leave") == 0) {
        move(*first, *at, "hall");
    } else if (sscanf(event->text, "say %255[^\n]", text) == 1) {
        announce(*first, *at, "", ": ", text);
    } else {
        offer((*at)->out, "* commands: join ROOM, say TEXT, leave, quit");
    }
}

/* Until a signal arrives.  The inbox is closed then: no reader waits for a hub that has gone. */
static void run_hub(void)
{
    struct member *first = NULL;
    struct event   event;
    weft_case      cases[] = { { .chan = server.signals }, inbox_on_recv(server.events, &event) };

    while (weft_select(cases, 2, WEFT_FOREVER) == 1) {
        handle(&first, &event);
    }
    weft_chan_close(server.events.chan);
    while (first != NULL) {
        let_go(&first, "* the server stops");
    }
}

/* ---- A client: its writer and its reader ----------------------------------- */

struct client {
    weft_conn conn;
    outbox    out;
    size_t    have; /* bytes in buffer */
    char      buffer[LINE];
};

/* Ends when the outbox is closed and empty, or when the client takes nothing. */
static int write_lines(void *arg)
{
    const struct client *client = arg;
    struct line          line;
    ssize_t              n = 0;

    while (n >= 0 && outbox_recv(client->out, &line) == 0) {
        weft_conn_set_write_deadline(client->conn, weft_after(server.patience_ns));
        n = weft_conn_write(client->conn, line.text, strlen(line.text));
    }
    weft_conn_close(client->conn); /* which ends the reader's wait */
    return 0;
}

/* 1: there is a line; 0: the stream has ended; -EMSGSIZE: it is too long; or another error. */
static int read_line(struct client *client, char line[LINE])
{
    char *end;

    while ((end = memchr(client->buffer, '\n', client->have)) == NULL) {
        char *to = client->buffer + client->have;
        if (client->have == LINE) {
            return -EMSGSIZE;
        }
        weft_conn_set_read_deadline(client->conn, weft_after(server.patience_ns));
        ssize_t n = weft_conn_read(client->conn, to, LINE - client->have);
        if (n <= 0) {
            return (int)n;
        }
        client->have += (size_t)n;
    }
    *end++ = '\0';
    strcpy(line, client->buffer);
    line[strcspn(line, "\r")] = '\0';
    client->have -= (size_t)(end - client->buffer);
    memmove(client->buffer, end, client->have);
    return 1;
}

/* The reader: it sends lines to the hub until "quit", which it says itself at an end or error. */
static void read_lines(struct client *client)
{
    struct event event = { .who = client->out };
    int          err;

    while ((err = read_line(client, event.text)) > 0 && strcmp(event.text, "quit") != 0 &&
           inbox_send(server.events, event) == 0) {
    }
    if (err < 0) {
        offer(client->out, strerror(-err));
    }
    strcpy(event.text, "quit");
    if (inbox_send(server.events, event) < 0) {
        weft_chan_close(client->out.chan); /* there is no hub any more */
    }
}

/* One client, from its start to its end: what is on this stack outlives the writer. */
static int serve_client(void *arg)
{
    struct client client = { .conn = *(weft_conn *)arg, .out = outbox_new(OUTBOX) };
    weft_group    writer = WEFT_GROUP_INIT;

    if (client.out.chan == NULL || weft_group_go(&writer, write_lines, &client, 0) < 0) {
        weft_conn_close(client.conn);
        weft_chan_unref(client.out.chan);
        return -ENOMEM;
    }
    offer(client.out, "* your name?");
    read_lines(&client);
    int err = weft_group_wait(&writer, WEFT_FOREVER, NULL);
    weft_chan_unref(client.out.chan);
    return err;
}

/* ---- The server ------------------------------------------------------------ */

static int accept_clients(void *arg)
{
    const int small = 65536; /* so that a slow client is noticed before megabytes are under way */
    weft_conn conn;
    int       err;

    (void)arg;
    while ((err = weft_listener_accept(server.listener, &conn)) == 0) {
        setsockopt(weft_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
        if (weft_group_go(&server.clients, serve_client, &conn, sizeof(conn)) < 0) {
            weft_conn_close(conn); /* no memory: this client is turned away, the others stay */
        }
    }
    return err;
}

static int start(void)
{
    char address[WEFT_ADDR_MAX];
    int  err = weft_listen(&server.listener, "tcp", server.address);

    server.events = inbox_new(0);
    server.signals = weft_chan_new(sizeof(int), 1);
    if (err == 0 && (server.events.chan == NULL || server.signals == NULL)) {
        err = -ENOMEM;
    }
    if (err == 0 && (err = weft_signal_notify(server.signals, SIGTERM)) == 0 &&
        (err = weft_group_go(&server.clients, accept_clients, NULL, 0)) == 0) {
        weft_listener_address(server.listener, address);
        printf("listening on %s\n", address);
        fflush(stdout);
    }
    return err;
}

static int serve(void *arg)
{
    int err = start();

    (void)arg;
    if (err < 0) {
        fprintf(stderr, "chat: cannot listen on '%s': %s; give HOST:PORT, such as 127.0.0.1:7000\n",
                server.address, strerror(-err));
        return 2;
    }
    run_hub();
    weft_listener_close(server.listener);
    if (weft_group_wait(&server.clients, weft_after(5 * WEFT_S), NULL) < 0) {
        weft_group_cancel(&server.clients); /* somebody does not take the rest */
        err = weft_group_wait(&server.clients, WEFT_FOREVER, NULL);
    }
    return err;
}

int main(int argc, char **argv)
{
    server.address = argc > 1 ? argv[1] : "";
    server.patience_ns = (argc > 2 ? atoi(argv[2]) : 600) * WEFT_S;
    return weft_run(NULL, serve, NULL) == 0 ? 0 : 2;
}

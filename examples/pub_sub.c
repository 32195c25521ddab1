/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/pub_sub.c - one topic, several subscribers, each with a channel of its own.
 *
 * Publishing never waits: a subscriber whose channel is full misses the news.  Unsubscribing closes
 * the channel: what was sent before still arrives.  No call that waits is made under the lock.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

#define READERS 4
#define NEWS    3

struct subscriber {
    const char        *name;
    weft_chan         *feed; /* of const char * */
    int                missed;
    char               got[64];
    struct subscriber *next; /* under the topic's lock */
};

struct topic {
    weft_mutex         lock;
    struct subscriber *first;
};

static void subscribe(struct topic *topic, struct subscriber *who)
{
    weft_mutex_lock(&topic->lock);
    who->next = topic->first;
    topic->first = who;
    weft_mutex_unlock(&topic->lock);
}

static void unsubscribe(struct topic *topic, struct subscriber *who)
{
    weft_mutex_lock(&topic->lock);
    for (struct subscriber **at = &topic->first; *at != NULL; at = &(*at)->next) {
        if (*at == who) {
            *at = who->next;
            break;
        }
    }
    weft_mutex_unlock(&topic->lock);
    weft_chan_close(who->feed);
}

static void publish(struct topic *topic, const char *news)
{
    weft_mutex_lock(&topic->lock);
    for (struct subscriber *to = topic->first; to != NULL; to = to->next) {
        if (weft_chan_send_until(to->feed, &news, WEFT_NOWAIT) < 0) {
            to->missed++;
        }
    }
    weft_mutex_unlock(&topic->lock);
}

/* Reads until it is unsubscribed and has read all it was sent. */
static int read_feed(void *arg)
{
    struct subscriber *self = arg;
    const char        *news;

    while (weft_chan_recv(self->feed, &news) == 0) {
        strncat(self->got, news, sizeof(self->got) - strlen(self->got) - 1);
    }
    return 0;
}

/* The last reader starts when all is over: until then its channel holds one element. */
static int publish_to(struct subscriber *who, weft_group *readers)
{
    struct topic topic = { 0 };
    int          err = 0, last = READERS - 1;

    for (int i = 0; i < READERS; i++) {
        who[i].feed = weft_chan_new(sizeof(const char *), i == last ? 1 : NEWS);
        if (who[i].feed == NULL ||
            (i != last && (err = weft_group_go(readers, read_feed, &who[i], 0)) < 0)) {
            return err < 0 ? err : -ENOMEM;
        }
        subscribe(&topic, &who[i]);
    }
    publish(&topic, " one");
    unsubscribe(&topic, &who[1]);
    publish(&topic, " two");
    publish(&topic, " three");
    for (int i = 0; i < READERS; i++) {
        unsubscribe(&topic, &who[i]);
    }
    return weft_group_go(readers, read_feed, &who[last], 0);
}

static int run(void *arg)
{
    static struct subscriber who[READERS] = {
        { .name = "ann" }, { .name = "bob" }, { .name = "carol" }, { .name = "slow" }
    };
    static weft_group readers;
    int               err = publish_to(who, &readers);

    (void)arg;
    if (err < 0 || (err = weft_group_wait(&readers, WEFT_FOREVER, NULL)) < 0) {
        fprintf(stderr, "pub_sub: cannot start: %s\n", strerror(-err));
        return 1; /* which cancels the readers */
    }
    for (int i = 0; i < READERS; i++) {
        printf("%-5s missed %d, got%s\n", who[i].name, who[i].missed, who[i].got);
        weft_chan_unref(who[i].feed);
    }
    return 0;
}

int main(void)
{
    return weft_run(NULL, run, NULL) == 0 ? 0 : 1;
}

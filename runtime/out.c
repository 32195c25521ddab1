/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.c - text to a descriptor, gathered in memory until it is flushed, so that nothing
 * waits for the descriptor before that.  Then it blocks its thread where the descriptor
 * does; one that is set to non-blocking is waited for, but not for ever.
 */
#include "out.h"

#include "sys.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 2048, WAIT_MS = 5000 };

static void write_all(wf_out *o)
{
    size_t done = 0;
    while (done < o->n && o->error == 0) {
        ssize_t r = wf_sys_write(o->fd, o->text + done, o->n - done);
        if (r > 0)
            done += (size_t)r;
        else if (r == -EAGAIN && poll(&(struct pollfd){ o->fd, POLLOUT, 0 }, 1, WAIT_MS) == 1)
            continue;
        else if (r != -EINTR)
            o->error = r < 0 ? (int)r : -EIO;
    }
    o->n = 0;
}

static bool grow(wf_out *o)
{
    size_t room = o->room ? 2 * o->room : 2 * LINE_MOST;
    char  *text = realloc(o->text, room);
    if (!text) {
        o->error = -ENOMEM;
        return false;
    }
    o->text = text;
    o->room = room;
    return true;
}

void wf_out_print(wf_out *o, const char *format, ...)
{
    char    line[LINE_MOST];
    va_list ap;
    va_start(ap, format);
    int len = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    size_t n = len < 0 ? 0 : (size_t)len < sizeof line ? (size_t)len : sizeof line - 1;
    if (o->n + n > o->room && !grow(o))
        return;
    memcpy(o->text + o->n, line, n);
    o->n += n;
}

int wf_out_flush(wf_out *o)
{
    write_all(o);
    free(o->text);
    o->text = NULL;
    o->room = 0;
    return o->error;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tools/bench/net/hello.c - HTTP for the servers of ours; see hello.h. */
#include "hello.h"

#include <string.h>

#ifdef HELLO_PARSER
static int ended(http_parser *p)
{
    ++*(long *)p->data;
    return 0;
}

static const http_parser_settings settings = { .on_message_complete = ended };

void hello_begin(struct hello *h)
{
    http_parser_init(&h->parser, HTTP_REQUEST);
}

long hello_read(struct hello *h, const char *bytes, size_t n)
{
    long   requests = 0;
    size_t parsed;

    h->parser.data = &requests;
    parsed = http_parser_execute(&h->parser, &settings, bytes, n);
    return parsed == n && h->parser.upgrade == 0 ? requests : -1;
}

#else
void hello_begin(struct hello *h)
{
    (void)h;
}

long hello_read(struct hello *h, const char *bytes, size_t n)
{
    (void)h, (void)bytes, (void)n;
    return -1;
}
#endif

size_t hello_write(char *out, size_t room, long answers)
{
    const size_t len = sizeof(HELLO_ANSWER) - 1;
    size_t       n = 0;

    for (; answers > 0 && room - n >= len; answers--, n += len) {
        memcpy(out + n, HELLO_ANSWER, len);
    }
    return n;
}

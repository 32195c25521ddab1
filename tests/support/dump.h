/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/dump.h - a dump as text, and what a line or a paragraph of it has. */
#ifndef WEFT_TESTS_DUMP_H
#define WEFT_TESTS_DUMP_H

#include <stdio.h>
#include <string.h>

#include "support/check.h"

enum { TEXT_MOST = 1 << 20 };

/* The dump, made on a thread or in a coroutine. */
__attribute__((unused)) static const char *dumped(void)
{
    static char text[TEXT_MOST];
    size_t      n = 0;
    FILE       *f = tmpfile();

    check(f != NULL);
    check_eq(weft_dump(fileno(f)), 0);
    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

/* The line that has both, where the first comes first. */
__attribute__((unused)) static bool has_line(const char *text, const char *first, const char *then)
{
    for (const char *at = text; (at = strstr(at, first)) != NULL; at++) {
        const char *end = strchr(at, '\n'), *found = strstr(at, then);
        if (found && (!end || found < end))
            return true;
    }
    return false;
}

__attribute__((unused)) static void must_have(const char *text, const char *first, const char *then)
{
    if (has_line(text, first, then))
        return;
    fprintf(stderr, "no line with \"%s\" and then \"%s\" in:\n%s\n", first, then, text);
    check(false);
}

/* The paragraph that begins with head has the words. */
__attribute__((unused)) static void paragraph_has(const char *text, const char *head,
                                                  const char *words)
{
    const char *from = strstr(text, head), *to = from ? strstr(from, "\n\n") : NULL;
    const char *at = from ? strstr(from, words) : NULL;

    if (at && (!to || at < to))
        return;
    fprintf(stderr, "no paragraph \"%s\" with \"%s\" in:\n%s\n", head, words, text);
    check(false);
}

#endif

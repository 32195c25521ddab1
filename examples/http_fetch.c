/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/http_fetch.c - libcurl as it is, in coroutines: each fetch blocks a thread of its own,
 * between weft_block_enter and leave, while everything else goes on.
 *
 *   http_fetch URL...     fetches all of them at the same time
 *   http_fetch            fetches from a server of weft's in this very process
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { OWN = 20 };

struct fetch {
    const char *url;
    size_t      bytes;
    long        status;
    CURLcode    result;
};

static size_t count_bytes(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    *(size_t *)arg += size * n;
    return size * n;
}

/* CURLOPT_NOSIGNAL: a thread's alarm would be the process's. */
static int fetch(void *arg)
{
    struct fetch *f = *(struct fetch **)arg;
    CURL         *curl = curl_easy_init();

    if (!curl)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, f->url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "127.0.0.1");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &f->bytes);
    weft_block_enter();
    f->result = curl_easy_perform(curl);
    weft_block_leave();
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &f->status);
    curl_easy_cleanup(curl);
    return f->result == CURLE_OK && f->status == 200 ? 0 : -EIO;
}

static int fetch_all(struct fetch *fetches, int n)
{
    weft_group group = WEFT_GROUP_INIT;
    int        first, err = 0;

    for (int i = 0; i < n && err == 0; i++) {
        struct fetch *f = &fetches[i];
        err = weft_group_go(&group, fetch, &f, sizeof f);
    }
    int waited = weft_group_wait(&group, WEFT_FOREVER, &first);
    return err ? err : waited ? waited : first;
}

/* ---- A server of one page ---------------------------------------------------------------------------- */

static void serve(void *arg)
{
    static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n"
                               "Connection: close\r\n\r\nhello, curl!\n";
    weft_conn         conn = *(weft_conn *)arg;
    char              buf[4096];
    size_t            have = 0;
    ssize_t           n = 1;

    buf[0] = '\0';
    while (n > 0 && !strstr(buf, "\r\n\r\n") && have < sizeof buf - 1) {
        n = weft_conn_read(conn, buf + have, sizeof buf - 1 - have);
        have += n > 0 ? (size_t)n : 0;
        buf[have] = '\0';
    }
    if (n > 0)
        n = weft_conn_write(conn, page, sizeof page - 1);
    weft_conn_close(conn);
}

static void listen_on(void *arg)
{
    weft_listener listener = *(weft_listener *)arg;
    weft_conn     conn;

    while (weft_listener_accept(listener, &conn) == 0)
        if (weft_go(serve, &conn, sizeof conn) != 0)
            weft_conn_close(conn);
}

static int fetch_from_own(void)
{
    struct fetch  fetches[OWN] = { 0 };
    char          address[WEFT_ADDR_MAX], url[WEFT_ADDR_MAX + 8];
    weft_listener listener;
    size_t        bytes = 0;
    int           err = weft_listen(&listener, "tcp", "127.0.0.1:0");

    if (err == 0)
        err = weft_listener_address(listener, address);
    if (err == 0)
        err = weft_go(listen_on, &listener, sizeof listener);
    if (err < 0)
        return err;
    snprintf(url, sizeof url, "http://%s/", address);
    for (int i = 0; i < OWN; i++)
        fetches[i].url = url;
    err = fetch_all(fetches, OWN);
    for (int i = 0; i < OWN; i++)
        bytes += fetches[i].bytes;
    printf("%d fetches, %zu bytes, %s\n", OWN, bytes, err == 0 ? "all well" : "not all well");
    weft_listener_close(listener);
    return err;
}

static int run(void *arg)
{
    char **urls = arg;
    int    n = 0, err;

    if (!urls[0])
        return fetch_from_own();
    while (urls[n])
        n++;
    struct fetch *fetches = calloc((size_t)n, sizeof *fetches);
    if (!fetches)
        return -ENOMEM;
    for (int i = 0; i < n; i++)
        fetches[i].url = urls[i];
    err = fetch_all(fetches, n);
    for (int i = 0; i < n; i++)
        printf("%s: %s, status %ld, %zu bytes\n", fetches[i].url,
               curl_easy_strerror(fetches[i].result), fetches[i].status, fetches[i].bytes);
    free(fetches);
    return err;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(stderr, "http_fetch: libcurl does not start\n");
        return 1;
    }
    int err = weft_run(NULL, run, argv + 1);
    curl_global_cleanup();
    return err == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tests/addr_test.c - addresses from text and to text, and where one may listen. */
#include "net_support.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/un.h>

Test(addr, literals_are_read_and_written_back)
{
    static const struct {
        const char *text, *back;
        int         family;
    } table[] = {
        { "127.0.0.1:80", "127.0.0.1:80", AF_INET },
        { "0.0.0.0:0", "0.0.0.0:0", AF_INET },
        { "255.255.255.255:65535", "255.255.255.255:65535", AF_INET },
        { "127.0.0.1:00080", "127.0.0.1:80", AF_INET },
        { "[::1]:443", "[::1]:443", AF_INET6 },
        { "[::]:65535", "[::]:65535", AF_INET6 },
        { "[2001:DB8:0:0::1]:1", "[2001:db8::1]:1", AF_INET6 },
        { "[fe80::1%1]:5", "[fe80::1%1]:5", AF_INET6 },
        { "[fe80::1%lo]:5", "[fe80::1%1]:5", AF_INET6 },
        { "[::ffff:1.2.3.4]:7", "1.2.3.4:7", AF_INET6 },
        { ":8080", "[::]:8080", AF_INET6 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        weft_addr a;
        char      back[WEFT_ADDR_MAX];
        cr_assert_eq(weft_addr_parse(&a, table[i].text), 0, "%s", table[i].text);
        cr_assert_eq(a.sa.ss_family, table[i].family, "%s", table[i].text);
        cr_assert_eq(weft_addr_format(&a, back), 0);
        cr_assert_str_eq(back, table[i].back);
    }
}

static const char *const malformed[] = {
    "",
    ":",
    "80",
    "host",
    "1.2.3.4",
    "1.2.3.4:",
    "1.2.3.4:x",
    "1.2.3.4:80x",
    "1.2.3.4: 80",
    "1.2.3.4:-1",
    "1.2.3.4:+1",
    "1.2.3.4:1e1",
    "1.2.3.4:65536",
    "1.2.3.4:999999999999",
    "::1:80",
    "[::1]",
    "[::1]80",
    "[::1]:",
    "[]:80",
    "[1.2.3.4]:80",
    "[::1:80",
    "1.2.3.4.5:80",
    "256.1.1.1:80",
    "1.2.3:80",
    "[fe80::1%]:1",
    "[fe80::1%no-such]:1",
    "[fe80::1%0]:1",
    "[::1%1 ]:1",
    "[::1]]:1",
    "tcp://1.2.3.4:80",
    "1.2.3.4:80:80",
    " 1.2.3.4:80",
    "[fe80::1%an-interface-with-a-name-that-no-interface-may-have]:1",
};

enum { N_MALFORMED = sizeof malformed / sizeof malformed[0] };

Test(addr, malformed_text_is_refused_and_nothing_written)
{
    weft_addr a, before;
    memset(&before, 0x5a, sizeof before);
    for (int i = 0; i < N_MALFORMED; i++) {
        a = before;
        cr_assert_eq(weft_addr_parse(&a, malformed[i]), -EINVAL, "%s", malformed[i]);
        cr_assert_eq(memcmp(&a, &before, sizeof a), 0, "%s", malformed[i]);
    }
    cr_assert_eq(weft_addr_parse(&a, NULL), -EINVAL);
}

Test(addr, host_names_are_not_looked_up)
{
    weft_addr a;
    cr_assert_eq(weft_addr_parse(&a, "localhost:80"), -EINVAL);
    cr_assert_eq(weft_addr_parse(&a, "example.com:80"), -EINVAL);
}

Test(addr, a_text_longer_than_any_host_is_refused)
{
    weft_addr a;
    char      text[600];
    for (size_t n = 1; n < sizeof text - 4; n++) {
        memset(text, '1', n);
        strcpy(text + n, ":80");
        cr_assert_eq(weft_addr_parse(&a, text), -EINVAL);
        text[0] = '[';
        cr_assert_eq(weft_addr_parse(&a, text), -EINVAL);
    }
}

Test(addr, unix_addresses_have_a_text)
{
    weft_addr           a;
    struct sockaddr_un *un = (struct sockaddr_un *)&a.sa;
    char                text[WEFT_ADDR_MAX];
    memset(&a, 0, sizeof a);
    un->sun_family = AF_UNIX;
    a.len = sizeof(sa_family_t);
    cr_assert_eq(weft_addr_format(&a, text), 0);
    cr_assert_str_eq(text, "");

    memset(un->sun_path, 'p', sizeof un->sun_path); /* as long as can be, with no end */
    a.len = sizeof *un;
    cr_assert_eq(weft_addr_format(&a, text), 0);
    cr_assert_eq(strlen(text), sizeof un->sun_path);

    memcpy(un->sun_path, "\0name", 5);
    a.len = offsetof(struct sockaddr_un, sun_path) + 5;
    cr_assert_eq(weft_addr_format(&a, text), 0);
    cr_assert_str_eq(text, "@name");
}

Test(addr, what_is_no_address_has_no_text)
{
    weft_addr a;
    char      text[WEFT_ADDR_MAX] = "before";
    cr_assert_eq(weft_addr_parse(&a, "127.0.0.1:1"), 0);
    a.len = 3;
    cr_assert_eq(weft_addr_format(&a, text), -EINVAL);
    cr_assert_str_eq(text, "");
    a.len = sizeof a.sa + 1;
    cr_assert_eq(weft_addr_format(&a, text), -EINVAL);
    a.len = sizeof(struct sockaddr_in);
    a.sa.ss_family = AF_APPLETALK;
    cr_assert_eq(weft_addr_format(&a, text), -EAFNOSUPPORT);
    a.sa.ss_family = AF_INET6; /* too short for it */
    cr_assert_eq(weft_addr_format(&a, text), -EINVAL);
}

/* ---- Where one may listen ------------------------------------------------------------ */

static int refuse(void *arg)
{
    static const struct {
        const char *network, *address;
    } table[] = {
        { "udp", "127.0.0.1:0" },    { "unix", "/tmp/x" },      { "TCP", "127.0.0.1:0" },
        { "", "127.0.0.1:0" },       { NULL, "127.0.0.1:0" },   { "tcp", NULL },
        { "tcp4", "[::1]:0" },       { "tcp6", "127.0.0.1:0" }, { "tcp", "example.com:0" },
        { "tcp", "127.0.0.1:http" },
    };
    int           before = open_fds();
    weft_listener l = { 7 };
    (void)arg;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        CHECK_IS(weft_listen(&l, table[i].network, table[i].address), -EINVAL);
    for (int i = 0; i < N_MALFORMED; i++)
        CHECK_IS(weft_listen(&l, "tcp", malformed[i]), -EINVAL);
    CHECK_IS(l.id, 7);
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(addr, a_listener_wants_a_network_and_a_literal)
{
    run_on(1, refuse, NULL);
}

static void listens(const char *network, const char *address, const char *prefix)
{
    weft_listener l;
    char          text[WEFT_ADDR_MAX];
    CHECK_IS(weft_listen(&l, network, address), 0);
    CHECK_IS(weft_listener_address(l, text), 0);
    CHECK(strncmp(text, prefix, strlen(prefix)) == 0);
    CHECK(atoi(strrchr(text, ':') + 1) > 0); /* the real port, where 0 was asked for */
    CHECK_IS(weft_listener_close(l), 0);
}

static int listen_in_all_ways(void *arg)
{
    (void)arg;
    listens("tcp", "localhost:0", "127.0.0.1:");
    listens("tcp4", "localhost:0", "127.0.0.1:");
    listens("tcp6", "localhost:0", "[::1]:");
    listens("tcp", "LocalHost:0", "127.0.0.1:");
    listens("tcp", ":0", "[::]:");
    listens("tcp4", ":0", "0.0.0.0:");
    listens("tcp6", ":0", "[::]:");
    listens("tcp", "0.0.0.0:0", "0.0.0.0:");
    listens("tcp6", "[::1]:0", "[::1]:");
    return 0;
}

Test(addr, a_listener_says_where_it_listens)
{
    run_on(1, listen_in_all_ways, NULL);
}

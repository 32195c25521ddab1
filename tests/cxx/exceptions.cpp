/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/cxx/exceptions.cpp - C++ exceptions that stay within one coroutine work, on several Ps and
 * with parks between throw and catch; one that leaves its coroutine ends the process with weft's
 * line and then C++'s own, which tells the exception.
 */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "scale.h"

namespace
{

#define check(e) ((e) ? (void)0 : failed(__LINE__, #e))

[[noreturn]] void failed(int line, const char *what)
{
    fprintf(stderr, "exceptions.cpp:%d: does not hold: %s\n", line, what);
    _exit(1);
}

/* ---- Within one coroutine ------------------------------------------------------------------------ */

struct failure : std::runtime_error {
    long who;
    failure(long id, const std::string &text) : std::runtime_error(text), who(id)
    {
    }
};

/* Counts the frames that were unwound. */
struct guard {
    long &unwound;
    ~guard()
    {
        unwound++;
    }
};

[[gnu::noinline]] void sink(long who, int depth, long &unwound)
{
    guard g{ unwound };
    weft_yield(); /* parks inside the try block: the throw may be on another thread */
    if (depth == 0)
        throw failure(who, "coroutine " + std::to_string(who));
    sink(who, depth - 1, unwound);
}

/* By the rule of catch blocks: what was caught is taken along, and the park comes after. */
std::exception_ptr caught(long who, int depth, long &unwound)
{
    try {
        sink(who, depth, unwound);
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

[[gnu::noinline]] long rethrow(const std::exception_ptr &e, const std::string &text)
{
    try {
        try {
            std::rethrow_exception(e);
        } catch (const failure &f) {
            check(f.what() == text);
            throw; /* on, to the next */
        }
    } catch (const std::exception &f) {
        return dynamic_cast<const failure &>(f).who;
    }
    return -1;
}

std::atomic<long> rounds_done;
long              rounds;

void throws_and_catches(void *arg)
{
    long who = *static_cast<long *>(arg);
    for (long i = 0; i < rounds; i++) {
        long               unwound = 0;
        int                depth = static_cast<int>((who + i) % 7);
        std::exception_ptr e = caught(who, depth, unwound);
        check(e && unwound == depth + 1);
        weft_yield();
        check(rethrow(e, "coroutine " + std::to_string(who)) == who);
        weft_sleep(1);
        check(std::uncaught_exceptions() == 0);
        rounds_done++;
    }
}

int member(void *arg)
{
    throws_and_catches(arg);
    return 0;
}

struct crowd {
    long coroutines;
};

int run_crowd(void *arg)
{
    const crowd *c = static_cast<crowd *>(arg);
    weft_group   group = WEFT_GROUP_INIT;
    for (long i = 0; i < c->coroutines; i++)
        check(weft_group_go(&group, member, &i, sizeof i) == 0);
    return weft_group_wait(&group, WEFT_FOREVER, nullptr);
}

void stays_within(int procs)
{
    weft_options opt = {};
    crowd        c = { test_scaled(500) };
    opt.procs = procs;
    rounds = 10;
    rounds_done = 0;
    check(weft_run(&opt, run_crowd, &c) == 0);
    check(rounds_done == c.coroutines * rounds);
}

/* ---- One that leaves ------------------------------------------------------------------------------ */

void throws(void *arg)
{
    weft_sleep(WEFT_MS);
    throw failure(*static_cast<long *>(arg), "nobody catches this");
}

int throws_in_member(void *)
{
    throw 42;
}

int start_thrower(void *)
{
    weft_go_options opt = {};
    long            who = 1;
    opt.name = "thrower";
    check(weft_go_with(&opt, throws, &who, sizeof who) == 0);
    return weft_sleep(60 * WEFT_S);
}

int start_member(void *)
{
    weft_group group = WEFT_GROUP_INIT;
    check(weft_group_go(&group, throws_in_member, nullptr, 0) == 0);
    return weft_group_wait(&group, WEFT_FOREVER, nullptr);
}

int main_throws(void *)
{
    throw std::logic_error("in main");
}

/* What main says on stderr in a child that must die of SIGABRT. */
std::string dying_words(int (*main_fn)(void *))
{
    int  fds[2], status = 0;
    char text[4096];
    check(pipe(fds) == 0);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        alarm(40);
        dup2(fds[1], STDERR_FILENO);
        close(fds[1]);
        _exit(weft_run(nullptr, main_fn, nullptr) == 0 ? 0 : 1);
    }
    close(fds[1]);
    std::string said;
    for (ssize_t n; (n = read(fds[0], text, sizeof text)) > 0;)
        said.append(text, static_cast<size_t>(n));
    close(fds[0]);
    check(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fprintf(stderr, "status %d, and it said: %s\n", status, said.c_str());
        check(!"it died of SIGABRT");
    }
    return said;
}

void dies_saying(int (*main_fn)(void *), const char *line, const char *words)
{
    std::string said = dying_words(main_fn);
    size_t      ours = said.find(std::string("weft: a C++ exception left coroutine ") + line +
                                 ": catch it in the coroutine\n");
    size_t      theirs = said.find(words);
    if (ours != std::string::npos && theirs != std::string::npos && ours < theirs)
        return;
    fprintf(stderr, "it said: %s\n", said.c_str());
    check(!"the line comes first, then C++'s words");
}

} // namespace

int main()
{
    dies_saying(start_thrower, "2 (thrower)", "nobody catches this");
    dies_saying(start_member, "2 (unnamed)", "instance of 'int'");
    dies_saying(main_throws, "1 (main)", "in main");
    for (int procs : { 1, 2, 4 })
        stays_within(procs);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0

// The compute rows on Boost.Fiber: the same work as compute/weft_*.c, row by row, and it must stay
// so: same counts, same shape.  One thread runs its default scheduler; more than one steal from each
// other.  What it has no counterpart of (select, timers) is absent.  Every row checks its own result.
//
//	bench_fiber_compute ROW [--procs N] [--scale N] [--parked N]
#include "../bench.h"

#include <algorithm>
#include <atomic>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <condition_variable>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace fibers = boost::fibers;

namespace
{

const bench_args *args;

// Small stacks, recycled by malloc; the pooled allocator is not for several threads.
template <typename F> fibers::fiber start(F &&f)
{
    return fibers::fiber(std::allocator_arg, fibers::fixedsize_stack(16 * 1024),
                         std::forward<F>(f));
}

void print_per_op(const char *row, int64_t ns, long n)
{
    bench_print(row, static_cast<double>(ns) / static_cast<double>(n), "ns");
}

// ---- yield: two fibers take turns

int64_t yield_pair(long n)
{
    std::atomic<long> done{ 0 };
    auto              task = [&] {
        for (long i = 0; i < n; i++) {
            boost::this_fiber::yield();
        }
        done += n;
    };
    int64_t       t0 = bench_now();
    fibers::fiber a = start(task), b = start(task);
    a.join();
    b.join();
    t0 = bench_now() - t0;
    bench_expect("yields made", done, 2 * n);
    return t0;
}

void row_yield()
{
    long n = 2000000 / args->scale;
    yield_pair(n / 10 + 1);
    print_per_op("yield", yield_pair(n), 2 * n);
}

// ---- start and join, one at a time; 1,000 at a time

int64_t start_join(long n)
{
    long    ran = 0;
    int64_t t0 = bench_now();
    for (long i = 0; i < n; i++) {
        start([&] { ran++; }).join();
    }
    t0 = bench_now() - t0;
    bench_expect("fibers run", ran, n);
    return t0;
}

void row_start_join()
{
    long n = 1000000 / args->scale;
    start_join(n / 10 + 1);
    print_per_op("start_join", start_join(n), n);
}

int64_t start_batches(long batches, long size)
{
    std::atomic<long>          ran{ 0 };
    std::vector<fibers::fiber> all(static_cast<size_t>(size));
    int64_t                    t0 = bench_now();
    for (long i = 0; i < batches; i++) {
        for (fibers::fiber &f : all) {
            f = start([&] { ran.fetch_add(1, std::memory_order_relaxed); });
        }
        for (fibers::fiber &f : all) {
            f.join();
        }
    }
    t0 = bench_now() - t0;
    bench_expect("fibers run", ran, batches * size);
    return t0;
}

void row_start_1000()
{
    long batches = 1000 / args->scale + 1;
    start_batches(batches / 10 + 1, 1000);
    print_per_op("start_1000", start_batches(batches, 1000), batches * 1000);
}

// ---- fib: a start and a join at each inner node, one child inline

long fib_sequential(int n)
{
    return n < 2 ? n : fib_sequential(n - 1) + fib_sequential(n - 2);
}

long fib(int n, int cut)
{
    if (n < cut) {
        return fib_sequential(n);
    }
    long          value = 0;
    fibers::fiber child = start([&value, n, cut] { value = fib(n - 1, cut); });
    long          other = fib(n - 2, cut);
    child.join();
    return value + other;
}

void run_fib(const char *row, int n, int cut)
{
    fib(n - 7 > cut ? n - 7 : n, cut);
    int64_t t0 = bench_now();
    long    got = fib(n, cut);
    bench_print(row, static_cast<double>(bench_now() - t0) / 1e6, "ms");
    bench_expect(row, got, fib_sequential(n));
}

void row_fib27()
{
    run_fib("fib27", args->scale > 1 ? 15 : 27, 2);
}

void row_fib38()
{
    run_fib("fib38", args->scale > 1 ? 26 : 38, 22);
}

// ---- channels

int64_t pingpong(long n)
{
    fibers::unbuffered_channel<long> there, back;
    long                             sum = 0;
    int64_t                          t0 = bench_now();
    fibers::fiber                    serve = start([&] {
        for (long i = 0; i < n; i++) {
            there.push(i);
            sum += back.value_pop();
        }
    });
    fibers::fiber                    give_back = start([&] {
        for (long i = 0; i < n; i++) {
            back.push(there.value_pop() + 1);
        }
    });
    serve.join();
    give_back.join();
    t0 = bench_now() - t0;
    bench_expect("the sum of what came back", sum, n * (n + 1) / 2);
    return t0;
}

void row_pingpong()
{
    long n = 1000000 / args->scale;
    pingpong(n / 10 + 1);
    print_per_op("pingpong", pingpong(n), n);
}

int64_t stream(long n)
{
    fibers::buffered_channel<long> c(128);
    long                           sum = 0;
    int64_t                        t0 = bench_now();
    fibers::fiber                  produce = start([&] {
        for (long i = 1; i <= n; i++) {
            c.push(i);
        }
        c.close();
    });
    fibers::fiber                  consume = start([&] {
        long v;
        while (c.pop(v) == fibers::channel_op_status::success) {
            sum += v;
        }
    });
    produce.join();
    consume.join();
    t0 = bench_now() - t0;
    bench_expect("the sum of the elements", sum, n * (n + 1) / 2);
    return t0;
}

void row_chan128()
{
    long n = 10000000 / args->scale;
    stream(n / 10 + 1);
    print_per_op("chan128", stream(n), n);
}

// ---- the mutex

int64_t lock_crowd(int crowd, long rounds)
{
    fibers::mutex              m;
    long                       n = 0;
    std::vector<fibers::fiber> all;
    int64_t                    t0 = bench_now();
    for (int i = 0; i < crowd; i++) {
        all.push_back(start([&] {
            for (long k = 0; k < rounds; k++) {
                m.lock();
                n++;
                m.unlock();
            }
        }));
    }
    for (fibers::fiber &f : all) {
        f.join();
    }
    t0 = bench_now() - t0;
    bench_expect("the count under the lock", n, crowd * rounds);
    return t0;
}

void row_mutex()
{
    long n = 20000000 / args->scale;
    lock_crowd(1, n / 10 + 1);
    print_per_op("mutex", lock_crowd(1, n), n);
}

void row_mutex100()
{
    long rounds = 50000 / args->scale;
    lock_crowd(100, rounds / 10 + 1);
    print_per_op("mutex100", lock_crowd(100, rounds), 100 * rounds);
}

// ---- time

enum { NAPS = 10 };

// The k-th nap of sleeper i, 1 to 20 ms: scattered, and the same in each run and language.
int64_t nap_of(long i, int k)
{
    uint64_t x = static_cast<uint64_t>(i * NAPS + k + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return 1000000 + static_cast<int64_t>((x ^ (x >> 31)) % UINT64_C(19000001));
}

double cpu_ms()
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

// All n take their naps; how late each ended goes to late[].
int64_t all_sleep(long n, std::vector<int64_t> &late)
{
    std::vector<fibers::fiber> all;
    int64_t                    t0 = bench_now();
    for (long i = 0; i < n; i++) {
        all.push_back(start([&late, i] {
            for (int k = 0; k < NAPS; k++) {
                int64_t nap = nap_of(i, k), begun = bench_now();
                boost::this_fiber::sleep_for(std::chrono::nanoseconds(nap));
                late[static_cast<size_t>(i * NAPS + k)] = bench_now() - begun - nap;
            }
        }));
    }
    for (fibers::fiber &f : all) {
        f.join();
    }
    return bench_now() - t0;
}

void check_late(const std::vector<int64_t> &late)
{
    if (*std::min_element(late.begin(), late.end()) < 0) {
        bench_die("a sleep ended early");
    }
}

void row_sleeps()
{
    long                 n = 100000 / args->scale;
    std::vector<int64_t> late(static_cast<size_t>(n * NAPS));
    bench_print("sleeps", static_cast<double>(all_sleep(n, late)) / 1e6, "ms");
    check_late(late);
}

void row_sleepers()
{
    long                 n = 10000 / args->scale;
    std::vector<int64_t> late(static_cast<size_t>(n * NAPS));
    double               cpu = cpu_ms();
    all_sleep(n, late);
    cpu = cpu_ms() - cpu;
    check_late(late);
    bench_print("sleepers_late", static_cast<double>(bench_median(late.data(), n * NAPS)) / 1e3,
                "us");
    bench_print("sleepers_cpu", cpu, "ms");
}

// ---- many parked

void row_parked()
{
    long                       n = args->parked;
    fibers::mutex              m;
    fibers::condition_variable gate, all;
    bool                       open = false;
    long                       started = 0, woken = 0;
    double                     rss = static_cast<double>(bench_status_bytes("VmRSS"));
    double                     pte = static_cast<double>(bench_status_bytes("VmPTE"));
    double                     count = static_cast<double>(n);
    int64_t                    t0 = bench_now();

    for (long i = 0; i < n; i++) {
        start([&] {
            std::unique_lock<fibers::mutex> held(m);
            if (++started == n) {
                all.notify_one();
            }
            gate.wait(held, [&] { return open; });
            if (++woken == n) {
                all.notify_one();
            }
        }).detach();
    }
    std::unique_lock<fibers::mutex> held(m);
    all.wait(held, [&] { return started == n; });
    t0 = bench_now() - t0;
    rss = static_cast<double>(bench_status_bytes("VmRSS")) - rss;
    pte = static_cast<double>(bench_status_bytes("VmPTE")) - pte;
    print_per_op("start_park", t0, n);
    t0 = bench_now();
    open = true;
    gate.notify_all();
    all.wait(held, [&] { return woken == n; });
    print_per_op("wake_end", bench_now() - t0, n);
    bench_print("parked_rss", rss / count, "bytes");
    bench_print("parked_pte", pte / count, "bytes");
    bench_print("parked_all", (rss + pte) / count, "bytes");
}

void row_hello()
{
    start([] { bench_print("hello", 0, "us"); }).join();
}

const struct {
    const char *name;
    void (*run)();
} rows[] = {
    { "hello", row_hello },           { "yield", row_yield },     { "start_join", row_start_join },
    { "start_1000", row_start_1000 }, { "fib27", row_fib27 },     { "fib38", row_fib38 },
    { "pingpong", row_pingpong },     { "chan128", row_chan128 }, { "mutex", row_mutex },
    { "mutex100", row_mutex100 },     { "sleeps", row_sleeps },   { "sleepers", row_sleepers },
    { "parked", row_parked },
};

// ---- the other threads: each steals until the row is done

class team
{
  public:
    explicit team(int n)
    {
        for (int i = 1; i < n; i++) {
            threads.emplace_back([this, n] {
                fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(
                    static_cast<uint32_t>(n));
                std::unique_lock<fibers::mutex> held(m);
                over.wait(held, [this] { return done; });
            });
        }
        if (n > 1) {
            fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(static_cast<uint32_t>(n));
        }
    }

    ~team()
    {
        {
            std::unique_lock<fibers::mutex> held(m);
            done = true;
            over.notify_all();
        }
        for (std::thread &t : threads) {
            t.join();
        }
    }

  private:
    std::vector<std::thread>   threads;
    fibers::mutex              m;
    fibers::condition_variable over;
    bool                       done = false;
};

} // namespace

int main(int argc, char **argv)
{
    bench_args a = bench_parse(argc, argv);
    args = &a;
    mallopt(M_TRIM_THRESHOLD, 1 << 30); // free stacks stay warm
    for (const auto &row : rows) {
        if (strcmp(row.name, a.row) == 0) {
            team others(a.procs);
            row.run();
            return 0;
        }
    }
    fprintf(stderr, "bench: no row %s here\n", a.row);
    return 2;
}

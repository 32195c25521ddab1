// SPDX-License-Identifier: Apache-2.0

// The compute rows on tokio: the same work as compute/weft_*.c, row by row, and it must stay so:
// same counts, same shape.  Tasks have no stacks: what tokio lacks (an unbuffered channel) is the
// nearest that it has (one of 1).  Every row checks its own result and panics when it is wrong.
//
//	bench_tokio_compute ROW [--procs N] [--scale N] [--parked N]
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex, Notify, Semaphore};
use tokio::task::{spawn, yield_now};

#[derive(Clone, Copy)]
struct Args {
    procs: usize,
    scale: i64,
    parked: i64,
}

fn report(row: &str, value: f64, unit: &str) {
    println!("{row} {value:.4} {unit}");
}

fn per_op(row: &str, d: Duration, n: i64) {
    report(row, d.as_nanos() as f64 / n as f64, "ns");
}

fn expect(what: &str, got: i64, want: i64) {
    assert!(got == want, "{what}: got {got}, want {want}");
}

// ---- yield: two tasks take turns

async fn yield_pair(n: i64) -> Duration {
    let t0 = Instant::now();
    let task = || {
        spawn(async move {
            let mut k = 0;
            while k < n {
                yield_now().await;
                k += 1;
            }
            k
        })
    };
    let (a, b) = (task(), task());
    let done = a.await.unwrap() + b.await.unwrap();
    expect("yields made", done, 2 * n);
    t0.elapsed()
}

async fn row_yield(a: Args) {
    let n = 2000000 / a.scale;
    yield_pair(n / 10 + 1).await;
    per_op("yield", yield_pair(n).await, 2 * n);
}

// ---- start and join, one at a time; 1,000 at a time

async fn start_join(n: i64) -> Duration {
    let t0 = Instant::now();
    let mut ran = 0;
    for _ in 0..n {
        ran += spawn(async { 1 }).await.unwrap();
    }
    expect("tasks run", ran, n);
    t0.elapsed()
}

async fn row_start_join(a: Args) {
    let n = 1000000 / a.scale;
    start_join(n / 10 + 1).await;
    per_op("start_join", start_join(n).await, n);
}

async fn start_batches(batches: i64, size: i64) -> Duration {
    let t0 = Instant::now();
    let mut handles = Vec::with_capacity(size as usize);
    let mut ran = 0;
    for _ in 0..batches {
        for _ in 0..size {
            handles.push(spawn(async { 1 }));
        }
        for h in handles.drain(..) {
            ran += h.await.unwrap();
        }
    }
    expect("tasks run", ran, batches * size);
    t0.elapsed()
}

async fn row_start_1000(a: Args) {
    let batches = 1000 / a.scale + 1;
    start_batches(batches / 10 + 1, 1000).await;
    per_op("start_1000", start_batches(batches, 1000).await, batches * 1000);
}

// ---- fib: a start and a join at each inner node, one child inline

fn fib_sequential(n: i64) -> i64 {
    if n < 2 {
        n
    } else {
        fib_sequential(n - 1) + fib_sequential(n - 2)
    }
}

fn fib(n: i64, cut: i64) -> Pin<Box<dyn Future<Output = i64> + Send>> {
    Box::pin(async move {
        if n < cut {
            return fib_sequential(n);
        }
        let child = spawn(fib(n - 1, cut));
        let other = fib(n - 2, cut).await;
        child.await.unwrap() + other
    })
}

async fn run_fib(row: &str, n: i64, cut: i64) {
    fib(if n - 7 > cut { n - 7 } else { n }, cut).await;
    let t0 = Instant::now();
    let got = fib(n, cut).await;
    report(row, t0.elapsed().as_nanos() as f64 / 1e6, "ms");
    expect(row, got, fib_sequential(n));
}

// ---- channels

async fn pingpong(n: i64) -> Duration {
    let (there, mut from_there) = mpsc::channel::<i64>(1);
    let (back, mut from_back) = mpsc::channel::<i64>(1);
    let t0 = Instant::now();
    let serve = spawn(async move {
        let mut sum = 0;
        for i in 0..n {
            there.send(i).await.unwrap();
            sum += from_back.recv().await.unwrap();
        }
        sum
    });
    let give_back = spawn(async move {
        for _ in 0..n {
            let v = from_there.recv().await.unwrap();
            back.send(v + 1).await.unwrap();
        }
    });
    expect("the sum of what came back", serve.await.unwrap(), n * (n + 1) / 2);
    give_back.await.unwrap();
    t0.elapsed()
}

async fn row_pingpong(a: Args) {
    let n = 1000000 / a.scale;
    pingpong(n / 10 + 1).await;
    per_op("pingpong", pingpong(n).await, n);
}

async fn stream(n: i64) -> Duration {
    let (tx, mut rx) = mpsc::channel::<i64>(128);
    let t0 = Instant::now();
    spawn(async move {
        for i in 1..=n {
            tx.send(i).await.unwrap();
        }
    });
    let consumer = spawn(async move {
        let mut sum = 0;
        while let Some(v) = rx.recv().await {
            sum += v;
        }
        sum
    });
    expect("the sum of the elements", consumer.await.unwrap(), n * (n + 1) / 2);
    t0.elapsed()
}

async fn row_chan128(a: Args) {
    let n = 10000000 / a.scale;
    stream(n / 10 + 1).await;
    per_op("chan128", stream(n).await, n);
}

async fn select_fan(n: i64) -> Duration {
    let t0 = Instant::now();
    let mut rx = Vec::new();
    for _ in 0..4 {
        let (tx, r) = mpsc::channel::<i64>(1);
        rx.push(r);
        spawn(async move {
            for i in 1..=n {
                tx.send(i).await.unwrap();
            }
            tx.closed().await; // so that the others' select never sees its end
        });
    }
    let (mut d, mut c) = (rx.pop().unwrap(), rx.pop().unwrap());
    let (mut b, mut a) = (rx.pop().unwrap(), rx.pop().unwrap());
    let consumer = spawn(async move {
        let mut sum = 0;
        for _ in 0..4 * n {
            sum += tokio::select! {
                Some(v) = a.recv() => v,
                Some(v) = b.recv() => v,
                Some(v) = c.recv() => v,
                Some(v) = d.recv() => v,
            };
        }
        sum
    });
    expect("the sum of the elements", consumer.await.unwrap(), 4 * (n * (n + 1) / 2));
    t0.elapsed()
}

async fn row_select4(a: Args) {
    let n = 500000 / a.scale;
    select_fan(n / 10 + 1).await;
    per_op("select4", select_fan(n).await, 4 * n);
}

// A task returns its sum to whoever awaits it: tokio's experts need no channel for that.
fn skynet_node(first: i64, leaves: i64) -> Pin<Box<dyn Future<Output = i64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let share = leaves / 10;
        let children: Vec<_> =
            (0..10).map(|i| spawn(skynet_node(first + i * share, share))).collect();
        let mut sum = 0;
        for c in children {
            sum += c.await.unwrap();
        }
        sum
    })
}

async fn skynet(leaves: i64) -> Duration {
    let t0 = Instant::now();
    let sum = spawn(skynet_node(0, leaves)).await.unwrap();
    expect("the sum of the leaves", sum, leaves * (leaves - 1) / 2);
    t0.elapsed()
}

async fn row_skynet(a: Args) {
    skynet(1000).await;
    let d = skynet(if a.scale > 1 { 1000 } else { 1000000 }).await;
    report("skynet", d.as_nanos() as f64 / 1e6, "ms");
}

// ---- the mutex

async fn lock_crowd(crowd: i64, rounds: i64) -> Duration {
    let m = Arc::new(Mutex::new(0i64));
    let t0 = Instant::now();
    let tasks: Vec<_> = (0..crowd)
        .map(|_| {
            let m = m.clone();
            spawn(async move {
                for _ in 0..rounds {
                    *m.lock().await += 1;
                }
            })
        })
        .collect();
    for t in tasks {
        t.await.unwrap();
    }
    expect("the count under the lock", *m.lock().await, crowd * rounds);
    t0.elapsed()
}

async fn row_mutex(a: Args) {
    let n = 20000000 / a.scale;
    lock_crowd(1, n / 10 + 1).await;
    per_op("mutex", lock_crowd(1, n).await, n);
}

async fn row_mutex100(a: Args) {
    let rounds = 50000 / a.scale;
    lock_crowd(100, rounds / 10 + 1).await;
    per_op("mutex100", lock_crowd(100, rounds).await, 100 * rounds);
}

// ---- time

const NAPS: i64 = 10;

// The k-th nap of sleeper i, 1 to 20 ms: scattered, and the same in each run and language.
fn nap_of(i: i64, k: i64) -> Duration {
    let mut x = ((i * NAPS + k + 1) as u64).wrapping_mul(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d049bb133111eb);
    Duration::from_nanos(1000000 + (x ^ (x >> 31)) % 19000001)
}

fn ideal_of(n: i64) -> Duration {
    (0..n).map(|i| (0..NAPS).map(|k| nap_of(i, k)).sum()).max().unwrap()
}

async fn row_sleeps(a: Args) {
    let n = 100000 / a.scale;
    let t0 = Instant::now();
    let tasks: Vec<_> = (0..n)
        .map(|i| {
            spawn(async move {
                for k in 0..NAPS {
                    tokio::time::sleep(nap_of(i, k)).await;
                }
            })
        })
        .collect();
    for t in tasks {
        t.await.unwrap();
    }
    let d = t0.elapsed();
    assert!(d >= ideal_of(n), "all were through before the unluckiest could be");
    report("sleeps", d.as_nanos() as f64 / 1e6, "ms");
}

fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let own: f64 = text.split(' ').next().unwrap().parse().unwrap();
    let mut all = 0.0;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap();
        all += text.split(' ').next().unwrap().parse::<f64>().unwrap();
    }
    all.max(own) / 1e6
}

async fn row_sleepers(a: Args) {
    let n = 10000 / a.scale;
    let cpu = cpu_ms();
    let tasks: Vec<_> = (0..n)
        .map(|i| {
            spawn(async move {
                let mut late = Vec::with_capacity(NAPS as usize);
                for k in 0..NAPS {
                    let (nap, t0) = (nap_of(i, k), Instant::now());
                    tokio::time::sleep(nap).await;
                    late.push(t0.elapsed().checked_sub(nap).expect("a sleep ended early"));
                }
                late
            })
        })
        .collect();
    let mut late = Vec::new();
    for t in tasks {
        late.extend(t.await.unwrap());
    }
    let cpu = cpu_ms() - cpu;
    expect("naps taken", late.len() as i64, n * NAPS);
    late.sort();
    report("sleepers_late", late[late.len() / 2].as_nanos() as f64 / 1e3, "us");
    report("sleepers_cpu", cpu, "ms");
}

// A timer starts when its future is first polled, and stops when it is dropped.
struct PollOnce<'a>(Pin<&'a mut tokio::time::Sleep>);

impl Future for PollOnce<'_> {
    type Output = bool;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(self.0.as_mut().poll(cx).is_ready())
    }
}

async fn start_stop(n: i64) -> Duration {
    let t0 = Instant::now();
    let mut stopped = 0;
    for _ in 0..n {
        let sleep = tokio::time::sleep(Duration::from_secs(3600));
        tokio::pin!(sleep);
        stopped += i64::from(!PollOnce(sleep).await);
    }
    expect("timers stopped before they fired", stopped, n);
    t0.elapsed()
}

async fn row_timer(a: Args) {
    let n = 2000000 / a.scale;
    start_stop(n / 10 + 1).await;
    per_op("timer", start_stop(n).await, n);
}

// ---- many parked

fn status_bytes(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with(field)).expect("no such field");
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

async fn row_parked(a: Args) {
    struct Crowd {
        gate: Semaphore,
        started: AtomicI64,
        ended: AtomicI64,
        all: Notify,
    }
    let n = a.parked;
    let (rss, pte) = (status_bytes("VmRSS:"), status_bytes("VmPTE:"));
    let c = Arc::new(Crowd {
        gate: Semaphore::new(0),
        started: AtomicI64::new(0),
        ended: AtomicI64::new(0),
        all: Notify::new(),
    });
    let t0 = Instant::now();
    for _ in 0..n {
        let c = c.clone();
        spawn(async move {
            if c.started.fetch_add(1, Relaxed) + 1 == n {
                c.all.notify_one();
            }
            let closed = c.gate.acquire().await.is_err();
            if closed && c.ended.fetch_add(1, Relaxed) + 1 == n {
                c.all.notify_one();
            }
        });
    }
    c.all.notified().await;
    let started = t0.elapsed();
    let (rss, pte) = (status_bytes("VmRSS:") - rss, status_bytes("VmPTE:") - pte);
    let t0 = Instant::now();
    c.gate.close(); // wakes all
    c.all.notified().await;
    per_op("start_park", started, n);
    per_op("wake_end", t0.elapsed(), n);
    report("parked_rss", rss / n as f64, "bytes");
    report("parked_pte", pte / n as f64, "bytes");
    report("parked_all", (rss + pte) / n as f64, "bytes");
    expect("tasks woken", c.ended.load(Relaxed), n);
}

// ---- the command line

async fn run(row: String, a: Args) {
    let small = a.scale > 1;
    match row.as_str() {
        "hello" => println!("hello"),
        "yield" => row_yield(a).await,
        "start_join" => row_start_join(a).await,
        "start_1000" => row_start_1000(a).await,
        "fib27" => run_fib("fib27", if small { 15 } else { 27 }, 2).await,
        "fib38" => run_fib("fib38", if small { 26 } else { 38 }, 22).await,
        "pingpong" => row_pingpong(a).await,
        "chan128" => row_chan128(a).await,
        "select4" => row_select4(a).await,
        "mutex" => row_mutex(a).await,
        "mutex100" => row_mutex100(a).await,
        "skynet" => row_skynet(a).await,
        "sleeps" => row_sleeps(a).await,
        "sleepers" => row_sleepers(a).await,
        "timer" => row_timer(a).await,
        "parked" => row_parked(a).await,
        _ => panic!("no row {row} here"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut a = Args { procs: 1, scale: 1, parked: 1000000 };
    assert!(
        args.len() >= 2 && args.len() % 2 == 0,
        "give ROW [--procs N] [--scale N] [--parked N]"
    );
    for pair in args[2..].chunks(2) {
        let v: i64 = pair[1].parse().expect("give a number from 1");
        match pair[0].as_str() {
            "--procs" => a.procs = v as usize,
            "--scale" => a.scale = v,
            "--parked" => a.parked = v,
            other => panic!("unknown option {other}"),
        }
    }
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(a.procs)
        .enable_all()
        .build()
        .unwrap();
    let row = args[1].clone();
    rt.block_on(async move { spawn(run(row, a)).await.unwrap() }); // on a worker, not beside them
}

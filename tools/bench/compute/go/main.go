// SPDX-License-Identifier: Apache-2.0

// The compute rows on Go: the same work as compute/weft_*.c, row by row, each
// family in the file of the same name, and it must stay so: same counts, same shape.  Where Go offers several ways
// (a WaitGroup, a channel, buffered or not) the one that was fastest is here.
// Every row checks its own result and ends with status 1 when it is wrong.
//
//	go_compute ROW [--procs N] [--scale N] [--parked N]
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var procs, scale, parked = 1, 1, 1000000

func die(status int, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
	os.Exit(status)
}

func expect(what string, got, want int64) {
	if got != want {
		die(1, "%s: got %d, want %d", what, got, want)
	}
}

func report(row string, value float64, unit string) {
	fmt.Printf("%s %.4g %s\n", row, value, unit)
}

func perOp(row string, d time.Duration, n int) {
	report(row, float64(d.Nanoseconds())/float64(n), "ns")
}

// ---- yield: two goroutines take turns

func yieldPair(n int) time.Duration {
	var wg sync.WaitGroup
	var done [2]int
	t0 := time.Now()
	wg.Add(2)
	for i := 0; i < 2; i++ {
		i := i
		go func() {
			k := 0
			for ; k < n; k++ {
				runtime.Gosched()
			}
			done[i] = k
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t0)
	expect("yields made", int64(done[0]+done[1]), int64(2*n))
	return d
}

func rowYield() {
	n := 2000000 / scale
	yieldPair(n/10 + 1)
	perOp("yield", yieldPair(n), 2*n)
}

// ---- start and join, one at a time: an unbuffered channel is Go's fastest join

func startJoin(n int) time.Duration {
	ran := 0
	joined := make(chan struct{})
	task := func() {
		ran++
		joined <- struct{}{}
	}
	t0 := time.Now()
	for i := 0; i < n; i++ {
		go task()
		<-joined
	}
	d := time.Since(t0)
	expect("goroutines run", int64(ran), int64(n))
	return d
}

func rowStartJoin() {
	n := 1000000 / scale
	startJoin(n/10 + 1)
	perOp("start_join", startJoin(n), n)
}

// ---- start 1,000 at a time

type batch struct {
	wg sync.WaitGroup
	n  atomic.Int64
	_  [40]byte
}

func startBatches(batches, size int) time.Duration {
	b := new(batch)
	task := func() {
		b.n.Add(1)
		b.wg.Done()
	}
	t0 := time.Now()
	for i := 0; i < batches; i++ {
		b.wg.Add(size)
		for k := 0; k < size; k++ {
			go task()
		}
		b.wg.Wait()
	}
	d := time.Since(t0)
	expect("goroutines run", b.n.Load(), int64(batches*size))
	return d
}

func rowStart1000() {
	batches := 1000/scale + 1
	startBatches(batches/10+1, 1000)
	perOp("start_1000", startBatches(batches, 1000), batches*1000)
}

// ---- fib: a start and a join at each inner node, one child inline

type fibNode struct {
	wg     sync.WaitGroup
	value  int
	n, cut int
}

func fibSequential(n int) int {
	if n < 2 {
		return n
	}
	return fibSequential(n-1) + fibSequential(n-2)
}

func (f *fibNode) run() {
	f.value = fib(f.n, f.cut)
	f.wg.Done()
}

func fib(n, cut int) int {
	if n < cut {
		return fibSequential(n)
	}
	f := &fibNode{n: n - 1, cut: cut}
	f.wg.Add(1)
	go f.run()
	other := fib(n-2, cut)
	f.wg.Wait()
	return f.value + other
}

func runFib(row string, n, cut int) {
	if n-7 > cut {
		fib(n-7, cut)
	} else {
		fib(n, cut)
	}
	t0 := time.Now()
	got := fib(n, cut)
	report(row, float64(time.Since(t0).Nanoseconds())/1e6, "ms")
	expect(row, int64(got), int64(fibSequential(n)))
}

func rowFib27() {
	if scale > 1 {
		runFib("fib27", 15, 2)
	} else {
		runFib("fib27", 27, 2)
	}
}

func rowFib38() {
	if scale > 1 {
		runFib("fib38", 26, 22)
	} else {
		runFib("fib38", 38, 22)
	}
}

// ---- one million parked

// A field of /proc/self/status that is given in kB, in bytes.
func statusBytes(field string) int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		die(1, "%v", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) > 1 && words[0] == field+":" {
			if kb, err := strconv.ParseInt(words[1], 10, 64); err == nil {
				return kb * 1024
			}
		}
	}
	die(1, "/proc/self/status has no field %s", field)
	return 0
}

func rowParked() {
	var started, ended sync.WaitGroup
	var woken atomic.Int64
	gate := make(chan struct{})
	n := parked
	rss, pte := statusBytes("VmRSS"), statusBytes("VmPTE")
	task := func() {
		started.Done()
		<-gate
		woken.Add(1)
		ended.Done()
	}

	t0 := time.Now()
	started.Add(n)
	ended.Add(n)
	for i := 0; i < n; i++ {
		go task()
	}
	started.Wait()
	start := time.Since(t0)
	rss = statusBytes("VmRSS") - rss
	pte = statusBytes("VmPTE") - pte

	t0 = time.Now()
	close(gate)
	ended.Wait()
	perOp("start_park", start, n)
	perOp("wake_end", time.Since(t0), n)
	report("parked_rss", float64(rss)/float64(n), "bytes")
	report("parked_pte", float64(pte)/float64(n), "bytes")
	report("parked_all", float64(rss+pte)/float64(n), "bytes")
	expect("goroutines woken", woken.Load(), int64(n))
}

// ---- the command line

var rows = map[string]func(){
	"hello":      func() { report("hello", 0, "us") },
	"yield":      rowYield,
	"start_join": rowStartJoin,
	"start_1000": rowStart1000,
	"fib27":      rowFib27,
	"fib38":      rowFib38,
	"pingpong":   rowPingpong,
	"chan128":    rowChan128,
	"select4":    rowSelect4,
	"mutex":      rowMutex,
	"mutex100":   rowMutex100,
	"skynet":     rowSkynet,
	"sleeps":     rowSleeps,
	"sleepers":   rowSleepers,
	"timer":      rowTimer,
	"wake":       rowWake,
	"parked":     rowParked,
}

func main() {
	args := os.Args[1:]
	if len(args) == 0 || len(args)%2 == 0 {
		die(2, "usage: go_compute ROW [--procs N] [--scale N] [--parked N]")
	}
	for i := 1; i < len(args); i += 2 {
		v, err := strconv.Atoi(args[i+1])
		if err != nil || v < 1 {
			die(2, "%s %s: give a number from 1", args[i], args[i+1])
		}
		switch args[i] {
		case "--procs":
			procs = v
		case "--scale":
			scale = v
		case "--parked":
			parked = v
		default:
			die(2, "unknown option %s", args[i])
		}
	}
	run, ok := rows[args[0]]
	if !ok {
		die(2, "no row %s here", args[0])
	}
	runtime.GOMAXPROCS(procs)
	run()
}

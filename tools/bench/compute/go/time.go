// SPDX-License-Identifier: Apache-2.0

// Sleeps and timers on Go: the same work as compute/weft_time.c, nap by nap.
package main

import (
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const naps = 10

// The k-th nap of sleeper i, 1 to 20 ms: scattered, and the same in each run and language.
func napOf(i, k int) time.Duration {
	x := uint64(i*naps+k+1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return time.Millisecond + time.Duration((x^x>>31)%uint64(19*time.Millisecond+1))
}

// How long the unluckiest of n sleepers would take if every nap ended on time.
func idealOf(n int) time.Duration {
	var longest time.Duration
	for i := 0; i < n; i++ {
		var sum time.Duration
		for k := 0; k < naps; k++ {
			sum += napOf(i, k)
		}
		if sum > longest {
			longest = sum
		}
	}
	return longest
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		die(1, "getrusage: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ---- sleeps: very many at once, how long until all are through

func allSleep(n int, task func(i int)) time.Duration {
	var wg sync.WaitGroup
	var taken atomic.Int64
	t0 := time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		i := i
		go func() {
			task(i)
			taken.Add(naps)
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t0)
	expect("naps taken", taken.Load(), int64(naps*n))
	return d
}

func rowSleeps() {
	n := 100000 / scale
	ideal := idealOf(n)
	took := allSleep(n, func(i int) {
		for k := 0; k < naps; k++ {
			time.Sleep(napOf(i, k))
		}
	})
	if took < ideal {
		die(1, "all were through after %v, before the %v that one had to sleep", took, ideal)
	}
	report("sleeps", float64(took.Nanoseconds())/1e6, "ms")
}

// ---- sleepers: how late each nap ends, and what the CPU pays

func rowSleepers() {
	n := 10000 / scale
	late := make([]time.Duration, n*naps)
	cpu := cpuTime()
	allSleep(n, func(i int) {
		for k := 0; k < naps; k++ {
			nap, t0 := napOf(i, k), time.Now()
			time.Sleep(nap)
			l := time.Since(t0) - nap
			if l < 0 {
				die(1, "a sleep of %v ended %v early", nap, -l)
			}
			late[i*naps+k] = l
		}
	})
	cpu = cpuTime() - cpu
	report("sleepers_late", float64(median(late).Nanoseconds())/1e3, "us")
	report("sleepers_cpu", float64(cpu.Nanoseconds())/1e6, "ms")
}

// Sorts v.
func median(v []time.Duration) time.Duration {
	if len(v) == 0 {
		die(1, "nothing was measured")
	}
	sort.Slice(v, func(a, b int) bool { return v[a] < v[b] })
	return v[len(v)/2]
}

// ---- timer: one is started and stopped before it fires

func startStop(n int) time.Duration {
	stopped := 0
	t0 := time.Now()
	for i := 0; i < n; i++ {
		if time.NewTimer(time.Hour).Stop() {
			stopped++
		}
	}
	d := time.Since(t0)
	expect("timers stopped before they fired", int64(stopped), int64(n))
	return d
}

func rowTimer() {
	n := 2000000 / scale
	startStop(n/10 + 1)
	perOp("timer", startStop(n), n)
}

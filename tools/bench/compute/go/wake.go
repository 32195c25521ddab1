// SPDX-License-Identifier: Apache-2.0

// A parked goroutine, woken by one that stays busy: the same as compute/weft_wake.c.
package main

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const mostWakes = 5 * time.Second // no more wakes after this long

const (
	processClock = 2 // CLOCK_PROCESS_CPUTIME_ID
	threadClock  = 3 // CLOCK_THREAD_CPUTIME_ID
)

func cpuClock(clock uintptr) int64 {
	var ts syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// CPU time of the other threads while this one was busy, over that time.
type burn struct {
	others, busy int64
}

// b may be nil: then nobody asks.  A spell that changed its thread does not count.
func busy(gap time.Duration, b *burn) {
	t0 := time.Now()
	if b == nil {
		for time.Since(t0) < gap {
		}
		return
	}
	thread := syscall.Gettid()
	others := cpuClock(processClock) - cpuClock(threadClock)
	for time.Since(t0) < gap {
	}
	others = cpuClock(processClock) - cpuClock(threadClock) - others
	if syscall.Gettid() == thread {
		b.others += others
		b.busy += time.Since(t0).Nanoseconds()
	}
}

type alarm struct {
	c        chan time.Time // when it was sent; room for one
	wg       sync.WaitGroup
	answered atomic.Int64
	latency  []time.Duration
}

func (w *alarm) answer() {
	for sent := range w.c {
		w.latency = append(w.latency, time.Since(sent))
		w.answered.Add(1)
	}
	w.wg.Done()
}

// How many were made: n, fewer if they take too long.
func (w *alarm) rounds(n int, gap time.Duration, b *burn) int {
	begin := time.Now()
	i := 0
	for ; i < n && time.Since(begin) < mostWakes; i++ {
		busy(gap, b)
		w.c <- time.Now()
		for w.answered.Load() <= int64(i) {
		}
	}
	return i
}

func wakeRun(name, burnName string, n int, gap time.Duration) {
	w := &alarm{c: make(chan time.Time, 1), latency: make([]time.Duration, 0, n)}
	var b *burn
	if burnName != "" {
		b = new(burn)
	}
	w.wg.Add(1)
	go w.answer()
	made := w.rounds(n, gap, b)
	close(w.c)
	w.wg.Wait()
	expect("wakes answered", w.answered.Load(), int64(made))
	report(name, float64(median(w.latency).Nanoseconds())/1e3, "us")
	if b != nil && b.busy > 0 {
		report(burnName, float64(b.others)*1e3/float64(b.busy), "us")
	}
}

func rowWake() {
	if procs < 2 {
		die(1, "wake: the waker keeps its P, so give --procs 2")
	}
	wakeRun("wake_3us", "", 20000/scale+10, 3*time.Microsecond)
	wakeRun("wake_100us", "", 3000/scale+10, 100*time.Microsecond)
	wakeRun("wake_1ms", "wake_1ms_burn", 1000/scale+10, time.Millisecond)
}

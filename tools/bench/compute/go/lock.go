// SPDX-License-Identifier: Apache-2.0

// The mutex on Go: the same work as compute/weft_lock.c.
package main

import (
	"sync"
	"time"
)

type guarded struct {
	m      sync.Mutex
	wg     sync.WaitGroup
	rounds int // of each goroutine
	n      int // under m
}

func (g *guarded) count() {
	for i := 0; i < g.rounds; i++ {
		g.m.Lock()
		g.n++
		g.m.Unlock()
	}
}

// ---- uncontended: one goroutine locks and unlocks

func lockAlone(n int) time.Duration {
	g := &guarded{rounds: n}
	t0 := time.Now()
	g.count()
	d := time.Since(t0)
	expect("the count under the lock", int64(g.n), int64(n))
	return d
}

func rowMutex() {
	n := 20000000 / scale
	lockAlone(n/10 + 1)
	perOp("mutex", lockAlone(n), n)
}

// ---- 100 goroutines want the same one

const crowd = 100

func lockCrowd(rounds int) time.Duration {
	g := &guarded{rounds: rounds}
	t0 := time.Now()
	g.wg.Add(crowd)
	for i := 0; i < crowd; i++ {
		go func() {
			g.count()
			g.wg.Done()
		}()
	}
	g.wg.Wait()
	d := time.Since(t0)
	expect("the count under the lock", int64(g.n), int64(crowd*rounds))
	return d
}

func rowMutex100() {
	rounds := 50000 / scale
	lockCrowd(rounds/10 + 1)
	perOp("mutex100", lockCrowd(rounds), crowd*rounds)
}

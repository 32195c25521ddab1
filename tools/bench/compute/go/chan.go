// SPDX-License-Identifier: Apache-2.0

// Channels and select on Go: the same work as compute/weft_chan.c.
package main

import (
	"sync"
	"time"
)

// ---- pingpong: two goroutines, two unbuffered channels, a round trip

func pingpong(n int) time.Duration {
	var wg sync.WaitGroup
	there, back := make(chan int), make(chan int)
	sum := 0
	t0 := time.Now()
	wg.Add(2)
	go func() {
		for i := 0; i < n; i++ {
			there <- i
			sum += <-back
		}
		wg.Done()
	}()
	go func() {
		for i := 0; i < n; i++ {
			back <- <-there + 1
		}
		wg.Done()
	}()
	wg.Wait()
	d := time.Since(t0)
	expect("the sum of what came back", int64(sum), int64(n)*int64(n+1)/2)
	return d
}

func rowPingpong() {
	n := 1000000 / scale
	pingpong(n/10 + 1)
	perOp("pingpong", pingpong(n), n)
}

// ---- chan128: one producer, one consumer, 128 elements of room

func stream(n int) time.Duration {
	var wg sync.WaitGroup
	c := make(chan int, 128)
	sum := 0
	t0 := time.Now()
	wg.Add(2)
	go func() {
		for i := 1; i <= n; i++ {
			c <- i
		}
		close(c)
		wg.Done()
	}()
	go func() {
		s := 0
		for v := range c {
			s += v
		}
		sum = s
		wg.Done()
	}()
	wg.Wait()
	d := time.Since(t0)
	expect("the sum of the elements", int64(sum), int64(n)*int64(n+1)/2)
	return d
}

func rowChan128() {
	n := 10000000 / scale
	stream(n/10 + 1)
	perOp("chan128", stream(n), n)
}

// ---- select4: one consumer selects over the channels of four producers

const ways = 4

func selectFan(n int) time.Duration {
	var wg sync.WaitGroup
	var c [ways]chan int
	for k := range c {
		c[k] = make(chan int)
	}
	sum := 0
	t0 := time.Now()
	wg.Add(ways + 1)
	go func() {
		c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
		s := 0
		for i := 0; i < ways*n; i++ {
			select {
			case v := <-c0:
				s += v
			case v := <-c1:
				s += v
			case v := <-c2:
				s += v
			case v := <-c3:
				s += v
			}
		}
		sum = s
		wg.Done()
	}()
	for k := 0; k < ways; k++ {
		to := c[k]
		go func() {
			for i := 1; i <= n; i++ {
				to <- i
			}
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t0)
	expect("the sum of the elements", int64(sum), ways*(int64(n)*int64(n+1)/2))
	return d
}

func rowSelect4() {
	n := 500000 / scale
	selectFan(n/10 + 1)
	perOp("select4", selectFan(n), ways*n)
}

// ---- skynet: a tree of goroutines, each sums its ten children

const children = 10

func skynetNode(parent chan int, first, leaves int) {
	if leaves == 1 {
		parent <- first
		return
	}
	mine := make(chan int)
	for i := 0; i < children; i++ {
		share := leaves / children
		go skynetNode(mine, first+i*share, share)
	}
	sum := 0
	for i := 0; i < children; i++ {
		sum += <-mine
	}
	parent <- sum
}

func skynet(leaves int) time.Duration {
	c := make(chan int)
	t0 := time.Now()
	go skynetNode(c, 0, leaves)
	expect("the sum of the leaves", int64(<-c), int64(leaves)*int64(leaves-1)/2)
	return time.Since(t0)
}

func rowSkynet() {
	leaves := 1000000
	if scale > 1 {
		leaves = 1000
	}
	skynet(1000)
	report("skynet", float64(skynet(leaves).Nanoseconds())/1e6, "ms")
}

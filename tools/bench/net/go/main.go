// SPDX-License-Identifier: Apache-2.0

// The echo server as one writes it in Go: one goroutine for each connection.
//
//	go_echo [PROCS] ADDRESS
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
)

func die(status int, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "go_echo: "+format+"\n", args...)
	os.Exit(status)
}

func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		die(2, "usage: go_echo [PROCS] ADDRESS")
	}
	if len(os.Args) == 3 {
		n, err := strconv.Atoi(os.Args[1])
		if err != nil || n < 1 {
			die(2, "procs %s: give a number from 1", os.Args[1])
		}
		runtime.GOMAXPROCS(n)
	}
	l, err := net.Listen("tcp", os.Args[len(os.Args)-1])
	if err != nil {
		die(1, "%v", err)
	}
	fmt.Printf("listening on %s\n", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			die(1, "accept: %v", err)
		}
		go echo(c)
	}
}

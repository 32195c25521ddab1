// SPDX-License-Identifier: Apache-2.0

// The servers as one writes them in Go: an echo with one goroutine for each connection, and
// hello by net/http.
//
//	go_net echo|http PROCS ADDRESS
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

func die(status int, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "go_net: "+format+"\n", args...)
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

func serveEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			die(1, "accept: %v", err)
		}
		go echo(c)
	}
}

func serveHTTP(l net.Listener) {
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, World!")
	})
	die(1, "%v", http.Serve(l, nil))
}

// BESIDE=spin:N goroutines compute for ever, BESIDE=nap:N block their threads.
func startBeside(what string) {
	var kind string
	var n int
	if _, err := fmt.Sscanf(strings.Replace(what, ":", " ", 1), "%s %d", &kind, &n); err != nil {
		return
	}
	for i := 0; i < n; i++ {
		go func() {
			for {
				if kind == "nap" {
					syscall.Nanosleep(&syscall.Timespec{Sec: 1}, nil)
					runtime.Gosched()
				}
			}
		}()
	}
}

func main() {
	if len(os.Args) != 4 || os.Args[1] != "echo" && os.Args[1] != "http" {
		die(2, "usage: go_net echo|http PROCS ADDRESS")
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil || n < 1 {
		die(2, "procs %s: give a number from 1", os.Args[2])
	}
	runtime.GOMAXPROCS(n)
	l, err := net.Listen("tcp", os.Args[3])
	if err != nil {
		die(1, "%v", err)
	}
	startBeside(os.Getenv("BESIDE"))
	fmt.Printf("listening on %s\n", l.Addr())
	if os.Args[1] == "http" {
		serveHTTP(l)
	}
	serveEcho(l)
}

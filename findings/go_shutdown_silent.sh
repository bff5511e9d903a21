#!/bin/bash
# SPDX-License-Identifier: MIT
# Go's graceful http.Server.Shutdown closes idle connections at once, but waits five seconds for a client that has connected and
# not sent a byte, though no request is under way anywhere.
. "$(dirname "$0")/packages.sh"
use_go
cat >"$folder/p/p.go" <<'G'
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

func shutdown(request bool) {
	var connected = make(chan bool, 2)
	server := &http.Server{ConnState: func(_ net.Conn, s http.ConnState) {
		if (s == http.StateIdle) == request {
			select {
			case connected <- true:
			default:
			}
		}
	}}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	go server.Serve(listener)
	c, _ := net.Dial("tcp", listener.Addr().String())
	if request {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		http.ReadResponse(bufio.NewReader(c), nil)
	}
	<-connected
	start := time.Now()
	err := server.Shutdown(context.Background())
	fmt.Printf("%v, at once: %v\n", err, time.Since(start) < 3*time.Second)
}

func main() {
	fmt.Print("after a request: ")
	shutdown(true)
	fmt.Print("silent so far: ")
	shutdown(false)
}
G
(cd "$folder/p" && "$GOROOT/bin/go" build -o p p.go)
saw "$(timeout 60 "$folder/p/p" | tr '\n' ';')" "after a request: <nil>, at once: true;silent so far: <nil>, at once: false;"
echo "so: vai.net.serve gives a client that has just connected one second to say what it wants (src/net/serve.c), and closes those between requests at once"

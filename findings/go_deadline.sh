#!/bin/bash
# SPDX-License-Identifier: MIT
# In Go a deadline that has passed wins over data that is there: a read of a connection with bytes in its buffer fails with a time-out,
# and gives the bytes once the deadline is taken away. Poll loops that set a deadline of "now" read nothing, ever.
. "$(dirname "$0")/packages.sh"
use_go
cat >"$folder/p/p.go" <<'G'
package main

import (
	"fmt"
	"net"
	"time"
)

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	out, _ := net.Dial("tcp", listener.Addr().String())
	in, _ := listener.Accept()
	out.Write([]byte("xyz"))
	one := make([]byte, 1)
	n, err := in.Read(one) // the rest is there now, too
	fmt.Print("without deadline ", n, " ", err)
	in.SetReadDeadline(time.Now())
	n, err = in.Read(one)
	fmt.Print("; deadline of now ", n, " ", err.(net.Error).Timeout())
	in.SetReadDeadline(time.Time{})
	n, err = in.Read(one)
	fmt.Println("; without", n, err)
}
G
saw "$(cd "$folder/p" && "$GOROOT/bin/go" run p.go)" \
	"without deadline 1 <nil>; deadline of now 0 true; without 1 <nil>"
echo "so: in vai data that is there wins over a deadline that has passed (src/net/conn.c), as API.md says"

// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"sync"
	"time"
)

const (
	echoConns = 1000
	echoMany  = 10000
	echoSize  = 512
)

func echo(n int) {
	echoServe(n, echoConns)
}

func echo10k(n int) {
	echoServe(n, echoMany)
}

// echoServe serves the connections of a load client in a process of its own, the same one for all contestants.
func echoServe(n, conns int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoConn(c)
		}
	}()
	self, err := os.Executable()
	must(err)
	client := exec.Command(self, "echo_load", strconv.Itoa(n), l.Addr().String(), strconv.Itoa(conns))
	client.Stdout, client.Stderr = os.Stdout, os.Stderr
	must(client.Run())
	l.Close()
}

func echoConn(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		k, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:k]); err != nil {
			return
		}
	}
}

// echoLoad is the client: so many connections, each sending a message when it has its last one back; n in all.
func echoLoad(n int) {
	count, err := strconv.Atoi(os.Args[4])
	must(err)
	each := n / count
	if each < 1 {
		each = 1
	}
	conns := make([]net.Conn, count)
	for i := range conns {
		var err error
		conns[i], err = net.Dial("tcp", os.Args[3])
		must(err)
	}
	times := make([]time.Duration, count*each)
	var wg sync.WaitGroup
	start := time.Now()
	for i, c := range conns {
		wg.Add(1)
		go func(c net.Conn, times []time.Duration) {
			defer wg.Done()
			msg, back := make([]byte, echoSize), make([]byte, echoSize)
			r := bufio.NewReader(c)
			for k := range times {
				t := time.Now()
				_, err := c.Write(msg)
				must(err)
				_, err = io.ReadFull(r, back)
				must(err)
				times[k] = time.Since(t)
			}
			c.Close()
		}(c, times[i*each:(i+1)*each])
	}
	wg.Wait()
	took := time.Since(start)
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	name := "echo"
	if count == echoMany {
		name = "echo10k"
	}
	report(name, float64(took.Nanoseconds())/float64(len(times)), "ns")
	report(name+"_p99", float64(times[len(times)*99/100].Nanoseconds()), "ns")
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

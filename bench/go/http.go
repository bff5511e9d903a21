// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
)

// web serves a page that says hello to wrk, which is in a process of its own, for so many seconds.
func web(seconds int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	hello := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "Hello, world!\n")
	}
	go http.Serve(l, http.HandlerFunc(hello))
	rate := regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	bad := regexp.MustCompile(`Socket errors|Non-2xx`)
	for _, connections := range []int{64, 512} {
		out, err := exec.Command("wrk", "-t2", "-c"+strconv.Itoa(connections), "-d"+strconv.Itoa(seconds),
			"http://"+l.Addr().String()+"/").Output()
		must(err)
		if bad.Match(out) {
			panic(string(out))
		}
		perSecond, err := strconv.ParseFloat(string(rate.FindSubmatch(out)[1]), 64)
		must(err)
		report(fmt.Sprintf("http%d", connections), 1e9/perSecond, "ns")
	}
}

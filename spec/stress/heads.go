// SPDX-License-Identifier: MIT

// The reading of heads by Go's net/http, for heads.lua: see heads.c for what comes and goes.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func show(text []byte) string {
	whole := bytes.NewReader(text)
	in := bufio.NewReader(whole)
	r, err := http.ReadRequest(in)
	if err != nil {
		return "no\t" + strings.Map(func(c rune) rune {
			if c < ' ' {
				return '?'
			}
			return c
		}, err.Error())
	}
	keep := 1
	if r.Close {
		keep = 0
	}
	used := len(text) - in.Buffered() - whole.Len()
	return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%s", r.Method, r.ProtoMinor, r.ContentLength, keep, used, r.RequestURI)
}

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		var n int
		if _, err := fmt.Fscanf(in, "%d\n", &n); err != nil {
			return
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return
		}
		fmt.Fprintln(out, show(text))
	}
}

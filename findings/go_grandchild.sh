#!/bin/bash
# SPDX-License-Identifier: MIT
# In Go a command is killed when its context ends, but Run does not return before every process that the command has left behind
# lets go of its output, however long that takes. With a file in place of a buffer the same command returns at once.
. "$(dirname "$0")/packages.sh"
use_go
cat >"$folder/p/p.go" <<'G'
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

func run(file bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "sleep 4 & sleep 4")
	if file {
		cmd.Stdout, _ = os.Open(os.DevNull)
	} else {
		cmd.Stdout = &bytes.Buffer{}
	}
	start := time.Now()
	err := cmd.Run()
	fmt.Printf("%v, before the process left behind has ended: %v;", err, time.Since(start) < 3*time.Second)
}

func main() {
	fmt.Print("into a buffer: ")
	run(false)
	fmt.Print(" into a file: ")
	run(true)
}
G
(cd "$folder/p" && "$GOROOT/bin/go" build -o p p.go)
saw "$(timeout 60 "$folder/p/p")" "into a buffer: signal: killed, before the process left behind has ended: false; into a file: signal: killed, before the process left behind has ended: true;"
echo "so: vai.process.run returns when its limit is over, whoever still holds the pipe; with group = true that is ended, too"

#!/bin/bash
# SPDX-License-Identifier: MIT
# Go's "all goroutines are asleep - deadlock!" is no longer said once the program has called signal.Notify, whether or not anybody
# waits for a signal, nor while any timer is pending, however far off and whatever it would do.
. "$(dirname "$0")/packages.sh"
use_go
cat >"$folder/p/p.go" <<'G'
package main

import (
	"os"
	"os/signal"
	"time"
)

func main() {
	switch os.Args[1] {
	case "signal":
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	case "timer":
		time.AfterFunc(time.Hour, func() {})
	}
	<-make(chan int)
}
G
(cd "$folder/p" && "$GOROOT/bin/go" build -o p p.go)
ends() {
	case "$(timeout 3 "$folder/p/p" "$1" 2>&1)" in
	*"all goroutines are asleep"*) echo "deadlock" ;;
	*) echo "hangs" ;;
	esac
}
saw "a receive from nobody: $(ends plain); after signal.Notify: $(ends signal); with a timer an hour off: $(ends timer)" \
	"a receive from nobody: deadlock; after signal.Notify: hangs; with a timer an hour off: hangs"
echo "so: vai ends at once where only timers that would wake nobody are left (src/sched/deadlock.c); subscribed signals keep it waiting, too"

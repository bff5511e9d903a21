// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// status is a figure of /proc/self/status, in bytes.
func status(field string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	match := regexp.MustCompile(field + `:\s*(\d+) kB`).FindSubmatch(text)
	if match == nil {
		fmt.Fprintln(os.Stderr, "/proc/self/status has no", field)
		os.Exit(1)
	}
	kB, _ := strconv.ParseFloat(string(match[1]), 64)
	return kB * 1024
}

// park starts n goroutines that wait on one channel and returns when all of them do.
func park(n int) (ch chan int, ended *sync.WaitGroup) {
	ch = make(chan int)
	ended = new(sync.WaitGroup)
	var ready sync.WaitGroup
	ready.Add(n)
	ended.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			ready.Done()
			<-ch
			ended.Done()
		}()
	}
	ready.Wait()
	return ch, ended
}

// parked reports the memory that a parked goroutine costs.
func parked(n int) {
	status("VmRSS")
	rss, pte := status("VmRSS"), status("VmPTE")
	ch, ended := park(n)
	time.Sleep(100 * time.Millisecond)
	report("parked_bytes", (status("VmRSS")-rss)/float64(n), "bytes")
	report("parked_pagetable", (status("VmPTE")-pte)/float64(n), "bytes")
	close(ch)
	ended.Wait()
}

// alive reports the peak memory and the time of n goroutines parked at once and woken.
func alive(n int) {
	took := timed(func() {
		ch, ended := park(n)
		time.Sleep(100 * time.Millisecond)
		close(ch)
		ended.Wait()
	})
	report("alive", status("VmHWM")/1e6, "MB")
	report("alive_time", took.Seconds()*1e3, "ms")
}

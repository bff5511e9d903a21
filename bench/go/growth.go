// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// growthOf measures what one of n goroutines costs to start and end, to start and park, to wake and end, and one of n
// channels with a message each.
func growthOf(n int) {
	names := map[int]string{1000: "1k", 10_000: "10k", 100_000: "100k", 1_000_000: "1m"}
	size, found := names[n]
	if !found {
		size = strconv.Itoa(n)
	}
	step := func(what string, f func()) {
		measure(fmt.Sprintf("growth_%s_%s", what, size), n, f)
	}
	step("spawn", func() {
		var wg sync.WaitGroup
		wg.Add(n)
		for i := 0; i < n; i++ {
			go func() { wg.Done() }()
		}
		wg.Wait()
	})
	var ch chan int
	var ended *sync.WaitGroup
	step("park", func() { ch, ended = park(n) })
	step("wake", func() {
		close(ch)
		ended.Wait()
	})
	step("chan", func() {
		chans, sum := make([]chan int, n), 0
		for i := range chans {
			chans[i] = make(chan int, 1)
			chans[i] <- i
		}
		for _, c := range chans {
			sum += <-c
		}
		check("growth", sum, n*(n-1)/2)
	})
}

// growth runs the three sizes, each in a process of its own.
func growth(n int) {
	if n > 1 {
		growthOf(n)
		return
	}
	for _, size := range []string{"1000", "10000", "100000"} {
		run := exec.Command(os.Args[0], "growth", size)
		run.Stdout, run.Stderr = os.Stdout, os.Stderr
		if err := run.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

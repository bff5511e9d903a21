// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
)

// yield measures two goroutines that let each other run, n times in all.
func yield(n int) {
	measure("yield", n, func() {
		var wg sync.WaitGroup
		for i := 0; i < 2; i++ {
			spawnIn(&wg, func() {
				for j := 0; j < n/2; j++ {
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
	})
}

const (
	fibOf     = 27
	fibResult = 196418
)

func fibonacci(n int) int {
	if n < 2 {
		return n
	}
	return fibonacci(n-1) + fibonacci(n-2)
}

// fibRun computes fib(27) on n goroutines and returns the milliseconds it took.
func fibRun(n int) float64 {
	took := timed(func() {
		results := make(chan int, n)
		for i := 0; i < n; i++ {
			go func() { results <- fibonacci(fibOf) }()
		}
		for i := 0; i < n; i++ {
			check("fib", <-results, fibResult)
		}
	})
	return took.Seconds() * 1e3
}

// fib reports the time on all Ps and, where there are several, how much faster it is than on one.
func fib(n int) {
	procs := runtime.GOMAXPROCS(0)
	if procs == 1 {
		report("fib", fibRun(n), "ms")
		return
	}
	runtime.GOMAXPROCS(1)
	one := fibRun(n)
	runtime.GOMAXPROCS(procs)
	all := fibRun(n)
	report("fib", all, "ms")
	report("fib_speedup", one/all, "x")
}

// SPDX-License-Identifier: MIT

// The workloads of bench/README.md in Go. Usage: bench-go WORKLOAD [N].
// Prints lines of the form "<workload> <value> <unit>".
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type workload struct {
	n   int // operations unless the argument says otherwise
	run func(n int)
}

var workloads = map[string]workload{
	"spawn":          {100_000, spawn},
	"spawn_seq":      {500_000, spawnSeq},
	"parked":         {100_000, parked},
	"alive":          {1_000_000, alive},
	"pingpong":       {500_000, pingpong},
	"ring":           {1_000_000, ring},
	"sieve":          {1_000, sieve},
	"pipeline_int":   {2_000_000, pipelineInt},
	"pipeline_table": {500_000, pipelineTable},
	"select4":        {500_000, select4},
	"actors":         {1_000_000, actors},
	"fan":            {1_000_000, fan},
	"mutex":          {2_000_000, mutexes},
	"map":            {1_000_000, maps},
	"pipeline_caps":  {1_000_000, pipelineCaps},
	"select32":       {200_000, select32},
	"strings":        {500_000, stringPipeline},
	"yield":          {4_000_000, yield},
	"fib":            {64, fib},
	"growth":         {1, growth}, // 1: the sizes of the table
	"growth_million": {1_000_000, growthOf},
	"http":           {4, web}, // seconds
	"echo":           {400_000, echo},
	"echo10k":        {400_000, echo10k},
	"echo_load":      {400_000, echoLoad}, // the client of all echo servers; then where to and how many connections
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	w, found := workloads[os.Args[1]]
	if !found {
		usage()
	}
	n := w.n
	if len(os.Args) > 2 {
		var err error
		if n, err = strconv.Atoi(os.Args[2]); err != nil || n < 1 {
			usage()
		}
	}
	w.run(n)
}

func usage() {
	names := make([]string, 0, len(workloads))
	for name := range workloads {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(os.Stderr, "usage: bench-go WORKLOAD [N], with WORKLOAD one of", names)
	os.Exit(2)
}

func report(name string, value float64, unit string) {
	fmt.Printf("%s %.6g %s\n", name, value, unit)
}

// cpuTime is the processor time that all threads have used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// timed runs f and returns how long it took; with CLOCK=cpu, the processor time.
func timed(f func()) time.Duration {
	if os.Getenv("CLOCK") == "cpu" {
		start := cpuTime()
		f()
		return cpuTime() - start
	}
	start := time.Now()
	f()
	return time.Since(start)
}

// measure reports the nanoseconds that each of the n operations of f took.
func measure(name string, n int, f func()) {
	report(name, float64(timed(f).Nanoseconds())/float64(n), "ns")
}

// spawnIn starts f as a goroutine that wg counts.
func spawnIn(wg *sync.WaitGroup, f func()) {
	wg.Add(1)
	go func() {
		f()
		wg.Done()
	}()
}

// check ends the program when a workload has computed something wrong.
func check(name string, got, want int) {
	if got != want {
		fmt.Fprintf(os.Stderr, "%s: got %d, expected %d\n", name, got, want)
		os.Exit(1)
	}
}

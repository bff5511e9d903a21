// SPDX-License-Identifier: MIT

package main

import (
	"sort"
	"sync"
)

const spawnRounds = 5

// spawn starts n goroutines and waits for all of them; the median of several rounds.
func spawn(n int) {
	ns := make([]float64, spawnRounds)
	for round := range ns {
		took := timed(func() {
			var wg sync.WaitGroup
			for i := 0; i < n; i++ {
				wg.Add(1)
				go func() { wg.Done() }()
			}
			wg.Wait()
		})
		ns[round] = float64(took.Nanoseconds()) / float64(n)
	}
	sort.Float64s(ns)
	report("spawn", ns[len(ns)/2], "ns")
}

// spawnSeq starts n goroutines, each after the one before it has ended.
func spawnSeq(n int) {
	measure("spawn_seq", n, func() {
		var wg sync.WaitGroup
		for i := 0; i < n; i++ {
			wg.Add(1)
			go func() { wg.Done() }()
			wg.Wait()
		}
	})
}

// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"
	"sync"
)

const capacity = 128

// pipeline measures n values from one producer to one consumer.
func pipeline[T any](name string, n int, produce func(i int) T, consume func(v T) int) {
	producer := func(ch chan T) {
		for i := 1; i <= n; i++ {
			ch <- produce(i)
		}
		close(ch)
	}
	consumer := func(ch chan T) {
		sum := 0
		for v := range ch {
			sum += consume(v)
		}
		check(name, sum, n*(n+1)/2)
	}
	measure(name, n, func() {
		ch := make(chan T, capacity)
		var wg sync.WaitGroup
		spawnIn(&wg, func() { producer(ch) })
		spawnIn(&wg, func() { consumer(ch) })
		wg.Wait()
	})
	measure(name+"_main", n, func() {
		ch := make(chan T, capacity)
		go producer(ch)
		consumer(ch)
	})
}

func pipelineInt(n int) {
	pipeline("pipeline_int", n, func(i int) int { return i }, func(v int) int { return v })
}

type record struct {
	id    int
	name  string
	value float64
}

// pipelineTable sends a record of 3 fields, as a struct and as the map that a Lua table is.
func pipelineTable(n int) {
	pipeline("pipeline_struct", n,
		func(i int) record { return record{id: i, name: "record", value: float64(i) / 2} },
		func(r record) int {
			if r.name == "record" && r.value*2 == float64(r.id) {
				return r.id
			}
			return 0
		})
	pipeline("pipeline_table", n,
		func(i int) map[string]any {
			return map[string]any{"id": i, "name": "record", "value": float64(i) / 2}
		},
		func(r map[string]any) int {
			id := r["id"].(int)
			if r["name"].(string) == "record" && r["value"].(float64)*2 == float64(id) {
				return id
			}
			return 0
		})
}

// pipelineCaps measures n integers through channels of several capacities.
func pipelineCaps(n int) {
	for _, capacity := range []int{1, 8, 1024} {
		measure(fmt.Sprintf("pipeline_cap%d", capacity), n, func() {
			ch := make(chan int, capacity)
			var wg sync.WaitGroup
			spawnIn(&wg, func() {
				for i := 1; i <= n; i++ {
					ch <- i
				}
				close(ch)
			})
			spawnIn(&wg, func() {
				sum := 0
				for v := range ch {
					sum += v
				}
				check("pipeline_cap", sum, n*(n+1)/2)
			})
			wg.Wait()
		})
	}
}

// fan measures integers from 4 producers to 4 consumers on one channel.
func fan(n int) {
	each := (n + 3) / 4
	measure("fan", 4*each, func() {
		ch, sums := make(chan int, capacity), make(chan int, 4)
		var wg sync.WaitGroup
		for i := 0; i < 4; i++ {
			spawnIn(&wg, func() {
				for i := 1; i <= each; i++ {
					ch <- i
				}
			})
			go func() {
				sum := 0
				for v := range ch {
					sum += v
				}
				sums <- sum
			}()
		}
		wg.Wait()
		close(ch)
		sum := 0
		for i := 0; i < 4; i++ {
			sum += <-sums
		}
		check("fan", sum, 4*(each*(each+1)/2))
	})
}

const stringPieces = 64

// stringsOf measures strings of one length, each made anew of two pieces.
func stringsOf(name string, n, length int) {
	measure(name, n, func() {
		ch := make(chan string, capacity)
		var wg sync.WaitGroup
		spawnIn(&wg, func() {
			var heads [stringPieces]string
			for i := range heads {
				heads[i] = fmt.Sprintf("%08d", i)
			}
			tail := strings.Repeat("x", length-8)
			for i := 1; i <= n; i++ {
				ch <- heads[i%stringPieces] + tail
			}
			close(ch)
		})
		spawnIn(&wg, func() {
			sum := 0
			for s := range ch {
				sum += len(s)
			}
			check(name, sum, n*length)
		})
		wg.Wait()
	})
}

func stringPipeline(n int) {
	stringsOf("strings", n, 100)
	few := n / 100
	if few < 1 {
		few = 1
	}
	stringsOf("strings_100k", few, 100_000)
}

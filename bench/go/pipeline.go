// SPDX-License-Identifier: MIT

package main

import "sync"

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

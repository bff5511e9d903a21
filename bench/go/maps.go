// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
)

const mapKeys = 1000

// maps measures get and add of a map with 1,000 strings as keys, by one goroutine and by 8: of a plain map under an
// RWMutex, and of a sync.Map, whose values are counters.
func maps(n int) {
	keys := make([]string, mapKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("key%d", i)
	}
	for _, goroutines := range []int{1, 8} {
		suffix := ""
		if goroutines > 1 {
			suffix = fmt.Sprint(goroutines)
		}
		each := func(name string, f func(key string)) {
			measure(name+suffix, n, func() {
				var wg sync.WaitGroup
				for g := 0; g < goroutines; g++ {
					spawnIn(&wg, func() {
						for i := 0; i < n/goroutines; i++ {
							f(keys[i%mapKeys])
						}
					})
				}
				wg.Wait()
			})
		}
		guardedMap(keys, each)
		syncMap(keys, each)
	}
}

func guardedMap(keys []string, each func(name string, f func(key string))) {
	var lock sync.RWMutex
	m := map[string]int{}
	for _, k := range keys {
		m[k] = 1
	}
	each("map_get", func(key string) {
		lock.RLock()
		v := m[key]
		lock.RUnlock()
		if v != 1 {
			panic(key)
		}
	})
	each("map_add", func(key string) {
		lock.Lock()
		m[key]++
		lock.Unlock()
	})
}

func syncMap(keys []string, each func(name string, f func(key string))) {
	var m sync.Map
	for _, k := range keys {
		v := new(int64)
		*v = 1
		m.Store(k, v)
	}
	each("syncmap_get", func(key string) {
		v, _ := m.Load(key)
		if atomic.LoadInt64(v.(*int64)) != 1 {
			panic(key)
		}
	})
	each("syncmap_add", func(key string) {
		v, found := m.Load(key)
		if !found {
			v, _ = m.LoadOrStore(key, new(int64))
		}
		atomic.AddInt64(v.(*int64), 1)
	})
}

// SPDX-License-Identifier: MIT

package main

import "sync"

// Each _main figure is the same workload with the measuring goroutine as a partner.

// pingpong sends a number back and forth over two unbuffered channels.
func pingpong(n int) {
	ping, pong := make(chan int), make(chan int)
	serve := func() {
		for i := 0; i < n; i++ {
			pong <- <-ping
		}
	}
	play := func() {
		sum := 0
		for i := 1; i <= n; i++ {
			ping <- i
			sum += <-pong
		}
		check("pingpong", sum, n*(n+1)/2)
	}
	measure("pingpong", n, func() {
		var wg sync.WaitGroup
		spawnIn(&wg, serve)
		spawnIn(&wg, play)
		wg.Wait()
	})
	measure("pingpong_main", n, func() {
		go serve()
		play()
	})
}

const ringSize = 503

// ring hands a token around 503 goroutines, n hops in all.
func ring(n int) {
	done := make(chan int)
	member := func(in, out chan int) {
		for {
			left := <-in
			if left == 0 {
				done <- left
				return
			}
			out <- left - 1
		}
	}
	first := make(chan int)
	in := first
	for i := 1; i < ringSize; i++ {
		out := make(chan int)
		go member(in, out)
		in = out
	}
	go member(in, first)
	measure("ring", n, func() {
		first <- n
		<-done
	})
}

func generate(out chan int) {
	for i := 2; ; i++ {
		out <- i
	}
}

func filter(in, out chan int, prime int) {
	for {
		i := <-in
		if i%prime != 0 {
			out <- i
		}
	}
}

// sieve finds the first n primes, a goroutine for each.
func sieve(n int) {
	took := timed(func() {
		ch := make(chan int)
		go generate(ch)
		prime := 0
		for i := 0; i < n; i++ {
			prime = <-ch
			next := make(chan int)
			go filter(ch, next, prime)
			ch = next
		}
		if n == 1000 {
			check("sieve", prime, 7919)
		}
	})
	report("sieve", took.Seconds()*1e3, "ms")
}

const producers = 4

// select4 receives n numbers by select from 4 goroutines, each on its own channel.
func select4(n int) {
	n = producers * ((n + producers - 1) / producers)
	receive := func(a, b, c, d chan int) {
		sum := 0
		for i := 0; i < n; i++ {
			select {
			case v := <-a:
				sum += v
			case v := <-b:
				sum += v
			case v := <-c:
				sum += v
			case v := <-d:
				sum += v
			}
		}
		check("select4", sum, producers*(n/producers)*(n/producers+1)/2)
	}
	produce := func(out chan int) {
		for i := 1; i <= n/producers; i++ {
			out <- i
		}
	}
	start := func() []chan int {
		var channels []chan int
		for i := 0; i < producers; i++ {
			ch := make(chan int)
			channels = append(channels, ch)
			go produce(ch)
		}
		return channels
	}
	measure("select4", n, func() {
		c := start()
		var wg sync.WaitGroup
		spawnIn(&wg, func() { receive(c[0], c[1], c[2], c[3]) })
		wg.Wait()
	})
	measure("select4_main", n, func() {
		c := start()
		receive(c[0], c[1], c[2], c[3])
	})
}

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

// member hands tokens on; one with nothing left goes to done.
func member(in, out, done chan int) {
	for left := range in {
		if left > 0 {
			out <- left - 1
		} else {
			done <- left
		}
	}
}

// ringOf hands a token around size goroutines, n hops in all, once all of them have begun.
func ringOf(name string, size, n int) {
	done, first := make(chan int), make(chan int)
	in := first
	for i := 1; i < size; i++ {
		out := make(chan int)
		go member(in, out, done)
		in = out
	}
	go member(in, first, done)
	first <- size
	<-done
	measure(name, n, func() {
		first <- n
		<-done
	})
}

func ring(n int) {
	ringOf("ring8", 8, n)
	ringOf("ring", 503, n)
	ringOf("ring5000", 5000, n)
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

const (
	actorCount  = 1000
	actorTokens = 100
)

// actor sends each token on to a random one of all actors, until the token has nothing left.
func actor(own, seed int, boxes []chan int, done chan int) {
	for left := range boxes[own] {
		if left == 0 {
			done <- own
			continue
		}
		seed = (seed*1103515245 + 12345) & 0x7fffffff
		boxes[(seed>>8)%len(boxes)] <- left - 1
	}
}

func actors(n int) {
	boxes, done := make([]chan int, actorCount), make(chan int, actorTokens)
	for i := range boxes {
		boxes[i] = make(chan int, capacity)
	}
	for i := range boxes {
		go actor(i, i+1, boxes, done)
	}
	lap := func(steps int) {
		for i := 0; i < actorTokens; i++ {
			boxes[i*(actorCount/actorTokens)] <- steps
		}
		for i := 0; i < actorTokens; i++ {
			<-done
		}
	}
	lap(100)
	hops := n / actorTokens
	measure("actors", actorTokens*hops, func() { lap(hops) })
}

const manyProducers = 32

// select32 receives n numbers by a select over 32 channels, written out.
func select32(n int) {
	each := (n + manyProducers - 1) / manyProducers
	produce := func(out chan int) {
		for i := 1; i <= each; i++ {
			out <- i
		}
	}
	receive := func(c []chan int) {
		sum := 0
		for i := 0; i < manyProducers*each; i++ {
			sum += receive32(c)
		}
		check("select32", sum, manyProducers*each*(each+1)/2)
	}
	measure("select32", manyProducers*each, func() {
		var channels []chan int
		for i := 0; i < manyProducers; i++ {
			channels = append(channels, make(chan int))
			go produce(channels[i])
		}
		var wg sync.WaitGroup
		spawnIn(&wg, func() { receive(channels) })
		wg.Wait()
	})
}

func receive32(c []chan int) (v int) {
	select {
	case v = <-c[0]:
	case v = <-c[1]:
	case v = <-c[2]:
	case v = <-c[3]:
	case v = <-c[4]:
	case v = <-c[5]:
	case v = <-c[6]:
	case v = <-c[7]:
	case v = <-c[8]:
	case v = <-c[9]:
	case v = <-c[10]:
	case v = <-c[11]:
	case v = <-c[12]:
	case v = <-c[13]:
	case v = <-c[14]:
	case v = <-c[15]:
	case v = <-c[16]:
	case v = <-c[17]:
	case v = <-c[18]:
	case v = <-c[19]:
	case v = <-c[20]:
	case v = <-c[21]:
	case v = <-c[22]:
	case v = <-c[23]:
	case v = <-c[24]:
	case v = <-c[25]:
	case v = <-c[26]:
	case v = <-c[27]:
	case v = <-c[28]:
	case v = <-c[29]:
	case v = <-c[30]:
	case v = <-c[31]:
	}
	return v
}

// mutexes measures lock and unlock by one goroutine and by 8 of them on one mutex.
func mutexes(n int) {
	var m sync.Mutex
	each := func(n int) {
		for i := 0; i < n; i++ {
			m.Lock()
			m.Unlock()
		}
	}
	in := func(name string, goroutines int) {
		measure(name, n, func() {
			var wg sync.WaitGroup
			for i := 0; i < goroutines; i++ {
				spawnIn(&wg, func() { each(n / goroutines) })
			}
			wg.Wait()
		})
	}
	in("mutex", 1)
	in("mutex8", 8)
}

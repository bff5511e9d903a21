-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/sieve2.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Prime sieve of Eratosthenes: considers odd candidates, merges channels of multiples.
local vai = require("vai")
local go, chan, select = vai.go, vai.chan, vai.select

-- A channel of odd numbers, starting from 5.
local function odds()
	local out = chan(50)
	go(function()
		local n = 5
		while true do
			out:send(n)
			n = n + 2
		end
	end)
	return out
end

-- A channel of odd multiples of the prime number p, starting from p * p.
local function multiples(p)
	local out = chan(10)
	go(function()
		local n = p * p
		while true do
			out:send(n)
			n = n + 2 * p
		end
	end)
	return out
end

-- A heap of { head, ch }, sorted by head.
local function push(h, x)
	local i = #h + 1
	h[i] = x
	while i > 1 and h[i].head < h[i // 2].head do
		h[i], h[i // 2] = h[i // 2], h[i]
		i = i // 2
	end
end

local function pop(h)
	local top, n = h[1], #h
	h[1] = h[n]
	h[n] = nil
	n = n - 1
	local i = 1
	while 2 * i <= n do
		local c = 2 * i
		if c < n and h[c + 1].head < h[c].head then
			c = c + 1
		end
		if h[i].head <= h[c].head then
			break
		end
		h[i], h[c] = h[c], h[i]
		i = c
	end
	return top
end

-- A channel to serve as a sending proxy to out: a goroutine receives values from it and stores
-- them in an expanding queue, so that sending to out never blocks.
local function sendproxy(out)
	local proxy = chan(10)
	go(function()
		local queue, first, last = {}, 1, 0
		while true do
			local i, v = select({ proxy, first <= last and { out, queue[first] } })
			if i == 1 then
				last = last + 1
				queue[last] = v
			else
				queue[first] = nil
				first = first + 1
			end
		end
	end)
	return proxy
end

-- A channel of primes.
local function sieve()
	local out = chan(10)
	out:send(2)
	out:send(3)

	-- The channel of all composites to be eliminated in increasing order, and the feedback loop.
	local composites = chan(50)
	local primes = chan(10)
	primes:send(3)

	-- Merges channels of multiples of primes into composites.
	go(function()
		local h = {}
		local min = 15
		local function advance()
			local minchan = pop(h)
			local old = min
			min = minchan.head
			minchan.head = minchan.ch:recv()
			push(h, minchan)
			return old
		end
		while true do
			local m = multiples(primes:recv())
			local head = m:recv()
			while min < head do
				composites:send(min)
				advance()
			end
			while min == head do
				advance()
			end
			composites:send(head)
			push(h, { head = m:recv(), ch = m })
		end
	end)

	-- Sieves composites out of candidates. The merging goroutine receives from primes much slower
	-- than this one sends to it: the proxy buffers.
	go(function()
		local feedback = sendproxy(primes)
		local candidates = odds()
		local p = candidates:recv()
		while true do
			local c = composites:recv()
			while p < c do
				feedback:send(p)
				out:send(p)
				p = candidates:recv()
			end
			if p == c then
				p = candidates:recv()
			end
		end
	end)

	return out
end

local primes = sieve()
local a = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97 }
for i = 1, #a do
	local x = primes:recv()
	assert(x == a[i], x)
end
for _ = 1, 200 do
	local x = primes:recv()
	for d = 2, math.floor(x ^ 0.5) do
		assert(x % d ~= 0, x)
	end
end

-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/sieve1.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- The classical inefficient concurrent prime sieve.
local vai = require("vai")

-- Sends the sequence 2, 3, 4, ... to channel ch.
local function generate(ch)
	local i = 2
	while true do
		ch:send(i)
		i = i + 1
	end
end

-- Copies the values from channel inp to channel out, removing those divisible by prime.
local function filter(inp, out, prime)
	for i in inp do
		if i % prime ~= 0 then
			out:send(i)
		end
	end
end

-- Daisy-chains filters together.
local function sieve(primes)
	local ch = vai.chan()
	vai.go(generate, ch)
	while true do
		local prime = ch:recv()
		primes:send(prime)
		local ch1 = vai.chan()
		vai.go(filter, ch, ch1, prime)
		ch = ch1
	end
end

local primes = vai.chan()
vai.go(sieve, primes)
local a = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97 }
for i = 1, #a do
	local x = primes:recv()
	assert(x == a[i], x)
end

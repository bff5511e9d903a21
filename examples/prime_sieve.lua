-- SPDX-License-Identifier: MIT
-- The classical concurrent prime sieve: a chain of goroutines, each of which filters out the
-- multiples of one prime.
local vai = require("vai")
local N = tonumber(arg[1]) or 100

local function generate(ch)
	local i = 2
	while true do
		ch:send(i)
		i = i + 1
	end
end

local function filter(from, to, prime)
	for i in from do
		if i % prime ~= 0 then
			to:send(i)
		end
	end
end

local ch = vai.chan()
vai.go(generate, ch)
for _ = 1, N do
	local prime = ch:recv()
	print(prime)
	local next_ch = vai.chan()
	vai.go(filter, ch, next_ch, prime)
	ch = next_ch
end

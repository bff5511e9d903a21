-- SPDX-License-Identifier: MIT
-- The first n primes, a goroutine for each.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan = vai.go, vai.chan

local n = bench.count(1000)

local function generate(out)
  for i = 2, math.maxinteger do
    out:send(i)
  end
end

local function filter(inlet, out, prime)
  while true do
    local i = inlet:recv()
    if i % prime ~= 0 then
      out:send(i)
    end
  end
end

local seconds = bench.time(function()
  local ch = chan()
  go(generate, ch)
  local prime
  for _ = 1, n do
    prime = ch:recv()
    local following = chan()
    go(filter, ch, following, prime)
    ch = following
  end
  assert(n ~= 1000 or prime == 7919)
end)
bench.report("sieve", seconds * 1e3, "ms")

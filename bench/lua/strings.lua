-- SPDX-License-Identifier: MIT
-- Strings from one goroutine to another, capacity 128, each made anew of two pieces: of 100 bytes, of 100,000
-- (strings_100k, a hundredth as many).
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local chan, waitgroup = vai.chan, vai.waitgroup

local n = bench.count(500000)
local pieces = 64

local function produce(ch, count, tail)
  local heads = {}
  for i = 0, pieces - 1 do
    heads[i] = ("%08d"):format(i)
  end
  for i = 1, count do
    ch:send(heads[i % pieces] .. tail)
  end
  ch:close()
end

local function consume(ch, count, length)
  local sum = 0
  for s in ch do
    sum = sum + #s
  end
  assert(sum == count * length)
end

local function strings(name, count, length)
  bench.measure(name, count, function()
    local ch, wg = chan(128), waitgroup()
    wg:go(produce, ch, count, ("x"):rep(length - 8))
    wg:go(consume, ch, count, length)
    wg:wait()
  end)
end

strings("strings", n, 100)
strings("strings_100k", math.max(n // 100, 1), 100000)

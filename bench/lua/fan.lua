-- SPDX-License-Identifier: MIT
-- Integers from 4 producers to 4 consumers, all on one channel of capacity 128.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local chan, waitgroup = vai.chan, vai.waitgroup

local each = (bench.count(1000000) + 3) // 4

local function produce(ch)
  for i = 1, each do
    ch:send(i)
  end
end

local function consume(ch, sums)
  local sum = 0
  for v in ch do
    sum = sum + v
  end
  sums:send(sum)
end

bench.measure("fan", 4 * each, function()
  local ch, sums, producers = chan(128), chan(4), waitgroup()
  for _ = 1, 4 do
    producers:go(produce, ch)
    vai.go(consume, ch, sums)
  end
  producers:wait()
  ch:close()
  local sum = 0
  for _ = 1, 4 do
    sum = sum + sums:recv()
  end
  assert(sum == 4 * (each * (each + 1) // 2))
end)

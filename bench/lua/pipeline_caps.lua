-- SPDX-License-Identifier: MIT
-- Integers from one goroutine to another through a channel that holds 1, 8 or 1,024 of them.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local chan, waitgroup = vai.chan, vai.waitgroup

local n = bench.count(1000000)

local function produce(ch)
  for i = 1, n do
    ch:send(i)
  end
  ch:close()
end

local function consume(ch)
  local sum = 0
  for v in ch do
    sum = sum + v
  end
  assert(sum == n * (n + 1) // 2)
end

for _, capacity in ipairs({ 1, 8, 1024 }) do
  bench.measure("pipeline_cap" .. capacity, n, function()
    local ch, wg = chan(capacity), waitgroup()
    wg:go(produce, ch)
    wg:go(consume, ch)
    wg:wait()
  end)
end

-- SPDX-License-Identifier: MIT
-- n records of 3 fields from one producer to one consumer through a channel of capacity
-- 128; in pipeline_table_main the consumer is main.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan, waitgroup = vai.go, vai.chan, vai.waitgroup

local n = bench.count(500000)

local function produce(ch)
  for i = 1, n do
    ch:send({ id = i, name = "record", value = i / 2 })
  end
  ch:close()
end

local function consume(ch)
  local sum = 0
  for r in ch do
    if r.name == "record" and r.value * 2 == r.id then
      sum = sum + r.id
    end
  end
  assert(sum == n * (n + 1) // 2)
end

bench.measure("pipeline_table", n, function()
  local ch, wg = chan(128), waitgroup()
  wg:go(produce, ch)
  wg:go(consume, ch)
  wg:wait()
end)
bench.measure("pipeline_table_main", n, function()
  local ch = chan(128)
  go(produce, ch)
  consume(ch)
end)

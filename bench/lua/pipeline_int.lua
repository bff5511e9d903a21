-- SPDX-License-Identifier: MIT
-- n integers from one producer to one consumer through a channel of capacity 128;
-- in pipeline_int_main the consumer is main.
local dir = arg[0]:match("^.*/") or ""
local bench, integers = dofile(dir .. "bench.lua"), dofile(dir .. "integers.lua")
local vai = require "vai"

local n = bench.count(2000000)
local produce, consume, run = integers(n)

bench.measure("pipeline_int", n, function()
  run(128)
end)
bench.measure("pipeline_int_main", n, function()
  local ch = vai.chan(128)
  vai.go(produce, ch)
  consume(ch)
end)

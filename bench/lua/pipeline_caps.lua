-- SPDX-License-Identifier: MIT
-- Integers from one goroutine to another through a channel that holds 1, 8 or 1,024 of them.
local dir = arg[0]:match("^.*/") or ""
local bench, integers = dofile(dir .. "bench.lua"), dofile(dir .. "integers.lua")

local n = bench.count(1000000)
local _, _, run = integers(n)

for _, capacity in ipairs({ 1, 8, 1024 }) do
  bench.measure("pipeline_cap" .. capacity, n, function()
    run(capacity)
  end)
end

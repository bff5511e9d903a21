-- SPDX-License-Identifier: MIT
-- The memory that a parked goroutine costs which has all standard libraries within
-- reach and has not used any yet.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")

bench.parked("parked", bench.count(100000), function(ch, ready, ended)
  ready:done()
  ch:recv()
  ended:done()
end)

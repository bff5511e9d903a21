-- SPDX-License-Identifier: MIT
-- n goroutines parked at once and woken: the peak memory and the time.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"

local n = bench.count(1000000)

local seconds = bench.time(function()
  local ch, ended = bench.park(n)
  vai.sleep(0.1)
  ch:close()
  ended:wait()
end)
bench.report("alive", bench.status("VmHWM") / 1e6, "MB")
bench.report("alive_time", seconds * 1e3, "ms")

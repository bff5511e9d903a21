-- SPDX-License-Identifier: MIT
-- Two goroutines that let each other run, n times in all.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local waitgroup = vai.waitgroup

local n = bench.count(4000000)

local function switch()
  for _ = 1, n // 2 do
    vai.yield()
  end
end

bench.measure("yield", n, function()
  local wg = waitgroup()
  wg:go(switch)
  wg:go(switch)
  wg:wait()
end)

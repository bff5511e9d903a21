-- SPDX-License-Identifier: MIT
-- Starts n goroutines, each after the one before it has ended.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, waitgroup = vai.go, vai.waitgroup

local n = bench.count(500000)

bench.measure("spawn_seq", n, function()
  local wg = waitgroup()
  for _ = 1, n do
    wg:add(1)
    go(function()
      wg:done()
    end)
    wg:wait()
  end
end)

-- SPDX-License-Identifier: MIT
-- Starts n goroutines and waits for all of them; the median of several rounds.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, waitgroup = vai.go, vai.waitgroup

local rounds = 5
local n = bench.count(100000)

local ns = {}
for round = 1, rounds do
  ns[round] = bench.time(function()
    local wg = waitgroup()
    for _ = 1, n do
      wg:add(1)
      go(function()
        wg:done()
      end)
    end
    wg:wait()
  end) / n * 1e9
end
table.sort(ns)
bench.report("spawn", ns[(rounds + 1) // 2], "ns")

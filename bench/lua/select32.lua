-- SPDX-License-Identifier: MIT
-- 32 goroutines send numbers, each on its own unbuffered channel; one goroutine selects.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan, waitgroup, select = vai.go, vai.chan, vai.waitgroup, vai.select

local producers = 32
local each = (bench.count(200000) + producers - 1) // producers
local n = producers * each

local function produce(ch)
  for i = 1, each do
    ch:send(i)
  end
end

local function receive(cases)
  local sum = 0
  for _ = 1, n do
    local _, v = select(cases)
    sum = sum + v
  end
  assert(sum == producers * (each * (each + 1) // 2))
end

bench.measure("select32", n, function()
  local channels, wg = {}, waitgroup()
  for i = 1, producers do
    channels[i] = chan()
    go(produce, channels[i])
  end
  wg:go(receive, channels)
  wg:wait()
end)

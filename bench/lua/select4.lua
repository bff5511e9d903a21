-- SPDX-License-Identifier: MIT
-- n numbers from 4 goroutines, each with an unbuffered channel of its own, to one that
-- selects; in select4_main that one is main.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan, waitgroup, select = vai.go, vai.chan, vai.waitgroup, vai.select

local producers = 4
local each = (bench.count(500000) + producers - 1) // producers
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

local function start()
  local channels = {}
  for i = 1, producers do
    channels[i] = chan()
    go(produce, channels[i])
  end
  return channels
end

bench.measure("select4", n, function()
  local channels, wg = start(), waitgroup()
  wg:go(receive, channels)
  wg:wait()
end)
bench.measure("select4_main", n, function()
  receive(start())
end)

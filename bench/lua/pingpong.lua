-- SPDX-License-Identifier: MIT
-- A number sent back and forth over two unbuffered channels: between two goroutines,
-- and (pingpong_main) between main and one.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan, waitgroup = vai.go, vai.chan, vai.waitgroup

local n = bench.count(500000)
local ping, pong = chan(), chan()

local function serve()
  for _ = 1, n do
    pong:send(ping:recv())
  end
end

local function play()
  local sum = 0
  for i = 1, n do
    ping:send(i)
    sum = sum + pong:recv()
  end
  assert(sum == n * (n + 1) // 2)
end

bench.measure("pingpong", n, function()
  local wg = waitgroup()
  wg:go(serve)
  wg:go(play)
  wg:wait()
end)
bench.measure("pingpong_main", n, function()
  go(serve)
  play()
end)

-- SPDX-License-Identifier: MIT
-- A token goes around goroutines on unbuffered channels: 503 of them, few (ring8) and many (ring5000).
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan = vai.go, vai.chan

local n = bench.count(1000000)

local function member(inlet, outlet, done)
  while true do
    local left = inlet:recv()
    if left > 0 then
      outlet:send(left - 1)
    else
      done:send(left)
    end
  end
end

local function ring(name, size)
  local done, first = chan(), chan()
  local inlet = first
  for _ = 1, size - 1 do
    local outlet = chan()
    go(member, inlet, outlet, done)
    inlet = outlet
  end
  go(member, inlet, first, done)
  first:send(size) -- once around: all have begun
  done:recv()
  bench.measure(name, n, function()
    first:send(n)
    done:recv()
  end)
end

ring("ring8", 8)
ring("ring", 503)
ring("ring5000", 5000)

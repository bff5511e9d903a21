-- SPDX-License-Identifier: MIT
-- A token handed around 503 goroutines, n hops in all.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan = vai.go, vai.chan

local size = 503
local n = bench.count(1000000)
local done = chan()

local function member(inlet, outlet)
  while true do
    local left = inlet:recv()
    if left == 0 then
      done:send(left)
      return
    end
    outlet:send(left - 1)
  end
end

local first = chan()
local inlet = first
for _ = 1, size - 1 do
  local outlet = chan()
  go(member, inlet, outlet)
  inlet = outlet
end
go(member, inlet, first)

bench.measure("ring", n, function()
  first:send(n)
  done:recv()
end)

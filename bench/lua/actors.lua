-- SPDX-License-Identifier: MIT
-- 100 tokens move among 1,000 goroutines, each to a random one: every goroutine has a table of all channels, of
-- capacity 128, and generates its random numbers itself.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan = vai.go, vai.chan

local size, tokens = 1000, 100
local n = bench.count(1000000)
local hops = n // tokens

local function actor(own, boxes, seed, done)
  local count, inbox = #boxes, boxes[own]
  for left in inbox do
    if left == 0 then
      done:send(own)
    else
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      boxes[(seed >> 8) % count + 1]:send(left - 1)
    end
  end
end

local boxes, done = {}, chan(tokens)
for i = 1, size do
  boxes[i] = chan(128)
end
for i = 1, size do
  go(actor, i, boxes, i, done)
end
local function lap(steps)
  for i = 1, tokens do
    boxes[i * (size // tokens)]:send(steps)
  end
  for _ = 1, tokens do
    done:recv()
  end
end

lap(100) -- all have begun
bench.measure("actors", tokens * hops, function()
  lap(hops)
end)

-- SPDX-License-Identifier: MIT
-- Tables of 3 fields through a channel of capacity 128, with and without a metatable of 20 methods of the script: what
-- an object of a class costs beyond the table.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local chan, waitgroup = vai.chan, vai.waitgroup

local n = bench.count(100000)

local Class = {}
Class.__index = Class
for i = 1, 20 do
  Class["method" .. i] = function(self)
    return self.id + i
  end
end

local function produce(ch, class)
  for i = 1, n do
    ch:send(setmetatable({ id = i, name = "object", value = i / 2 }, class))
  end
  ch:close()
end

local function consume(ch, class)
  local sum = 0
  for o in ch do
    sum = sum + (class and o:method1() - 1 or o.id)
  end
  assert(sum == n * (n + 1) // 2)
end

local function run(class)
  return bench.time(function()
    local ch, wg = chan(128), waitgroup()
    wg:go(produce, ch, class)
    wg:go(consume, ch, class)
    wg:wait()
  end) / n * 1e9
end

local plain = run(nil)
bench.report("objects_plain", plain, "ns")
bench.report("objects_beyond", run(Class) - plain, "ns")

-- SPDX-License-Identifier: MIT
-- The shared map with 1,000 strings as keys: get (map_get) and add (map_add) by one goroutine, and by 8 of them on one
-- map (map_get8, map_add8).
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local waitgroup = vai.waitgroup

local n = bench.count(1000000)
local size = 1000

local function keys_of(m)
  local keys = {}
  for i = 0, size - 1 do
    keys[i] = "key" .. i
    m:set(keys[i], 1)
  end
  return keys
end

local function get(m, keys, count)
  local sum = 0
  for i = 1, count do
    sum = sum + m:get(keys[i % size])
  end
  assert(sum == count)
end

local function add(m, keys, count)
  for i = 1, count do
    m:add(keys[i % size], 1)
  end
end

local function measure(name, f, goroutines)
  local m, wg = vai.map(), waitgroup()
  local keys = keys_of(m)
  bench.measure(name, n, function()
    for _ = 1, goroutines do
      wg:go(f, m, keys, n // goroutines)
    end
    wg:wait()
  end)
  local sum = 0
  for _, v in pairs(m) do
    sum = sum + v
  end
  assert(sum == size + (f == add and n // goroutines * goroutines or 0))
end

measure("map_get", get, 1)
measure("map_add", add, 1)
measure("map_get8", get, 8)
measure("map_add8", add, 8)

-- SPDX-License-Identifier: MIT
-- Lock and unlock: by one goroutine (mutex), by 8 of them on one mutex (mutex8), and two calls of a plain C function
-- (mutex_calls), which is what Lua takes for the two calls alone.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local waitgroup = vai.waitgroup

local n = bench.count(2000000)

local function alone(m)
  for _ = 1, n do
    m:lock()
    m:unlock()
  end
end

local function calls(s)
  for _ = 1, n do
    s:len()
    s:len()
  end
end

local function each(m, count)
  for _ = 1, count do
    m:lock()
    m:unlock()
  end
end

local function in_goroutine(f, ...)
  local wg = waitgroup()
  wg:go(f, ...)
  wg:wait()
end

bench.measure("mutex", n, function() in_goroutine(alone, vai.mutex()) end)
bench.measure("mutex_calls", n, function() in_goroutine(calls, "x") end)
bench.measure("mutex8", n, function()
  local m, wg = vai.mutex(), waitgroup()
  for _ = 1, 8 do
    wg:go(each, m, n // 8)
  end
  wg:wait()
end)

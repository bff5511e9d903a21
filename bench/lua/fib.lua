-- SPDX-License-Identifier: MIT
-- fib(27) on n goroutines: the time on all Ps and, where there are several, how much
-- faster that is than on one. fib_plain.lua is the same work without vai.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan = vai.go, vai.chan

local of, result = 27, 196418
local n = bench.count(64)

local function fib(i)
  if i < 2 then
    return i
  end
  return fib(i - 1) + fib(i - 2)
end

local function run()
  return 1e3 * bench.time(function()
    local results = chan(n)
    for _ = 1, n do
      go(function()
        results:send(fib(of))
      end)
    end
    for _ = 1, n do
      assert(results:recv() == result)
    end
  end)
end

local procs = vai.maxprocs()
if procs == 1 then
  bench.report("fib", run(), "ms")
else
  vai.maxprocs(1)
  local one = run()
  vai.maxprocs(procs)
  local all = run()
  bench.report("fib", all, "ms")
  bench.report("fib_speedup", one / all, "x")
end

-- SPDX-License-Identifier: MIT
-- What one of n goroutines costs: to start it and let it end, to have it started and parked, to wake it and let it end,
-- and one of n channels with a message each. Without an argument for 1,000, 10,000 and 100,000, each in a process of
-- its own, for memory that one has left would be warm for the next.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"
local go, chan, waitgroup = vai.go, vai.chan, vai.waitgroup

local names = { [1000] = "1k", [10000] = "10k", [100000] = "100k", [1000000] = "1m" }

local function run(n)
  local size = names[n] or tostring(n)
  local function measure(what, f)
    bench.measure(("growth_%s_%s"):format(what, size), n, f)
  end
  measure("spawn", function()
    local wg = waitgroup()
    wg:add(n)
    for _ = 1, n do
      go(function()
        wg:done()
      end)
    end
    wg:wait()
  end)
  local ch, ended
  measure("park", function()
    ch, ended = bench.park(n)
  end)
  measure("wake", function()
    ch:close()
    ended:wait()
  end)
  measure("chan", function()
    local chans, sum = {}, 0
    for i = 1, n do
      chans[i] = chan(1)
      chans[i]:send(i)
    end
    for i = 1, n do
      sum = sum + chans[i]:recv()
    end
    assert(sum == n * (n + 1) // 2)
  end)
end

local only = math.tointeger(tonumber((...)))
if only then
  return run(only)
end
for _, n in ipairs({ 1000, 10000, 100000 }) do
  local pipe = assert(io.popen(("exec %s '%s' %d"):format(os.getenv("LUA") or "lua5.4", arg[0], n)))
  io.write(pipe:read("a"))
  assert(pipe:close())
end

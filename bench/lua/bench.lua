-- SPDX-License-Identifier: MIT
-- What the workloads share. Each is run as `lua5.4 WORKLOAD.lua [N]` and prints lines
-- of the form "<workload> <value> <unit>".
local vai = require "vai"

local bench = {}

-- The number of operations: the script's argument, or what the workload holds sensible.
function bench.count(default)
  if arg[1] == nil then
    return default
  end
  local n = math.tointeger(tonumber(arg[1]))
  if not n or n < 1 then
    io.stderr:write(("usage: lua5.4 %s [N]\n"):format(arg[0]))
    os.exit(2)
  end
  return n
end

function bench.report(name, value, unit)
  io.write(("%s %.6g %s\n"):format(name, value, unit))
  io.flush()
end

-- CLOCK=cpu counts the processor time of all threads in place of the time that passes.
local now = os.getenv("CLOCK") == "cpu" and os.clock or vai.now

-- Seconds that f took.
function bench.time(f)
  local start = now()
  f()
  return now() - start
end

-- Reports the nanoseconds that each of the n operations of f took.
function bench.measure(name, n, f)
  bench.report(name, bench.time(f) / n * 1e9, "ns")
end

-- A figure of /proc/self/status, in bytes.
function bench.status(field)
  for line in io.lines("/proc/self/status") do
    local kB = line:match("^" .. field .. ":%s*(%d+) kB")
    if kB then
      return tonumber(kB) * 1024
    end
  end
  error("/proc/self/status has no " .. field)
end

-- Reports the memory that each of n goroutines running f costs while it waits: what is
-- resident, and what the kernel adds in page tables. f(ch, ready, ended) calls
-- ready:done(), receives from ch and calls ended:done().
function bench.parked(name, n, f)
  collectgarbage()
  bench.status("VmRSS")
  local rss, pte = bench.status("VmRSS"), bench.status("VmPTE")
  local ch, ready, ended = vai.chan(), vai.waitgroup(), vai.waitgroup()
  ready:add(n)
  ended:add(n)
  for _ = 1, n do
    vai.go(f, ch, ready, ended)
  end
  ready:wait()
  vai.sleep(0.1)
  bench.report(name .. "_bytes", (bench.status("VmRSS") - rss) / n, "bytes")
  bench.report(name .. "_pagetable", (bench.status("VmPTE") - pte) / n, "bytes")
  ch:close()
  ended:wait()
end

-- Starts n goroutines that wait on one channel; once all do: that channel, and a wait group for their ends.
function bench.park(n)
  local ch, ready, ended = vai.chan(), vai.waitgroup(), vai.waitgroup()
  ready:add(n)
  ended:add(n)
  for _ = 1, n do
    vai.go(function()
      ready:done()
      ch:recv()
      ended:done()
    end)
  end
  ready:wait()
  return ch, ended
end

return bench

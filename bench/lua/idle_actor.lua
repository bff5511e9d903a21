-- SPDX-License-Identifier: MIT
-- What a goroutine costs that has handled a message and waits for the next one in a plain loop over its channel.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"

local n = bench.count(50000)

local function handle(state, v)
  state.sum = state.sum + v
  state.done:done()
end

local function actor(inbox, done)
  local state = { sum = 0, done = done }
  for v in inbox do
    handle(state, v)
  end
end

collectgarbage()
bench.status("VmRSS")
local rss, pte = bench.status("VmRSS"), bench.status("VmPTE")
local inboxes, done = {}, vai.waitgroup()
done:add(n)
for i = 1, n do
  inboxes[i] = vai.chan(1)
  vai.go(actor, inboxes[i], done)
end
for i = 1, n do
  inboxes[i]:send(i)
end
done:wait()
vai.sleep(0.1)
bench.report("idle_actor_bytes", (bench.status("VmRSS") - rss) / n, "bytes")
bench.report("idle_actor_pagetable", (bench.status("VmPTE") - pte) / n, "bytes")

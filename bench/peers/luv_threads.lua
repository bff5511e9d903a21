-- SPDX-License-Identifier: MIT
-- Threads of luv (Debian: lua-luv), each with a Lua state of its own. They have no queue to each other: an async handle
-- may lose all values but the last. A work request is a function on a thread of libuv's pool and its end.
local peer = dofile((arg[0]:match("^.*/") or "") .. "report.lua")
local uv = require "luv"

local spawns, works, parked = peer.count(5000), peer.count(100000), peer.count(200)

local function now()
  return uv.hrtime() / 1e9
end

peer.measure(now, "spawn_seq", spawns, function()
  for _ = 1, spawns do
    assert(uv.new_thread(function() end)):join()
  end
end)

local ended = 0
local work = uv.new_work(function(i)
  return i
end, function()
  ended = ended + 1
end)
peer.measure(now, "spawn", works, function()
  for i = 1, works do
    assert(work:queue(i))
  end
  uv.run()
end)
assert(ended == works)

local before, threads = peer.resident(), {}
for i = 1, parked do
  threads[i] = assert(uv.new_thread(function()
    require("luv").sleep(1000)
  end))
end
uv.sleep(500)
peer.report("parked_bytes", (peer.resident() - before) / parked, "bytes")
for _, thread in ipairs(threads) do
  thread:join()
end

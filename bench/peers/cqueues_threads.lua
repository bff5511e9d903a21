-- SPDX-License-Identifier: MIT
-- Threads of cqueues (Debian: lua-cqueues), each with a Lua state of its own, and the pair of sockets between a thread
-- and who started it.
local peer = dofile((arg[0]:match("^.*/") or "") .. "report.lua")
local cqueues = require "cqueues"
local thread = require "cqueues.thread"

local spawns, trips, numbers, parked = peer.count(2000), peer.count(50000), peer.count(200000), peer.count(200)
local now = cqueues.monotime

peer.measure(now, "spawn_seq", spawns, function()
  for _ = 1, spawns do
    local started, socket = thread.start(function() end)
    assert(started:join())
    socket:close()
  end
end)

local function ended(started, socket)
  socket:close()
  assert(started:join())
end

local partner, ball = thread.start(function(socket)
  socket:setmode("bl", "bn")
  for line in socket:lines() do
    socket:write(line, "\n")
  end
end)
ball:setmode("bl", "bn")
peer.measure(now, "pingpong", trips, function()
  for i = 1, trips do
    assert(ball:write(i, "\n"))
    assert(tonumber(ball:read("*l")) == i)
  end
end)
ended(partner, ball)

local producer, inlet = thread.start(function(socket, n)
  socket:setmode("bl", "bf")
  for i = 1, tonumber(n) do
    assert(socket:write(i, "\n"))
  end
  socket:flush()
end, tostring(numbers))
peer.measure(now, "pipeline_int", numbers, function()
  local sum = 0
  for _ = 1, numbers do
    sum = sum + tonumber(inlet:read("*l"))
  end
  assert(sum == numbers * (numbers + 1) // 2)
end)
ended(producer, inlet)

local before, threads = peer.resident(), {}
for i = 1, parked do
  threads[i] = { thread.start(function(socket)
    socket:read("*l")
  end) }
end
cqueues.sleep(0.5)
peer.report("parked_bytes", (peer.resident() - before) / parked, "bytes")
for _, one in ipairs(threads) do
  ended(one[1], one[2])
end

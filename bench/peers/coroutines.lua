-- SPDX-License-Identifier: MIT
-- Coroutines of stock Lua: one thread, one state, nothing is copied. For scale.
local peer = dofile((arg[0]:match("^.*/") or "") .. "report.lua")
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield

local spawns, trips, parked, numbers = peer.count(500000), peer.count(500000), peer.count(100000), peer.count(2000000)

peer.measure(os.clock, "spawn_seq", spawns, function()
  for _ = 1, spawns do
    assert(resume(create(function() end)))
  end
end)

peer.measure(os.clock, "pingpong", trips, function()
  local partner = create(function(ball)
    while true do
      ball = yield(ball)
    end
  end)
  for i = 1, trips do
    local _, ball = resume(partner, i)
    assert(ball == i)
  end
end)

peer.measure(os.clock, "pipeline_int", numbers, function()
  local producer = create(function()
    for i = 1, numbers do
      yield(i)
    end
  end)
  local sum = 0
  for _ = 1, numbers do
    local _, i = resume(producer)
    sum = sum + i
  end
  assert(sum == numbers * (numbers + 1) // 2)
end)

collectgarbage()
local before, all = peer.resident(), {}
for i = 1, parked do
  all[i] = create(function()
    yield()
  end)
  assert(resume(all[i]))
end
peer.report("parked_bytes", (peer.resident() - before) / parked, "bytes")

-- SPDX-License-Identifier: MIT
-- A full collection and a sort inside a goroutine; with `plain` in the global table, in the state that runs this file.
-- Processor time, as stock Lua has no clock of the wall finer than a second.
local clock, collect = os.clock, collectgarbage

local rounds, objects, numbers = 7, 100000, 100000

-- The least of several rounds, in ms: what disturbs one only adds.
local function least(f)
  local best = math.huge
  for _ = 1, rounds do
    local start = clock()
    f()
    best = math.min(best, clock() - start)
  end
  return best * 1e3
end

local function measure()
  local heap = {}
  for i = 1, objects do
    heap[i] = { id = i, name = "object " .. i, at = { i } }
  end
  collect()
  local collection = least(collect)
  assert(#heap == objects)
  local function sort()
    local t, x = {}, 1
    for i = 1, numbers do
      x = x * 16807 % 2147483647
      t[i] = x
    end
    table.sort(t, function(a, b)
      return a < b
    end)
    assert(t[1] < t[numbers])
  end
  return collection, least(sort)
end

local collection, sort
if _G.plain then
  collection, sort = measure()
else
  collection, sort = select(2, assert(require("vai").go(measure):join()))
end
io.write(("collect %.6g ms\nsort %.6g ms\n"):format(collection, sort))

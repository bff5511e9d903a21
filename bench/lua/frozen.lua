-- SPDX-License-Identifier: MIT
-- A scan of records {id, name, price} by pairs, ns a record: of a plain table (scan_plain), and of the same frozen
-- (scan_frozen).
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
local vai = require "vai"

local n = bench.count(100000)
local records = {}
for i = 1, n do
  records[i] = { id = i, name = "item " .. i, price = i / 4 }
end
local frozen = vai.freeze(records)

local function scan(t)
  local sum = 0
  for _, r in pairs(t) do
    for k, v in pairs(r) do
      if k == "id" then
        sum = sum + v
      end
    end
  end
  assert(sum == n * (n + 1) // 2)
end

scan(records)
bench.measure("scan_plain", n, function() scan(records) end)
scan(frozen)
bench.measure("scan_frozen", n, function() scan(frozen) end)

-- SPDX-License-Identifier: MIT
-- n numbers from 4 goroutines, each with an unbuffered channel of its own, to one that
-- selects; in select4_main that one is main.
local dir = arg[0]:match("^.*/") or ""
local bench, selecting = dofile(dir .. "bench.lua"), dofile(dir .. "selecting.lua")

local n, receive, start, run = selecting(4, bench.count(500000))
bench.measure("select4", n, run)
bench.measure("select4_main", n, function()
  receive(start())
end)

-- SPDX-License-Identifier: MIT
-- 32 goroutines send numbers, each on its own unbuffered channel; one goroutine selects.
local dir = arg[0]:match("^.*/") or ""
local bench, selecting = dofile(dir .. "bench.lua"), dofile(dir .. "selecting.lua")

local n, _, _, run = selecting(32, bench.count(200000))
bench.measure("select32", n, run)

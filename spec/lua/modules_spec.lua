-- SPDX-License-Identifier: MIT
-- C modules in many goroutines at once: a moment of what `make stress` does for longer.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

describe("C modules", function()
	for _, procs in ipairs { 2, 8 } do
		program.test_file("are used by 64 goroutines", "spec/stress/modules.lua", {
			procs = procs,
			needs = { "cjson", "lpeg", "lfs", "socket", "luasql.sqlite3" },
			env = { VAI_STRESS_SECONDS = 1, VAI_STRESS_GOROUTINES = program.slowness > 1 and 16 or 64 },
			timeout = 60,
			match = "goroutines did %d+ rounds",
		})
	end
	for _, procs in ipairs { 1, 2, 8 } do
		program.test_file("are captured by 64 goroutines that have not opened them", "spec/stress/captured.lua", {
			procs = procs,
			needs = { "cjson", "lpeg", "lfs", "socket", "luasql.sqlite3" },
			timeout = 60,
			match = "64 goroutines used %d+ modules",
		})
	end
end)

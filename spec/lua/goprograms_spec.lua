-- SPDX-License-Identifier: MIT
-- Go's own channel programs (goprograms/): each must end with status 0 and say nothing.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local less = program.slowness > 1
describe("Go's programs", function()
	for _, p in ipairs({
		{ "sieve1" },
		{ "sieve2" },
		{ "fifo" },
		{ "doubleselect", less and 2000 or 20000 },
		{ "nonblock" },
		{ "select3" },
		{ "selects", less and 2000 or 20000 },
		{ "goroutines", less and 1000 or 10000 },
		{ "closedchan" },
		{ "chancap" },
		{ "powser1" },
		{ "kenchan" },
		{ "kenchan1" },
		{ "selectfairness" },
		{ "chantest" },
	}) do
		program.test_file(p[1], program.here .. "/../goprograms/" .. p[1] .. ".lua", { out = "", args = { p[2] } })
	end
end)

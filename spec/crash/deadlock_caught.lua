-- SPDX-License-Identifier: MIT
-- A pcall in main catches the deadlock, and the program goes on.
-- expect-status: 0
-- expect-stdout: caught
-- expect-stdout: caught
-- expect-stdout: 5
-- expect-stdout: done
local vai = require("vai")
local ch, gate = vai.chan(), vai.chan()
local task = vai.async(function()
	gate:recv()
	return 5
end)
for _ = 1, 2 do
	local ok, err = pcall(ch.recv, ch)
	assert(not ok and tostring(err):find("all goroutines are asleep %- deadlock!"), err)
	print("caught")
end
gate:send(true)
local _, v = task:join()
print(v)
vai.go(function()
	ch:send("x")
end)
assert(ch:recv() == "x")
print("done")

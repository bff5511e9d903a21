-- SPDX-License-Identifier: MIT
-- Whoever sleeps, has a timeout or a timer or is in a C call can still wake others.
-- expect-status: 0
-- expect-stdout: slept
-- expect-stdout: timed out
-- expect-stdout: timer
-- expect-stdout: blocked
-- expect-stdout: ticked
-- expect-stdout: after
local vai = require("vai")
local ch = vai.chan()
vai.go(function()
	vai.sleep(0.05)
	ch:send("slept")
end)
print((ch:recv()))
vai.go(function()
	vai.chan():recv(0.05)
	ch:send("timed out")
end)
print((ch:recv()))
vai.timer(0.05, function()
	ch:send("timer")
end)
print((ch:recv()))
vai.go(function()
	os.execute("sleep 0.1")
	ch:send("blocked")
end)
print((ch:recv()))
local ticker = vai.ticker(0.05)
vai.go(function()
	ticker:chan():recv()
	ch:send("ticked")
end)
print((ch:recv()))
ticker:stop()
local later = vai.after(0.05)
vai.go(function()
	later:recv()
	ch:send("after")
end)
print((ch:recv()))

-- SPDX-License-Identifier: MIT
-- An error in main is main's: lua reports it, status 1, whatever the others do.
-- expect-status: 1
-- expect-stderr: main_error%.lua:@raise@: main failed
-- expect-stderr: stack traceback:
local vai = require("vai")
-- Main does not wait: its thread would take one of the loops up.
local started = vai.chan(100)
local loops = vai.maxprocs() - 1
for _ = 1, loops do
	vai.go(function()
		started:send(true)
		while true do
		end
	end)
	vai.go(vai.sleep, 1000)
end
while #started < loops do
end
error("main failed") --@raise

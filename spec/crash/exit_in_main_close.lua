-- SPDX-License-Identifier: MIT
-- The state is closed first: the module's own finalizer runs while goroutines are at work.
-- expect-status: 6
-- expect-stdout: leaving
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
print("leaving")
os.exit(6, true)

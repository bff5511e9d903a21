-- SPDX-License-Identifier: MIT
-- Main returns while goroutines never stop: the program ends at once.
-- expect-status: 0
-- expect-stdout: over
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
print("over")

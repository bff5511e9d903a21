-- SPDX-License-Identifier: MIT
-- An error in main is main's: lua reports it, status 1, whatever the others do.
-- expect-status: 1
-- expect-stderr: main_error%.lua:@raise@: main failed
-- expect-stderr: stack traceback:
-- within: 10
local vai = require("vai")
for _ = 1, 5 do
	vai.go(function()
		while true do
		end
	end)
	vai.go(vai.sleep, 1000)
end
vai.yield()
error("main failed") --@raise

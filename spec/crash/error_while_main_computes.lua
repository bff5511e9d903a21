-- SPDX-License-Identifier: MIT
-- Main does not wait for anything: the program ends all the same.
-- expect-status: 2
-- expect-stderr: boom
-- procs: 2 8
local vai = require("vai")
vai.go(function()
	error("boom")
end)
while true do
end

-- SPDX-License-Identifier: MIT
-- The report of a deadlock, caught once and then not.
local vai = require("vai")
local ch = vai.chan()
for _ = 1, 3 do
	vai.go(function()
		ch:recv()
		ch:recv()
	end)
end
local ok, err = pcall(ch.send, vai.chan(), 1)
print(ok)
io.stderr:write(tostring(err), "\n")
vai.chan():recv()

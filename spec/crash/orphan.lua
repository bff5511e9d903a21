-- SPDX-License-Identifier: MIT
-- A failed task that nobody joins is reported when it is dropped, and the program goes on.
-- expect-status: 0
-- expect-stdout: over
-- expect-stderr: nobody listens
local vai = require("vai")
do
	local task = vai.async(function()
		error("nobody listens", 0)
	end)
	while task:status() ~= "failed" do
		vai.yield()
	end
end
collectgarbage()
collectgarbage()
print("over")

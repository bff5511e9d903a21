-- SPDX-License-Identifier: MIT
-- A handler in place of the end.
-- expect-status: 0
-- expect-stdout: handled boom
-- expect-stdout: over
local vai = require("vai")
local handled = vai.chan(1)
vai.on_panic(function(err, traceback, id)
	assert(traceback:find("stack traceback") and math.type(id) == "integer")
	print("handled " .. err)
	handled:send(true)
end)
vai.go(error, "boom", 0)
handled:recv()
print("over")

-- SPDX-License-Identifier: MIT
-- Several call os.exit at the same time.
-- expect-status: 5
local vai = require("vai")
local gate = vai.chan()
for _ = 1, 50 do
	vai.go(function()
		gate:recv()
		os.exit(5)
	end)
end
vai.yield()
gate:close()
vai.sleep(1000)

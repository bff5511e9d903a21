-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: nil
local vai = require("vai")
local ch = vai.chan(1)
vai.go(function()
	ch:send(nil)
end)
vai.sleep(1000)

-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: waitgroup_negative%.lua:@third@: negative waitgroup counter
local vai = require("vai")
local wg = vai.waitgroup()
vai.go(function()
	wg:add(1)
	wg:done()
	wg:done() --@third
end)
vai.sleep(1000)

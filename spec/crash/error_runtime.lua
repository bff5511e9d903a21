-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: error_runtime%.lua:@index@: attempt to index a nil value %(local 't'%)
local vai = require("vai")
vai.go(function()
	local t = nil; return t.x --@index
end)
vai.sleep(1000)

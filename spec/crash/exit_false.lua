-- SPDX-License-Identifier: MIT
-- expect-status: 1
local vai = require("vai")
vai.go(function()
	local _ <close> = setmetatable({}, { __close = print })
	coroutine.wrap(function()
		table.sort({ 3, 2, 1 }, function()
			os.exit(false)
		end)
	end)()
end)
vai.sleep(1000)

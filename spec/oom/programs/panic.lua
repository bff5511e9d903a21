-- SPDX-License-Identifier: MIT
-- An error that nobody catches.
local vai = require("vai")
vai.go(function()
	local t = setmetatable({}, {
		__tostring = function()
			return "the error's text"
		end,
	})
	error(t)
end)
vai.chan():recv(1000)

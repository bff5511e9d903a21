-- SPDX-License-Identifier: MIT
local second = require("second")
return {
	add = function(a, b)
		return a + b + #second.name
	end,
}

-- SPDX-License-Identifier: MIT
-- expect-status: 0
local vai = require("vai")
for i = 1, 100 do
	vai.go(function()
		return i
	end)
end

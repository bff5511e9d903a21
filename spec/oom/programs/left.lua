-- SPDX-License-Identifier: MIT
-- Main returns while others wait, with files, messages and finalizers in their hands.
local vai = require("vai")
local ch, started = vai.chan(), vai.chan(4)
for i = 1, 4 do
	vai.go(function()
		local f = io.open("/dev/null")
		local c <close> = setmetatable({}, { __close = function() end })
		local g = setmetatable({ f }, { __gc = function() end })
		started:send(i)
		if i % 2 == 0 then
			vai.select({ { ch, { i } }, { ch, g and "x" or c } })
		else
			vai.chan():send({ ("m"):rep(500) })
		end
	end)
end
for _ = 1, 4 do
	started:recv()
end
print("over")

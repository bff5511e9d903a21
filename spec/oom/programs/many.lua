-- SPDX-License-Identifier: MIT
-- Three hundred at once, all parked in the middle.
local vai = require("vai")
local n = 300
local gate, results = vai.chan(), vai.chan(n)
for i = 1, n do
	vai.go(function()
		gate:recv()
		results:send({ i })
	end)
end
gate:close()
local sum = 0
for _ = 1, n do
	sum = sum + results:recv()[1]
end
print(sum)

-- SPDX-License-Identifier: MIT
-- Enough goroutines of one function for a template with a whole call of it.
local vai = require("vai")
local wg, out = vai.waitgroup(), vai.chan(64)
local function helper(x)
	return x + 1
end
for i = 1, 24 do
	wg:add(1)
	vai.go(function(a, o)
		assert(rawequal(o, out))
		out:send(helper(i) + a)
		wg:done()
	end, i, out)
end
wg:wait()
local sum = 0
for _ = 1, 24 do
	sum = sum + out:recv()
end
assert(sum == 624)
print(sum)

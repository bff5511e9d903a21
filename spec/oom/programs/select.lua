-- SPDX-License-Identifier: MIT
-- Select with few and many cases, sends and receives.
local vai = require("vai")
local a, b, done, chans = vai.chan(), vai.chan(2), vai.chan(), {}
for i = 1, 12 do
	chans[i] = vai.chan(1)
end
vai.go(function()
	for i = 1, 6 do
		vai.select({ { a, { i } }, { b, ("s"):rep(50) .. i } })
	end
	for i = 1, 12 do
		chans[i]:send({ i })
	end
	done:send(true)
end)
local n, sum = 0, 0
while n < 6 do
	local _, v = vai.select({ a, b, timeout = 100 })
	assert(v, "nothing came")
	n = n + 1
end
for _ = 1, 12 do
	local _, v = vai.select(chans)
	sum = sum + v[1]
end
done:recv()
print(n, sum, vai.select({ a, default = true }))

-- SPDX-License-Identifier: MIT
-- Two producers, one channel, three consumers that range over it until it is closed and drained.
local vai = require("vai")

local jobs, squares = vai.chan(4), vai.chan()

local producers = vai.waitgroup()
for p = 0, 1 do
	producers:go(function()
		for i = 1, 10 do
			jobs:send(p * 10 + i)
		end
	end)
end
vai.go(function()
	producers:wait()
	jobs:close()
end)

local consumers = vai.waitgroup()
for _ = 1, 3 do
	consumers:go(function()
		for n in jobs do
			squares:send({ n = n, square = n * n })
		end
	end)
end
vai.go(function()
	consumers:wait()
	squares:close()
end)

local sum = 0
for r in squares do
	print(r.n .. " squared is " .. r.square)
	sum = sum + r.square
end
print("sum " .. sum)

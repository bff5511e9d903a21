-- SPDX-License-Identifier: MIT
-- A hundred thousand goroutines alive at once. Each waits for a number and answers with its double.
local vai = require("vai")
local N = tonumber(arg[1]) or 100000

local inbox, outbox = vai.chan(), vai.chan(1024)
for _ = 1, N do
	vai.go(function()
		outbox:send(inbox:recv() * 2)
	end)
end
print(vai.count() - 1 .. " goroutines wait")

vai.go(function()
	for i = 1, N do
		inbox:send(i)
	end
end)

local sum = 0
for _ = 1, N do
	sum = sum + outbox:recv()
end
print("sum of their answers: " .. sum)
assert(sum == N * (N + 1))

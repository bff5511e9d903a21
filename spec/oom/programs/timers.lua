-- SPDX-License-Identifier: MIT
-- Timers, tickers and deadlines.
local vai = require("vai")
local out = vai.chan(10)
local t = vai.timer(0.001, function(v)
	out:send(v)
end, { "fired" })
-- A timer without memory for its goroutine tries again and again.
local function fired()
	return assert(out:recv(5), "still not enough memory")[1]
end
print(fired(), t:stop())
t:reset(0.001)
print(fired())
local tick = vai.ticker(0.0005)
for _ = 1, 3 do
	assert(tick:chan():recv())
end
tick:stop()
assert(vai.after(0.001):recv())
vai.sleep(0.001)
print(out:recv(0.001))
local long = {}
for i = 1, 70 do
	long[i] = vai.timer(1000, print, i)
end
for i = 1, 70 do
	assert(long[i]:stop())
end
print("over")

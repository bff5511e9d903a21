-- SPDX-License-Identifier: MIT
-- select takes whichever is ready first: a message, a tick, a timeout; or says that nothing is.
local vai = require("vai")
local select = vai.select

local fast, slow, quit = vai.chan(), vai.chan(), vai.chan()
vai.go(function()
	vai.sleep(0.01)
	fast:send("fast answer")
end)
vai.go(function()
	quit:recv() -- holds its answer back until it is told to go on
	slow:send("slow answer")
end)

local i, v = select({ slow, fast })
print("case " .. i .. ": " .. v)

-- Nothing comes within the time.
i, v = select({ slow, timeout = 0.05 })
print("case " .. tostring(i) .. ": " .. v)

-- The same with a channel that delivers the time.
i = select({ slow, vai.after(0.05) })
print("case " .. i .. ": after")

-- Do not wait at all.
i, v = select({ slow, { fast, "nobody receives" }, default = true })
print("case " .. tostring(i) .. ": " .. v)

-- Now let the slow one go on: first the send is ready, then the answer.
print("case " .. select({ { quit, true }, slow }) .. ": told to go on")
i, v = select({ false, slow, timeout = 60 })
print("case " .. i .. ": " .. v)

local ticker, n = vai.ticker(0.01), 0
local deadline = vai.after(60)
while n < 3 do
	i = select({ ticker:chan(), deadline })
	assert(i == 1)
	n = n + 1
end
ticker:stop()
print(n .. " ticks")

-- SPDX-License-Identifier: MIT
-- The end takes goroutines apart that hold, or were to get, channels in channels in channels.
-- expect-status: 0
-- expect-stdout: ready
local vai = require("vai")
local function chain()
	local ch = vai.chan(1)
	for _ = 1, 300000 do
		local outer = vai.chan(1)
		outer:send(ch)
		ch = outer
	end
	return ch
end
local ready = vai.chan()
vai.go(function()
	local ch = chain()
	ready:send("ready")
	vai.sleep(1000)
	return ch
end)
print(ready:recv())
local ch = chain()
for _ = 1, 10 do
	vai.go(function()
		return ch
	end)
end

-- SPDX-License-Identifier: MIT
-- All kinds at once, at work in the moment when main returns.
-- expect-status: 0
local vai = require("vai")
local ch = vai.chan()
for _ = 1, 20 do
	vai.go(function()
		while true do
			ch:send({ "message", { 1, 2, 3 } })
		end
	end)
	vai.go(function()
		while true do
			ch:recv()
		end
	end)
	vai.go(function()
		while true do
			vai.go(function()
				local t = {}
				for i = 1, 100 do
					t[i] = { i }
				end
				return #t
			end)
			vai.sleep(0.001)
		end
	end)
	vai.go(function()
		while true do
			local s = {}
			for i = 1, 1000 do
				s[i] = ("x"):rep(i)
			end
			table.sort(s)
			vai.yield()
		end
	end)
end
vai.sleep(0.1)

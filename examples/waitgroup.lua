-- SPDX-License-Identifier: MIT
-- 03: ten goroutines, and a wait group that tells when all have finished.
local vai = require("vai")
local go, waitgroup = vai.go, vai.waitgroup

local wg = waitgroup()
for i = 1, 10 do
	wg:add(1)
	go(function()
		print("Hello Goroutine!", i)
		wg:done()
	end)
end
wg:wait()

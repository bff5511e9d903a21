-- SPDX-License-Identifier: MIT
-- 01: a goroutine that main does not wait for. When main returns the program ends, so the line
-- appears or not: nobody waits for it.
local vai = require("vai")

vai.go(function()
	print("Hello Goroutine!")
end)

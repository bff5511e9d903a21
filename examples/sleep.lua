-- SPDX-License-Identifier: MIT
-- 02: main sleeps and so gives the goroutine time to run.
local vai = require("vai")

vai.go(function()
	print("Hello Goroutine!")
end)

vai.sleep(1)
print("main done")

-- SPDX-License-Identifier: MIT
-- expect-status: 0
-- expect-stdout: leaving
local vai = require("vai")
vai.go(function()
	print("leaving")
	os.exit(true, true)
end)
vai.sleep(1000)

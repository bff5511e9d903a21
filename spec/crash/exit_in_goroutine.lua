-- SPDX-License-Identifier: MIT
-- expect-status: 3
-- expect-stdout: leaving
local vai = require("vai")
vai.go(function()
	io.write("leaving\n")
	os.exit(3)
end)
vai.go(vai.sleep, 1000)
vai.sleep(1000)
print("not reached")

-- SPDX-License-Identifier: MIT
-- A handler may end the program its own way.
-- expect-status: 9
-- expect-stdout: boom
local vai = require("vai")
vai.on_panic(function(err)
	print(err)
	os.exit(9)
end)
vai.go(error, "boom", 0)
vai.sleep(1000)

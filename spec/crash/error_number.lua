-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: goroutine %d+
-- expect-stderr: 42
local vai = require("vai")
vai.go(error, 42)
vai.sleep(1000)

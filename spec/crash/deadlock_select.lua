-- SPDX-License-Identifier: MIT
-- expect-status: 1
-- expect-stderr: all goroutines are asleep %- deadlock!
-- expect-stderr: goroutine 1 %[select
local vai = require("vai")
vai.select({})

-- SPDX-License-Identifier: MIT
-- A VAI_MAXPROCS that makes no sense is no reason to crash.
-- expect-status: 0
-- expect-stdout: ok
-- procs: 0 99999999999999999999
local vai = require("vai")
local n = vai.maxprocs()
print(n >= 1 and n <= 1024 and "ok" or n)

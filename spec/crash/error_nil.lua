-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: goroutine %d+
-- expect-stderr: nil
-- expect-stderr: created [^\n]*error_nil%.lua:@go@
local vai = require("vai")
vai.go(error, nil) --@go
vai.sleep(1000)

-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: close of closed channel
local vai = require("vai")
local ch = vai.chan()
ch:close()
vai.go(ch.close, ch)
vai.sleep(1000)

-- SPDX-License-Identifier: MIT
-- expect-status: 1
-- expect-stderr: send_unsendable%.lua:@go@:.*argument %d: field 'log': userdata FILE%* cannot be sent
-- expect-stderr: stack traceback
local vai = require("vai")
vai.go(print, 1, { log = io.stdout }) --@go

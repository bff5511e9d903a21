-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: send_closed%.lua:@send@: send on closed channel
local vai = require("vai")
local ch = vai.chan()
ch:close()
vai.go(function()
	ch:send(1) --@send
end)
vai.sleep(1000)

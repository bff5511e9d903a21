-- SPDX-License-Identifier: MIT
-- A sender that waits when the channel is closed.
-- expect-status: 2
-- expect-stderr: send on closed channel
local vai = require("vai")
local ch = vai.chan()
local task = vai.go(function()
	ch:send(1)
end)
while task:status() ~= "waiting" do
	vai.yield()
end
ch:close()
vai.sleep(1000)

-- SPDX-License-Identifier: MIT
-- expect-status: 2
-- expect-stderr: timer failed
-- expect-stderr: created [^\n]*timer_error%.lua:@timer@
local vai = require("vai")
vai.timer(0.01, function() --@timer
	error("timer failed")
end)
vai.sleep(1000)

-- SPDX-License-Identifier: MIT
-- expect-status: 0
-- expect-stdout: over
local vai = require("vai")
do
	vai.async(error, "seen", 0):join()
end
collectgarbage()
collectgarbage()
print("over")

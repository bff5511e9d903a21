-- SPDX-License-Identifier: MIT
-- Kept errors: joined, and reported because nobody did.
local vai = require("vai")
for i = 1, 3 do
	local ok, err = vai.async(function()
		error({ i, ("long"):rep(50) })
	end):join()
	print(ok, type(err) == "table" and err[1] or error(err))
end
vai.async(error, ("orphan"):rep(20))
vai.sleep(0.001)
collectgarbage()
collectgarbage()

-- SPDX-License-Identifier: MIT
-- Modules in goroutines: from files, from preload, as captured tables; standard libraries.
package.path = "spec/oom/modules/?.lua;" .. package.path
package.preload.made = function()
	return { value = 5 }
end
local vai = require("vai")
local first = require("first")
for i = 1, 3 do
	local ok, a, b, c, d = vai.async(function()
		local made = require("made")
		return first.add(i, 1), require("second").name, made.value, os.time() > 0 and utf8.char(65) .. math.type(1)
	end):join()
	assert(ok, a)
	print(a, b, c, d)
end

-- SPDX-License-Identifier: MIT
-- Errors that the handler in main gets.
local vai = require("vai")
local seen = vai.chan(4)
vai.on_panic(function(err, traceback)
	if tostring(err):find("not enough memory") then
		io.stderr:write(err, "\n")
		os.exit(1)
	end
	seen:send((type(err) == "table" and err[1] or err) .. (traceback and "" or " without a traceback"))
end)
for i = 1, 3 do
	vai.go(function()
		local t = setmetatable({ "error" .. i % 1 }, {
			__tostring = function(e)
				return e[1]
			end,
		})
		error(t)
	end)
end
for _ = 1, 3 do
	print((assert(seen:recv(100), "no handler ran")))
end

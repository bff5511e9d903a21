-- SPDX-License-Identifier: MIT
-- Values of every kind through channels with and without a buffer; nothing lost, nothing twice.
local vai = require("vai")
local values = {
	1, 2.5, true, "short", ("long"):rep(100), { 1, 2, { 3 } }, { a = { b = {} }, 1 },
	setmetatable({ 7 }, { __index = { x = 8 } }), print, function() return 9 end,
}
local function show(v)
	if type(v) == "table" then
		return (v[1] or "nil") .. " " .. (type(v.x) == "number" and v.x or "nil")
	end
	return type(v) == "function" and "function" or tostring(v)
end
for cap = 0, 3, 3 do
	local ch, back = vai.chan(cap), vai.chan(cap)
	vai.go(function()
		for v in ch do
			back:send(v)
		end
		back:close()
	end)
	vai.go(function()
		for i = 1, 10 do
			ch:send(values[i])
		end
		ch:close()
	end)
	for v in back do
		print(show(v))
	end
end

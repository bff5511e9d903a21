-- SPDX-License-Identifier: MIT
-- So many records that the states learn how these lie in memory; nothing lost, nothing twice, no field another's.
local vai = require("vai")
local ch, back = vai.chan(4), vai.chan(4)
vai.go(function()
	for r in ch do
		back:send(r)
	end
	back:close()
end)
vai.go(function()
	for i = 1, 40 do
		ch:send({ id = i, name = "record " .. i, value = i / 2 })
	end
	ch:close()
end)
for r in back do
	r.more = true
	local n = 0
	for _ in pairs(r) do
		n = n + 1
	end
	print(r.id, r.name, r.value, n)
end

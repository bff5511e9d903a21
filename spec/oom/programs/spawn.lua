-- SPDX-License-Identifier: MIT
-- Goroutines of several kinds, and what becomes of their results.
local vai = require("vai")
local wg = vai.waitgroup()
local tasks = {}
for i = 1, 5 do
	tasks[i] = vai.async(function(a, ...)
		local t = {}
		for j = 1, 20 do
			t[j] = ("x"):rep(j) .. a
		end
		return #table.concat(t), select("#", ...)
	end, i, nil, { i })
	wg:go(function()
		return table.concat({ i })
	end)
end
wg:wait()
for i = 1, 5 do
	print(assert(tasks[i]:join()) and select(2, tasks[i]:join()))
end

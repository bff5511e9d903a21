-- SPDX-License-Identifier: MIT
-- The C stack's end is an error that can be caught: every way down through C functions.
-- expect-status: 0
-- expect-stdout: gsub true
-- expect-stdout: sort true
-- expect-stdout: format true
-- expect-stdout: load true
-- expect-stdout: pcall true
-- expect-stdout: concat true
-- expect-stdout: wrap true
-- expect-stdout: require true
-- expect-stdout: handler true
-- expect-stdout: alive
local vai = require("vai")
local deep = {}
function deep.gsub()
	return (("x"):gsub("x", deep.gsub))
end
function deep.sort()
	table.sort({ 1, 2, 3 }, deep.sort)
end
function deep.format()
	return ("%s"):format(setmetatable({}, { __tostring = deep.format }))
end
function deep.load()
	return assert(load(deep.load))
end
function deep.pcall()
	return assert(select(2, pcall(deep.pcall)) == nil)
end
function deep.concat()
	return setmetatable({}, { __concat = deep.concat }) .. "x"
end
function deep.wrap()
	return coroutine.wrap(deep.wrap)()
end
function deep.require()
	package.loaded.self = nil
	package.preload.self = deep.require
	return require("self")
end
function deep.handler()
	assert(not xpcall(error, string.gsub))
	assert(xpcall(error, function()
		string.gsub()
	end))
end
for _, name in ipairs({ "gsub", "sort", "format", "load", "pcall", "concat", "wrap", "require", "handler" }) do
	local task = vai.async(function()
		local ok, err = pcall(deep[name])
		return ok, tostring(err)
	end)
	local ran, ok, err = task:join()
	print(name .. " " .. tostring(ran and not ok))
	assert(ran and err ~= nil, err)
end
local ch = vai.chan()
vai.go(function()
	ch:send("alive")
end)
print((ch:recv()))

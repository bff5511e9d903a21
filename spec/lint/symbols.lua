-- SPDX-License-Identifier: MIT
-- lua5.4 spec/lint/symbols.lua vai.so OBJECT...: what the module exports and needs, and how names that
-- are visible between files begin.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

local function output(fmt, ...)
	local pipe = assert(io.popen(fmt:format(...)))
	local text = pipe:read("a")
	assert(pipe:close(), "nm or readelf failed")
	return text
end

local so = arg[1]
local exported = 0
for name in output("nm -D --defined-only '%s'", so):gmatch("%x+ %a (%S+)") do
	name = name:gsub("@.*", "")
	exported = exported + 1
	if name ~= "luaopen_vai" and not name:find("^vai_%l") then
		files.complain(so, 0, "exports %s", name)
	end
end
if not output("nm -D --defined-only '%s'", so):find(" T luaopen_vai\n") then
	files.complain(so, 0, "does not export luaopen_vai")
end
for needed in output("readelf -d '%s'", so):gmatch("%(NEEDED%)[^%[]*%[([^%]]+)") do
	if needed:find("lua") then
		files.complain(so, 0, "is linked with %s; the host brings Lua", needed)
	end
end
for name in output("nm -D --undefined-only '%s'", so):gmatch(" U (%S+)") do
	if name:find("^vai_") then
		files.complain(so, 0, "%s is called and defined nowhere", name)
	end
end

local visible = 0
for i = 2, #arg do
	for name in output("nm -g --defined-only '%s' 2>/dev/null", arg[i]):gmatch("%x+ %a (%S+)") do
		visible = visible + 1
		-- sched/ is a family of files around rt.h with names of its own.
		if name ~= "luaopen_vai" and not name:find("^vai_") and not arg[i]:find("/sched/") then
			files.complain(arg[i], 0, "%s is visible to other files: static, or vai__%s", name, name)
		end
	end
end
files.finish("symbols: %d exported, %d internal", exported, visible)

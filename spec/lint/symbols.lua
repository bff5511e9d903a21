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
	elseif name:find("^lua") then
		files.complain(so, 0, "%s is no weak reference: another Lua could not load the module (src/lua_weak.h)", name)
	end
end

-- A name that is visible between files says where it lives: after vai__ comes the first word of the file's name
-- (without a closing "lib"), or one of these words of its room. The archive is linked into hosts that have names
-- of their own.
local words = {
	["base"] = "log clock fork forked futex lock mem fatal",
	["mach"] = "barrier ctx guard stack thread",
	["sched"] = "g m m0 p gqueue global locked timers watch world sched fire wait wake sleep yield maxprocs numcpu",
	["sync"] = "waiters guard member",
	["data"] = "snapshot",
	["net"] = "desc poll",
	["state"] = "state handles",
	["stdlib"] = "lazy catalog",
	["code"] = "code probe",
	["transfer"] = "class code encode decode enc lost codec msg block out is",
	["require"] = "paths modcache",
	["runtime"] = "state",
	["bind"] = "main site arg",
	["bind/report"] = "report lib",
	["bind/life"] = "call hook end interrupt protect",
	["bind/replaced"] = "blocking coroutine",
	["bind/lib"] = "lib bind guard arg",
	["bind/host"] = "host os",
}

local function lives_there(symbol, object)
	local room, stem = object:match("/obj/(.+)/([%w_]+)%.[cS]%.o$")
	local rest = symbol:match("^vai__([%w_]+)$")
	if not room or not rest then
		return false
	end
	local first = rest:match("^%w+")
	return first == room or first == stem:match("^%w+"):gsub("lib$", "") or
		(" " .. (words[room] or "") .. " "):find(" " .. first .. " ", 1, true) ~= nil
end

local visible = 0
local objects = "'" .. table.concat(arg, "' '", 2) .. "'"
for object, name in output("nm -A -g --defined-only %s 2>/dev/null", objects):gmatch("([^\n]+%.o):%x+ %a (%S+)") do
	visible = visible + 1
	if name ~= "luaopen_vai" and not name:find("^vai_%l") and not lives_there(name, object) then
		files.complain(object, 0, "%s is visible to other files: static, or vai__ and its file or room", name)
	end
end
files.finish("symbols: %d exported, %d internal", exported, visible)

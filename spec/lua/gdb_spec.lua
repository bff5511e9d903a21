-- SPDX-License-Identifier: MIT
-- mk/vai-gdb.py: goroutines of a live process and of a core, with their Lua and C frames. Needs gdb, and what each test
-- says when it is left out.
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local support = dofile(here .. "support/program.lua")
local lua = os.getenv("LUA") or "lua5.4"
local root = here:find "^/" and "" or io.popen("pwd"):read("l") .. "/"
local script = root .. here .. "../../mk/vai-gdb.py"

local function output(command)
	local p = assert(io.popen(command .. " 2>&1"))
	local text = p:read("a")
	p:close()
	return text
end

-- Why no test of this file can run here, or nil.
local function obstacle()
	local variant = os.getenv("VAI_VARIANT") or "release"
	if variant ~= "release" then return "the switch of the build " .. variant .. " is another one, or gdb has no look into it" end
	if not output("gdb --batch -ex 'python print(6 * 7)'"):find("42", 1, true) then return "there is no gdb with Python here" end
end

-- Waits in a receive, waits in a function called from a sort's comparator, and computes. `last` is what main does once all
-- three do so.
local function program(last)
	return [[
local vai = require "vai"
local ch = vai.chan()
local function inner()
	return ch:recv()
end
vai.go(function()
	local v = inner()
	return v
end)
vai.go(function()
	table.sort({ 2, 1 }, function() vai.sleep(1000) end)
end)
vai.go(function() while true do end end)
repeat
	vai.dump("dump")
	local text = io.open("dump"):read("a")
until text:find("[chan receive]", 1, true) and text:find("[sleep]", 1, true) and text:find("p.lua:13: in function", 1, true)
local pid = io.open("/proc/self/stat"):read("n")
]] .. last
end

local function run(folder, text)
	local f = assert(io.open(folder .. "/p.lua", "w"))
	f:write(text)
	f:close()
	return output(("cd %s && ulimit -S -c \"$(ulimit -H -c)\" && %s p.lua"):format(folder, lua))
end

local function has(text, ...)
	for _, part in ipairs { ... } do
		assert(text:find(part, 1, true), part .. " is missing in:\n" .. text)
	end
end

-- What is to be seen of the three.
local function check(text)
	has(text, "goroutine 1 [", ", created at p.lua:6\n", "[sleep], created at p.lua:10\n", "[running], thread ")
	local first = assert(text:match("(goroutine %d+ %[chan receive%].-)\ngoroutine "), text)
	has(first, "\n    [C]: in chan_recv\n    p.lua:4: in function <p.lua:3>\n    p.lua:7: in function <p.lua:6>\n",
		"\n    vai__chan_recv at src/sync/chan.c:", "\n    enter at src/sched/g.c:")
	local second = assert(text:match("(goroutine %d+ %[sleep%], created.-)\ngoroutine "), text)
	has(second, "\n    p.lua:11: in function <p.lua:11>\n    [C]: in ", "\n    p.lua:11: in function <p.lua:10>\n",
		"\n    vai__sleep at src/sched/park.c:")
	local third = assert(text:match("(goroutine %d+ %[running%], thread.*)"), text)
	has(third, "\n    p.lua:13: in function <p.lua:13>\n")
end

-- Calls look() until what it saw is the third at work: that may have been between two of its turns.
local function at_work(look)
	for _ = 1, 5 do
		local text = look()
		if text:find("[running], thread ", 1, true) then return text end
	end
	return look()
end

describe("gdb", function()
	local why = obstacle()
	local function test(name, f) (why and pending or it)(name .. (why and ": " .. why or ""), f) end

	local commands = ("-ex 'source %s' -ex 'goroutine all' -ex 'goroutine 99'"):format(script)

	test("lists goroutines of a live process, with Lua and C frames", function()
		local folder = support.folder()
		local text = at_work(function()
			return run(folder, program(([[
local p = io.popen("gdb -q -batch -p " .. pid .. " %s 2>&1")
print(p:read("a"))
os.exit(0)]]):format(commands)))
		end)
		if text:find("ptrace: Operation not permitted", 1, true) then return end -- a container may forbid it
		check(text)
		has(text, "goroutine: there is none with the number 99")
	end)

	local pattern = io.open("/proc/sys/kernel/core_pattern"):read("l")
	if pattern:find("[/|]") then why = why or "cores go elsewhere here: " .. pattern end
	if output("ulimit -H -c") == "0\n" then why = why or "there may be no cores here" end
	test("and of a core", function()
		local folder = support.folder()
		check(at_work(function()
			os.execute(("rm -f %s/core*"):format(folder))
			run(folder, program [[os.execute("kill -ABRT " .. pid) vai.sleep(100)]])
			return output(("gdb -q -batch %s %s/core* %s"):format(lua, folder, commands))
		end))
	end)
end)

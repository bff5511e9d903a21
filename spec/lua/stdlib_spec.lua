-- SPDX-License-Identifier: MIT
-- Lua's own libraries inside goroutines: as in any Lua state.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

-- Every program's body runs in a fresh goroutine; "raw" says that nothing but the body is in it.
local function inside(name, body, opts)
	test(name, "local ok, err = vai.async(function() local select = _G.select; " .. body .. " end):join() assert(ok, err)", opts)
end

describe("globals", function()
	inside("pairs(_G) finds everything", [[
		local seen = {}
		for k, v in pairs(_G) do
			assert(seen[k] == nil, "twice: " .. tostring(k))
			seen[k] = v
		end
		for _, name in ipairs { "assert", "collectgarbage", "dofile", "error", "getmetatable", "ipairs", "load",
			"loadfile", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require",
			"select", "setmetatable", "tonumber", "tostring", "type", "warn", "xpcall" } do
			check.eq(type(seen[name]), "function", name)
		end
		for _, name in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package", "_G" } do
			check.eq(type(seen[name]), "table", name)
			assert(seen[name] == _G[name])
		end
		check.eq(seen._VERSION, "Lua 5.4")
		check.eq(seen._G, _G)
	]])

	inside("next(_G) walks", [[
		local n, k = 0, nil
		repeat
			k = next(_G, k)
			n = n + 1
			assert(n < 1000)
		until k == nil
		assert(n > 30, n)
		assert(next(_G) ~= nil)
	]])

	inside("next(_G, name) goes on from any name", [[
		local v = select(2, next(_G))
		for k in pairs(_G) do assert(pcall(next, _G, k), k) end
	]])

	inside("rawget and rawset see them", [[
		check.eq(rawget(_G, "string"), string)
		check.eq(rawget(_G, "print"), print)
		check.eq(rawget(_G, "nothing"), nil)
		rawset(_G, "math", nil)
		check.eq(math, nil)
		check.eq(rawget(_G, "math"), nil)
		rawset(_G, "mine", 1)
		check.eq(mine, 1)
	]])

	inside("can be taken away before they were used", [[
		table = nil
		_G.utf8 = nil
		check.eq(rawget(_G, "table"), nil)
		check.eq(table, nil)
		for k in pairs(_G) do assert(k ~= "table" and k ~= "utf8", k) end
		check.eq(type(require "table"), "table")
		check.eq(type(package.loaded.utf8), "table")
	]])

	inside("setmetatable(_G, strict)", [[
		local mt = getmetatable(_G)
		check.eq(mt, nil)
		mt = { declared = {} }
		setmetatable(_G, mt)
		mt.__newindex = function(t, n, v)
			if not mt.declared[n] then error("assign to undeclared variable '" .. n .. "'", 2) end
			rawset(t, n, v)
		end
		mt.__index = function(_, n)
			if not mt.declared[n] then error("variable '" .. n .. "' is not declared", 2) end
		end
		check.raises("variable 'undeclared' is not declared", function() return undeclared end)
		check.raises("undeclared variable 'undeclared'", function() undeclared = 1 end)
		mt.declared.x = true
		x = 5
		check.eq(x, 5)
		check.eq(("%d"):format(7), "7")
		check.eq(table.concat { 1, 2 }, "12")
		check.eq(math.max(1, 2), 2)
		check.eq(utf8.len "ä", 1)
		check.eq(type(os.time()), "number")
		check.eq(type(io.write), "function")
		check.eq(type(coroutine.wrap), "function")
		check.eq(type(debug.traceback()), "string")
		check.eq(type(package.path), "string")
		check.eq(tostring(1), "1")
		check.eq(getmetatable(_G), mt)
	]])

	inside("every library is whole", [[
		local want = {
			string = "byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
			table = "concat insert move pack remove sort unpack",
			math = "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad "
				.. "random randomseed sin sqrt tan tointeger type ult",
			io = "close flush input lines open output popen read stderr stdin stdout tmpfile type write",
			os = "clock date difftime execute exit getenv remove rename setlocale time tmpname",
			coroutine = "close create isyieldable resume running status wrap yield",
			utf8 = "char charpattern codepoint codes len offset",
			debug = "debug gethook getinfo getlocal getmetatable getregistry getupvalue getuservalue sethook setlocal "
				.. "setmetatable setupvalue setuservalue traceback upvalueid upvaluejoin",
			package = "config cpath loaded loadlib path preload searchers searchpath",
		}
		for lib, names in pairs(want) do
			for name in names:gmatch "%S+" do assert(_G[lib][name] ~= nil, lib .. "." .. name) end
		end
	]])
end)

describe("string methods", function()
	inside("without the library's name", [[ check.eq(("x"):upper(), "X") ]])
	inside("arithmetic on strings", [[
		check.eq(("10") + 1, 11)
		check.eq("3" * "4", 12)
		check.eq(-"2", -2)
		check.eq("0x10" // 1, 16)
		check.eq("1.5" + 1, 2.5)
		check.eq("7" % 4, 3)
		assert(not pcall(function() return "a" + 1 end))
	]])
	inside("indexing and the metatable", [[
		check.eq(("x").rep("y", 3), "yyy")
		check.eq(getmetatable("").__index, string)
		getmetatable("").__call = function(s, n) return s:rep(n) end
		check.eq(("ab")(2), "abab")
		string.shout = function(s) return s:upper() .. "!" end
		check.eq(("hi"):shout(), "HI!")
		check.eq(#("x"):rep(10), 10)
	]])
	inside("lengths, comparison, concatenation, conversion", [[
		assert("a" < "b" and "a" .. 1 == "a1" and tostring(12) == "12" and 10 == tonumber "10")
		check.eq(("%5.2f|%q|%s"):format(3.14159, "a\nb", nil), ' 3.14|"a\\\nb"|nil')
	]])
end)

describe("require", function()
	local files = {
		["mod.lua"] = "local M = {...}; loads = (loads or 0) + 1; M.loads = loads; return M",
		["broken.lua"] = "return +",
		["raising.lua"] = "error 'from the body'",
		["falsy.lua"] = "side_effect = true",
	}

	inside("gives the stock libraries", [[
		for _, name in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package", "_G" } do
			assert(require(name) == _G[name], name)
			assert(package.loaded[name] == _G[name], name)
		end
	]])

	inside("finds stock libraries before their globals were touched", [[
		check.eq(require "string".upper "x", "X")
		check.eq(package.loaded.table.concat { 1 }, "1")
		local n = 0
		for name, lib in pairs(package.loaded) do
			n = n + 1
			check.eq(type(name), "string")
		end
		assert(n >= 10, n)
	]])

	test("uses the script's package.path", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		package.cpath = arg[1] .. "/?.so;" .. package.cpath
		local path, cpath = package.path, package.cpath
		for _ = 1, 20 do
			local task = vai.async(function()
				local m = require "mod"
				return m[1], m[2], m == require "mod", loads, package.path == path, package.cpath == cpath
			end)
			check.returns(table.pack(task:join()), true, "mod", arg[1] .. "/mod.lua", true, 1, true, true)
		end
		check.eq(loads, nil)
	]], { files = files })

	test("sees a path that changed later", [[
		local before = package.path
		check.eq((vai.async(function() return require "mod" end):join()), false)
		package.path = arg[1] .. "/?.lua"
		local task = vai.async(function() return require "mod".loads, package.path end)
		check.returns(table.pack(task:join()), true, 1, package.path)
		package.path = before
		check.eq((vai.async(function() return require "mod" end):join()), false)
	]], { files = files })

	test("may have a path of its own in each goroutine", [[
		local dir, before = arg[1], package.path
		local task = vai.async(function()
			package.path = dir .. "/?.lua"
			return require "mod".loads
		end)
		check.returns(table.pack(task:join()), true, 1)
		check.eq(package.path, before)
	]], { files = files })

	test("sees package.preload of the script", [[
		local n = 5
		package.preload.virtual = function(name, extra) return { name = name, extra = extra, n = n } end
		local task = vai.async(function() local v = require "virtual" return v.name, v.extra, v.n end)
		check.returns(table.pack(task:join()), true, "virtual", ":preload:", 5)
	]])

	test("gives errors that tell what is wrong", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local ok, err = vai.async(function() return require "no.such.module" end):join()
		assert(not ok and err:find "module 'no.such.module' not found" and err:find(arg[1], 1, true), err)
		for _ = 1, 2 do
			ok, err = vai.async(function() return require "broken" end):join()
			assert(not ok and err:find "error loading module 'broken'" and err:find "broken.lua:1:", err)
			ok, err = vai.async(function() return require "raising" end):join()
			assert(not ok and err:find "raising.lua:1: from the body", err)
		end
		ok, err = vai.async(function() return require "falsy", side_effect, package.loaded.falsy end):join()
		assert(ok and err == true, err)
	]], { files = files })

	test("finds modules of C", [[
		local function use()
			local lpeg, cjson, lfs = require "lpeg", require "cjson", require "lfs"
			local digits = lpeg.C(lpeg.R "09" ^ 1)
			return digits:match "123x", cjson.encode { 1, 2 }, lfs.attributes("/", "mode")
		end
		local tasks = {}
		for i = 1, 8 do tasks[i] = vai.async(use) end
		for i = 1, 8 do check.returns(table.pack(tasks[i]:join()), true, "123", "[1,2]", "directory") end
		check.returns(table.pack(use()), "123", "[1,2]", "directory")
	]], { needs = { "lpeg", "cjson", "lfs" } })

	test("finds big modules of Lua", [[
		local function use()
			local pl = require "pl.pretty"
			return (pl.write({ 1, { x = 2 } }, ""))
		end
		local want = use()
		for _ = 1, 5 do check.returns(table.pack(vai.async(use):join()), true, want) end
	]], { needs = "pl.pretty" })
end)

describe("collectgarbage", function()
	inside("counts", [[
		local before = collectgarbage "count"
		check.eq(math.type(before), "float")
		assert(before > 1 and before < 1000, before)
		local s = ("x"):rep(1 << 20)
		local with = collectgarbage "count"
		assert(with > before + 1000, with)
		check.eq(#s, 1 << 20)
		s = nil
		check.eq(collectgarbage(), 0)
		assert(collectgarbage "count" < before + 500)
	]])

	inside("keeps garbage within bounds by itself", [[
		local most = 0
		for i = 1, 200000 // check.slowness do
			local t = { i, tostring(i), {} }
			if i % 1000 == 0 then most = math.max(most, collectgarbage "count") end
		end
		assert(most < 20000, most)
	]])

	inside("all options", [[
		check.eq(collectgarbage "isrunning", true)
		collectgarbage "stop"
		check.eq(collectgarbage "isrunning", false)
		collectgarbage "restart"
		check.eq(collectgarbage "isrunning", true)
		check.eq(type(collectgarbage "step"), "boolean")
		local mode = collectgarbage "generational"
		assert(mode == "incremental" or mode == "generational")
		check.eq(collectgarbage("incremental", 200, 100), "generational")
		check.eq(collectgarbage(), 0)
		collectgarbage("setpause", 160)
		check.eq(collectgarbage("setpause", 200), 160)
	]])

	inside("weak tables", [[
		local weak = setmetatable({}, { __mode = "kv" })
		for i = 1, 100 do weak[{}] = {} weak[i] = {} end
		local keep = {}
		weak.keep = keep
		collectgarbage()
		local n = 0
		for _ in pairs(weak) do n = n + 1 end
		check.eq(n, 1)
		check.eq(weak.keep, keep)
	]])

	inside("a string of 20 MB and many tables", [[
		local s = ("x"):rep(20 << 20)
		check.eq(#(s .. "y"), (20 << 20) + 1)
		local t = {}
		for i = 1, 200000 // check.slowness do t[i] = { i } end
		check.eq(t[#t][1], #t)
	]])
end)

describe("print and io.write", function()
	test("come out in one piece", [[
		local wg = waitgroup()
		for g = 1, 8 do
			wg:go(function()
				for i = 1, 200 do
					print("line", g, i, ("x"):rep(i), "end")
					if i % 10 == 0 then vai.yield() end
				end
			end)
		end
		for i = 1, 200 do print("line", 0, i, ("x"):rep(i), "end") end
		wg:wait()
	]], { lines = "^line\t%d\t%d+\tx+\tend$", count = 1800 })

	test("of everything, counted", [[
		local wg = waitgroup()
		for g = 1, 8 do
			wg:go(function()
				for i = 1, 300 do
					io.write("<", g, ":", i, ":", ("y"):rep(50), ">\n")
				end
			end)
		end
		wg:wait()
		io.stdout:flush()
	]], { lines = "^<%d:%d+:" .. ("y"):rep(50) .. ">$", count = 2400 })

	test("print of everything, counted", [[
		local wg = waitgroup()
		for g = 1, 8 do
			wg:go(function()
				for i = 1, 300 do print(g, i, ("z"):rep(50), nil, true, 1.5) end
			end)
		end
		wg:wait()
	]], { lines = "^%d\t%d+\t" .. ("z"):rep(50) .. "\tnil\ttrue\t1.5$", count = 2400 })

	test("print uses __tostring and __name", [[
		vai.async(function()
			print(setmetatable({}, { __tostring = function() return "custom" end }), 1, nil)
			print()
			print("a\0b")
		end):join()
	]], { out = "custom\t1\tnil\n\na\0b\n" })

	test("print raises where __tostring gives no string", [[
		local ok, err = vai.async(function()
			print(setmetatable({}, { __tostring = function() return {} end }))
		end):join()
		assert(not ok and err:find "'__tostring' must return a string", err)
	]])

	test("io.write returns the file, and goes to io.output", [[
		local name = arg[1] .. "/out"
		vai.async(function()
			assert(io.write "to stdout\n" == io.stdout)
			io.output(name)
			io.write("to ", "file ", 1, " ", 2.5, "\n")
			io.close()
		end):join()
		check.eq(io.open(name):read "a", "to file 1 2.5\n")
		print "still stdout"
	]], { out = "to stdout\nstill stdout\n" })

	test("order within one goroutine, and with main, is kept", [[
		print "main 1"
		vai.async(function() print "inner 1" io.write "inner 2\n" io.stdout:write "inner 3\n" end):join()
		print "main 2"
	]], { out = "main 1\ninner 1\ninner 2\ninner 3\nmain 2\n" })
end)

describe("io and os", function()
	test("files", [[
		local name = arg[1] .. "/file"
		local task = vai.async(function()
			local f = assert(io.open(name, "w"))
			f:write("one\n", 2, "\n", 3.5, "\n")
			f:close()
			local lines = {}
			for l in io.lines(name) do lines[#lines + 1] = l end
			for n in io.lines(name, "n") do break end
			local g <close> = io.open(name)
			return table.concat(lines, ","), g:read "l", g:read "n", g:read("n", "l", "a")
		end)
		check.returns(table.pack(task:join()), true, "one,2,3.5", "one", 2, 3.5, "", "")
		check.returns(table.pack(vai.async(io.open, "/no/such"):join()), true, nil, "/no/such: No such file or directory", 2)
	]])

	test("stdin", [[
		local task = vai.async(function() return io.read "l", io.read "n", io.stdin:read "a" end)
		check.returns(table.pack(task:join()), true, "first", 42, " rest\n")
	]], { stdin = "first\n42 rest\n" })

	test("popen, execute, getenv, time", [[
		local task = vai.async(function()
			local p = io.popen "echo from popen; exit 3"
			local s = p:read "l"
			local _, how, status = p:close()
			return s, how, status, os.execute "exit 4"
		end)
		local r = table.pack(task:join())
		assert(r[1] and r[2] == "from popen" and r[3] == "exit" and r[4] == 3 and r[5] == nil and r[7] == 4, tostring(r[2]))
		check.eq((vai.async(function() return os.time { year = 2020, month = 1, day = 1, hour = 12 } end):join()), true)
	]])

	test("files left open are closed with the goroutine", [[
		local name = arg[1] .. "/left"
		for _ = 1, 1300 // check.slowness do -- more than may be open at once
			local ok, err = vai.async(function()
				local f = assert(io.open(name, "w"))
				f:write "unflushed"
			end):join()
			assert(ok, err)
		end
		check.until_true(function()
			local f <close> = io.open(name)
			return f:read "a" == "unflushed"
		end)
	]], { sample = 1 })

	test("dofile, loadfile, load", [[
		local name = arg[1] .. "/chunk.lua"
		local f = io.open(name, "w")
		f:write "x = (x or 0) + 1 return x, ..."
		f:close()
		local task = vai.async(function()
			local a = dofile(name)
			local b, c = loadfile(name)("arg")
			local d = load("return x", "c", "t", { x = "env" })()
			return a, b, c, d, x
		end)
		check.returns(table.pack(task:join()), true, 1, 2, "arg", "env", 2)
		check.eq(x, nil)
	]])
end)

describe("debug", function()
	inside("getinfo, traceback, locals, upvalues", [[
		local function f(a, b) local c = 3; return debug.getinfo(1, "nSlu"), debug.getlocal(1, 1) end
		local info, name = f(1, 2)
		check.eq(info.name, "f")
		check.eq(name, "a")
		check.eq(info.nparams, 2)
		assert(info.short_src:find "program.lua")
		assert(debug.traceback("m", 1):find "stack traceback:")
		check.eq((debug.getupvalue(function() return f end, 1)), "f")
		check.eq(type(debug.getregistry()), "table")
	]])

	inside("hooks count and trace", [[
		local lines, calls = 0, 0
		debug.sethook(function(e) if e == "line" then lines = lines + 1 else calls = calls + 1 end end, "lc")
		local function f() return 1 end
		f()
		f()
		debug.sethook()
		assert(lines >= 3 and calls >= 2, lines .. " " .. calls)
		check.eq(debug.gethook(), nil)
	]])

	inside("getinfo with other threads", [[
		local co = coroutine.create(function() local inner = 5; coroutine.yield() end)
		coroutine.resume(co)
		check.eq((debug.getlocal(co, 1, 1)), "inner")
		assert(debug.traceback(co):find "yield")
	]])
end)

describe("math.random", function()
	test("differs between goroutines", [[
		local seen = {}
		for _ = 1, 20 do
			local _, n = vai.async(function() return math.random(0) end):join()
			assert(not seen[n], "two goroutines with one seed")
			seen[n] = true
		end
	]])

	inside("can be seeded", [[
		math.randomseed(42)
		local a = math.random(1000000)
		math.randomseed(42)
		check.eq(math.random(1000000), a)
	]])
end)

describe("errors", function()
	inside("keep positions, levels, warn", [[
		local function f() error("level 2", 2) end
		local err = check.raises("level 2", function() f() end)
		assert(err:find "program.lua:2:", err)
		check.raises("attempt to call a nil value %(global 'nothing'%)", function() nothing() end)
		check.raises("attempt to compare number with nil", function() return 1 < nil end)
		check.raises("bad argument #1 to 'insert' %(table expected, got nil%)", function() table.insert(nil, 1) end)
		check.raises("bad argument #1 to 'upper'", function() string.upper() end)
		warn "@off"
	]])

	inside("assert, select, tostring, tonumber, rawequal, next", [[
		check.returns(table.pack(select(-1, 1, 2)), 2)
		check.returns(table.pack(select("#")), 0)
		check.raises("assertion failed!", assert, false)
		check.eq(tonumber("ff", 16), 255)
		check.eq(tostring(nil), "nil")
		assert(rawequal(print, print) and rawlen { 1, 2 } == 2)
	]])
end)

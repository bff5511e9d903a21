-- SPDX-License-Identifier: MIT
-- What goroutines find of the script's world: changed libraries, modules, files.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("another function under a stock name", function()
	test("of C is what goroutines call", [[
		print = require "socket".gettime
		local ok, t = vai.async(function() return print() end):join()
		assert(ok and type(t) == "number", t)
	]], { needs = "socket" })

	test("that is stock's elsewhere is what goroutines call", [[
		tostring, type = type, tostring
		local ok, a, b = vai.async(function() return tostring(5), type(5) end):join()
		check.returns(table.pack(ok, a, b), true, "number", "5")
	]])
end)

describe("require in goroutines", function()
	test("looks at the file, not at what it was", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local function put(s)
			local f <close> = assert(io.open(arg[1] .. "/hot.lua", "w"))
			f:write(s)
		end
		local function get() return _G.select(2, vai.async(function() return (require "hot") end):join()) end
		for i = 1, 50 do
			put("return " .. 10 + i)
			check.eq(get(), 10 + i)
			check.eq(get(), 10 + i)
		end
		put "return 'one'"
		local ok, a, b = vai.async(function()
			local first = require "hot"
			local f <close> = assert(io.open(arg[1] .. "/hot.lua", "w"))
			f:write "return 'two'"
			f:flush()
			package.loaded.hot = nil
			return first, require "hot"
		end):join()
		check.returns(table.pack(ok, a, b), true, "one", "two")
		os.remove(arg[1] .. "/hot.lua")
		ok, a = vai.async(function() return require "hot" end):join()
		assert(not ok and a:find "module 'hot' not found", a)
	]])

	test("finds what has come to an earlier place of the path", [[
		local dir = arg[1]
		os.execute("mkdir " .. dir .. "/a " .. dir .. "/b")
		package.path = dir .. "/a/?.lua;" .. dir .. "/b/?.lua"
		local function put(name, s)
			local f <close> = assert(io.open(dir .. name, "w"))
			f:write(s)
		end
		local function get() return _G.select(2, vai.async(function() return (require "mod") end):join()) end
		put("/b/mod.lua", "return 'b'")
		check.eq(get(), "b")
		put("/a/mod.lua", "return 'a'")
		check.eq(get(), "a")
	]])

	test("follows the working directory", [[
		local lfs, dir = require "lfs", arg[1]
		for _, d in ipairs { "a", "b" } do
			lfs.mkdir(dir .. "/" .. d)
			local f <close> = assert(io.open(dir .. "/" .. d .. "/rel.lua", "w"))
			f:write("return '" .. d .. "'")
		end
		package.path = "./?.lua"
		for i = 1, 6 do
			local d = i % 2 == 0 and "a" or "b"
			lfs.chdir(dir .. "/" .. d)
			check.eq(_G.select(2, vai.async(function() return (require "rel") end):join()), d)
		end
	]], { needs = "lfs" })
end)

describe("lost writes", function()
	test("are reported by the first spawn, too", [[
		local results = {}
		vai.go(function() results[1] = 1 end):join()
	]], { err = "program.lua:2: goroutine writes into captured table 'results'" })

	test("into a module's table are none, whatever came before", [[
		local many = {}
		for i = 1, 9 do
			many[i] = {}
			package.loaded["m" .. i] = many[i]
		end
		local strings = string
		vai.go(function() strings.own = 1 end):join()
	]])
end)

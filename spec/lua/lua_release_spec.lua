-- SPDX-License-Identifier: MIT
-- vai in the Lua that it runs in: warnings of the host reach goroutines, another Lua gets a clear message.
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local program = dofile(here .. "support/program.lua")
local test = program.test

describe("warnings", function()
	local body = [[
		local function f(text)
			setmetatable({}, { __gc = function() error("in gc", 0) end })
			collectgarbage()
			warn(text, "!")
		end
		vai.async(f, "before"):join()
		io.stderr:write "-\n"
	]]
	test("of goroutines are as the host's: off at first, then as it says", body .. [[
		warn "@on"
		assert(vai.async(f, "on"):join())
		warn "@off"
		assert(vai.async(f, "off"):join())
	]], { err = "^%-\nLua warning: error in __gc.-\nLua warning: on!\n$" })

	test("are a goroutine's own once it has said so", body .. [[
		assert(vai.async(function() warn "@on" f "mine" end):join())
		assert(vai.async(f, "not"):join())
		warn "@on"
		assert(vai.async(function() warn "@off" f "silent" end):join())
	]], { err = "^%-\nLua warning: error in __gc.-\nLua warning: mine!\n$" })

	it("are on after lua -W", function()
		local lua = os.getenv("LUA") or "lua5.4"
		local p = assert(io.popen(lua .. [[ -W -e 'local vai = require "vai" vai.async(warn, "heard"):join()' 2>&1]]))
		local on = p:read("a")
		p:close()
		local file = program.temp()
		local f = assert(io.open(file, "w"))
		f:write [[local vai = require "vai" assert(vai.async(warn, "heard"):join())]]
		f:close()
		p = assert(io.popen(lua .. " -W " .. file .. " 2>&1"))
		local text = p:read("a")
		p:close()
		assert(text == "Lua warning: heard\n", text)
		assert(on == "Lua warning: heard\n", on)
	end)

	-- The script is loaded before vai is.
	for name, code in pairs {
		["on where the host has turned them on before"] = { 'warn "@on"', "Lua warning: heard\n" },
		["off where it has turned them off again"] = { 'warn "@on" warn "@off"', "" },
		["on in the middle of a message"] = { 'warn "@on" warn("a", "b")', "Lua warning: ab\nLua warning: heard\n" },
		["off where it has said nothing"] = { "", "" },
	} do
		it("are " .. name, function()
			local lua = os.getenv("LUA") or "lua5.4"
			local p = assert(io.popen(("%s -e '%s local vai = require \"vai\" vai.async(warn, \"heard\"):join()' 2>&1"):format(
				lua, code[1])))
			local text = p:read("a")
			p:close()
			assert.equal(code[2], text)
		end)
	end
end)

describe("another Lua", function()
	for _, name in ipairs { "lua5.1", "lua5.2", "lua5.3", "luajit", "lua5.5" } do
		local found = os.execute(("command -v %s >/dev/null 2>&1"):format(name))
		if found and program.slowness == 1 then
			it("is told what vai needs: " .. name, function()
				local p = assert(io.popen(([[%s -e 'package.cpath = "%s/?.so"; print(pcall(require, "vai"))' 2>&1]]):format(
					name, os.getenv("VAI_BUILD") or "build")))
				local text = p:read("a")
				p:close()
				assert(text:find("vai needs Lua 5.4, and this is ", 1, true), text)
			end)
		end
	end
end)

describe("nested closings of coroutines", function()
	test("end in Lua's own error, in main and in goroutines", [[
		local function run()
			local depth = 0
			local function loop()
				depth = depth + 1
				local co = coroutine.create(function()
					local x <close> = setmetatable({}, { __close = function() loop() end })
					coroutine.yield()
				end)
				coroutine.resume(co)
				assert(coroutine.close(co))
			end
			local ok, err = pcall(loop)
			return ok, tostring(err), depth
		end
		local ok, err, depth = run()
		local function is_fine(ok, err) -- in Lua 5.4.2 only the resume fails
			return ok or err:find "C stack overflow"
		end
		assert(is_fine(ok, err) and depth > 20, err)
		local joined, fine, message = vai.async(run):join()
		assert(joined, fine)
		assert(is_fine(fine, message), message)
	]])

	test("and deep text for load, too", [[
		local function run()
			local worst
			for _, s in ipairs { "return " .. ("("):rep(10000), "return " .. ("{"):rep(10000), "local a; a" .. (",a"):rep(10000),
				"return " .. ("- "):rep(10000), ("do "):rep(10000) } do
				local f, err = load(s)
				if f or not err then worst = s end
			end
			return worst
		end
		check.eq(run(), nil)
		check.returns(table.pack(vai.async(run):join()), true, nil)
	]])
end)

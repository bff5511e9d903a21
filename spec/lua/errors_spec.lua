-- SPDX-License-Identifier: MIT
-- Errors of every kind and from every place: each ends in a value or a message, and the rest goes on. Each
-- body runs in several goroutines and in main, beside others that work all the while.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- What takes more of the system for itself than these limits leave, or ignores them.
local sanitized = ({ asan = true, tsan = true, valgrind = true, arm64 = true })[os.getenv("VAI_VARIANT") or ""]

local head = [[
local stop = chan()
local beside = {}
for i = 1, 3 do
	beside[i] = vai.async(function()
		local n = 0
		repeat
			n = n + #table.concat({ n, n })
			if n % 64 < 2 then vai.sleep(0.0002) else vai.yield() end
		until stop:is_closed()
		return n > 0
	end)
end
local function body()
]]
local foot = [[
end
local tasks = {}
for i = 1, 3 do tasks[i] = vai.async(body) end
for i = 1, 3 do local ok, e = tasks[i]:join() assert(ok, e) end
body()
stop:close()
for i = 1, 3 do check.eq(select(2, beside[i]:join()), true) end
]]
foot = foot:gsub("select%(", "_G.select(")
head = head:gsub("\n", " ")

local function test(name, body, opts)
	program.test(name, head .. body .. foot, opts)
end

describe("errors", function()
	program.test("objects of all types reach join", [[
		local t = {}
		for _, e in ipairs { 1, 2.5, "text", true, false, t, print, vai.chan() } do
			local ok, err = vai.async(error, e):join()
			check.eq(ok, false)
			check.eq(type(err), type(e))
			if type(e) ~= "table" then check.eq(err, e) end
		end
		local ok, err = vai.async(error):join()
		check.eq(ok, false)
		check.eq(err, nil)
		local _, co = vai.async(function() error(coroutine.create(print)) end):join()
		assert(co:find("error object is a thread value"), co)
	]])

	test("in __gc do not leave it", [[
		for i = 1, 20 do
			setmetatable({}, { __gc = function() error(i % 2 == 0 and { i } or nil) end })
		end
		collectgarbage() collectgarbage()
	]])

	test("in __close take the place of the others", [[
		local function closing(e) return setmetatable({}, { __close = function() error(e, 0) end }) end
		local ok, err = pcall(function()
			local a <close>, b = closing("last"), 1
			local c <close> = closing("first")
			error("body")
		end)
		assert(not ok and (err == "last" or not check.closers_replace and err:find "body$"))
		local co = coroutine.wrap(function() local c <close> = closing("in a coroutine") coroutine.yield() end)
		co()
		ok, err = pcall(co)
		assert(not ok and err == "in a coroutine")
	]])

	test("in message handlers, once and again and again", [[
		local ok, err = xpcall(error, function() error("handler", 0) end, "x")
		assert(not ok)
		ok, err = xpcall(error, function(e) return { e } end, "x")
		assert(not ok and err[1] == "x")
		local function again(e) return (xpcall(error, again, e)) end
		ok = xpcall(error, again, "x")
		assert(not ok)
	]])

	program.test("in __tostring of an error that nobody catches", [[
		go(function() error(setmetatable({}, { __tostring = function() error("worse") end })) end)
		vai.sleep(100)
	]], { status = 2, err = "error object is a table value" })

	test("recursion of Lua functions", [[
		local function deep(n) return 1 + deep(n + 1) end
		local ok, err = pcall(deep, 1)
		assert(not ok and err:find("stack overflow"), err)
		local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k + 1] end
		ok, err = pcall(function() return t[1] end)
		assert(not ok and err:find("overflow"), err)
	]], { timeout = 60, sample = 1 })

	test("recursion through C functions", [[
		local function expect(f)
			local ok, err = pcall(f)
			assert(not ok and tostring(err):find("overflow"), err)
		end
		local function gsub() return (("x"):gsub(".", gsub)) end
		expect(gsub)
		local function sort() table.sort({ 1, 2, 3 }, sort) end
		expect(sort)
		local function tostr() return tostring(setmetatable({}, { __tostring = tostr })) end
		expect(tostr)
		local function loaded() return load(function() return loaded() end)() end
		pcall(loaded)
		local function protected(n) local ok, e = pcall(protected, n + 1) return ok, e end
		protected(1)
		local function wrapped() return coroutine.wrap(wrapped)() end
		expect(wrapped)
		local ok, err = pcall(load, ("("):rep(300) .. "1" .. (")"):rep(300))
		assert(ok and err == nil)
	]])

	test("patterns that are too complex", [[
		local ok, err = pcall(string.find, ("a"):rep(300000), (".-"):rep(300000) .. "b")
		assert(not ok and err:find("too complex"), err)
		ok, err = pcall(string.match, ("x"):rep(250000), ("(x)"):rep(40))
		assert(not ok and err:find("too many captures"), err)
	]])

	test("strings and tables that are too large", [[
		local function expect(f, ...)
			local ok, err = pcall(f, ...)
			assert(not ok and (err:find("not enough memory") or err:find("too large") or err:find("too many")), err)
		end
		expect(string.rep, "x", 1 << 46)
		expect(string.rep, "x", math.maxinteger)
		local s = ("x"):rep(1 << 20)
		expect(table.concat, setmetatable({}, { __index = function() return s end }), "", 1, 1 << 40)
		expect(table.pack(table.unpack).n and table.unpack, {}, 1, 1e8)
	]], { ulimit = 400000, sample = 1, skip = sanitized and "this build's runtime wants more than the limit of memory" })

	program.test("values that are nested deeply cross, or an error says why not", [[
		local function nested(n) local t = {} for _ = 1, n do t = { t } end return t end
		local function depth(t) local n = 0 while t[1] do t = t[1] n = n + 1 end return n end
		local echo = chan(1)
		for _, n in ipairs { 10, 1000, 150000 } do
			local ok, err = pcall(echo.send, echo, nested(n))
			if ok then
				check.eq(depth(echo:recv()), n)
			else
				assert(err:find("overflow"), err)
			end
			local a, b = vai.async(nested, n):join()
			check.eq(a and depth(b) or n, n)
		end
		local f = function() return 0 end
		for _ = 1, 5000 do local inner = f f = function() return inner end end
		local ok, err = pcall(echo.send, echo, f)
		if ok then check.eq(type(echo:recv()), "function") else assert(err:find("overflow"), err) end
	]])
end)

-- The process is not given what the runtime begins with.
describe("limits", function()
	local text = [[
		local ok, err = pcall(require, "vai")
		if not ok then
			io.stderr:write(tostring(err), "\n")
			os.exit(err:find("cannot start", 1, true) and 0 or 1)
		end
		local ch = err.chan()
		err.go(function() for i = 1, 100 do ch:send(i) end ch:close() end)
		local n = 0
		for i in ch do n = n + i end
		assert(n == 5050)
	]]
	local function run(limits)
		local name = program.temp()
		local f = assert(io.open(name, "w"))
		f:write(text)
		f:close()
		local out = assert(io.popen(("timeout -k 5 600 %s %s %s 2>&1 >/dev/null"):format(limits,
			program.quote(os.getenv("LUA") or "lua5.4"), name)))
		local text_of_it = out:read("a")
		local _, how, status = out:close()
		-- 1: an error that lua5.4 reports; 2: of the goroutine, which got no state.
		assert(how == "exit" and (status == 0 or status == 1 or text_of_it:find("goroutine 2: not enough memory", 1, true)),
			("%s: %s %s %s"):format(limits, how, status, text_of_it))
	end

	if sanitized then
		program.skip("of open files and of address space", "this build's runtime opens files and maps memory of its own")
		return
	end
	it("of open files", function()
		for n = 4, 14 do
			run("prlimit --nofile=" .. n)
		end
	end)
	it("of address space", function()
		for n = 6000, 60000, 3000 do
			run("prlimit --as=" .. n * 1000)
		end
	end)
end)

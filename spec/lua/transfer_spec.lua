-- SPDX-License-Identifier: MIT
-- What may be sent or captured.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("scalars", function()
	test("stay what they are", [[
		for _, v in ipairs { true, false, 0, -1, 1, 255, 1 << 31, 1 << 32, 1 << 53, math.maxinteger, math.mininteger,
			0.5, -0.5, 1.0, 0.0, 2.0 ^ 53, 2.0 ^ 63, -2.0 ^ 63, 1e308, 5e-324, math.huge, -math.huge, math.pi } do
			check.each_copy(v, function(c) check.eq(c, v) end)
		end
	]])

	test("integer and float are not confused", [[
		check.each_copy(3, function(c) check.eq(math.type(c), "integer") end)
		check.each_copy(3.0, function(c) check.eq(math.type(c), "float") end)
		check.each_copy({ 1, 1.0, [2 ^ 53] = "key" }, function(c)
			check.eq(math.type(c[1]), "integer")
			check.eq(math.type(c[2]), "float")
			check.eq(c[1 << 53], "key")
		end)
	]])

	test("the odd floats", [[
		check.each_copy(-0.0, function(c) check.eq(1 / c, -math.huge) end)
		check.each_copy(0 / 0, function(c) assert(c ~= c) end)
		check.each_copy({ -0.0, 0 / 0 }, function(c)
			check.eq(1 / c[1], -math.huge)
			assert(c[2] ~= c[2])
		end)
	]])

	test("light userdata", [[
		local null = require "cjson".null
		assert(type(null) == "userdata")
		check.each_copy(null, function(c) assert(c == null) end)
		check.each_copy({ null, [null] = 1 }, function(c) assert(c[1] == null and c[null] == 1) end)
	]], { needs = "cjson" })
end)

describe("strings", function()
	test("of every length around the limits", [[
		for n = 0, 300 do
			local s = {}
			for i = 1, n do s[i] = string.char((i * 7 + n) % 256) end
			s = table.concat(s)
			local ch = chan(1)
			ch:send(s)
			check.eq(ch:recv(), s)
		end
		for _, n in ipairs { 1, 15, 16, 23, 24, 31, 32, 39, 40, 41, 63, 64, 65, 4095, 4096, 4097, 65536 } do
			local s = ("\0\1\255x"):rep(n):sub(1, n)
			check.each_copy(s, function(c) check.eq(c, s) end)
		end
	]])

	test("with NULs and every byte", [[
		local bytes = {}
		for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
		local all = table.concat(bytes)
		for _, s in ipairs { "", "\0", "\0\0\0", "a\0b", "\0a", "a\0", all, all .. all } do
			check.each_copy(s, function(c) check.eq(c, s) end)
			check.each_copy({ [s] = s }, function(c) check.eq(c[s], s) end)
		end
	]])

	test("of many megabytes", [[
		local s = ("0123456789abcdef"):rep(1 << 18)
		local ch = chan(1)
		ch:send(s)
		assert(ch:recv() == s)
		local ok, n = vai.async(function(x) return #x + #s end, s):join()
		check.returns(table.pack(ok, n), true, 2 * #s)
	]])
end)

describe("tables", function()
	test("are copied", [[
		local t = { 1, "two", { 3 }, x = { y = { z = "deep" } }, [1.5] = true, [true] = 1, [-1] = "neg" }
		check.each_copy(t, function(c)
			assert(c ~= t and c[3] ~= t[3])
			check.same(c, t)
		end)
		t.x.y.z = "changed"
		local ch = chan(2)
		ch:send(t)
		t.x.y.z = "later"
		check.eq(ch:recv().x.y.z, "changed")
	]])

	test("empty, with holes, long, only hash", [[
		check.each_copy({}, function(c) assert(next(c) == nil) end)
		check.each_copy({ nil, nil, 3 }, function(c) check.eq(c[3], 3) end)
		local long = {}
		for i = 1, 100000 do long[i] = i end
		check.each_copy(long, function(c)
			check.eq(#c, 100000)
			for i = 1, 100000 do assert(c[i] == i) end
		end)
		local hash = {}
		for i = 1, 10000 do hash["k" .. i] = i; hash[-i] = "v" .. i end
		check.each_copy(hash, function(c) check.same(c, hash) end)
	]])

	test("keep cycles and shared parts", [[
		local a = { name = "a" }
		a.self = a
		local b = { a, a, up = a }
		a.b = b
		a.list = { b, b, { b } }
		check.each_copy(a, function(c)
			assert(c ~= a and c.self == c and c.b[1] == c and c.b[2] == c and c.b.up == c)
			assert(c.list[1] == c.b and c.list[3][1] == c.b)
			check.same(c, a)
		end)
	]])

	test("share parts between arguments, and with upvalues", [[
		local t = { n = 1 }
		local task = vai.async(function(a, b, list) return a == b and list[1] == a, a == t end, t, t, { t })
		check.returns(table.pack(task:join()), true, true, true)
		task = vai.async(function() local x = { 1 }; return x, x, { x } end)
		local _, x, y, list = task:join()
		assert(x == y and list[1] == x)
	]])

	test("as keys keep their identity", [[
		local k = { "key" }
		local t = { [k] = "v", list = { k }, [{ 1 }] = { 2 } }
		t[t] = t
		check.each_copy(t, function(c)
			local ck = c.list[1]
			assert(ck ~= k and c[ck] == "v" and c[c] == c)
			local n = 0
			for _ in pairs(c) do n = n + 1 end
			check.eq(n, 4)
		end)
	]])

	test("nested deeply", [[
		local depth = check.scaled(check.whole and 300000 or 100000)
		local t = "bottom"
		for _ = 1, depth do t = { t } end
		local ch = chan(1)
		ch:send(t)
		local c, n = ch:recv(), 0
		while type(c) == "table" do c, n = c[1], n + 1 end
		check.eq(c, "bottom")
		check.eq(n, depth)
		local list = nil
		for i = 1, depth do list = { next = list, value = i } end
		local task = vai.async(function(l)
			local count = 0
			while l do count, l = count + l.value, l.next end
			return count
		end, list)
		check.returns(table.pack(task:join()), true, depth * (depth + 1) // 2)
	]])

	test("are read raw, metamethods are not called", [[
		local mt = {}
		for _, name in ipairs { "__index", "__newindex", "__len", "__pairs", "__eq", "__call", "__tostring", "__close" } do
			mt[name] = function() error("called " .. name) end
		end
		local t = setmetatable({ 1, 2, x = 3 }, mt)
		check.each_copy(t, function(c)
			assert(rawget(c, 1) == 1 and rawget(c, "x") == 3 and rawlen(c) == 2)
			assert(getmetatable(c) == mt)
			assert(not pcall(function() return c.missing end))
		end)
	]])

	test("sent are free for the collector", [[
		local weak, ch = setmetatable({}, { __mode = "k" }), chan(10)
		for _ = 1, 10 do
			local t = { {} }
			weak[t] = true
			ch:send(t)
		end
		collectgarbage()
		check.eq(next(weak), nil)
	]])
end)

describe("metatables", function()
	test("are kept and shared", [[
		local Point = {}
		Point.__index = Point
		function Point.new(x, y) return setmetatable({ x = x, y = y }, Point) end
		function Point:norm() return self.x * self.x + self.y * self.y end
		function Point.__add(a, b) return Point.new(a.x + b.x, a.y + b.y) end
		function Point.__eq(a, b) return a.x == b.x and a.y == b.y end
		function Point:__tostring() return "(" .. self.x .. "," .. self.y .. ")" end
		check.each_copy({ Point.new(3, 4), Point.new(1, 2) }, function(c)
			local p, q = c[1], c[2]
			assert(getmetatable(p) == getmetatable(q))
			check.eq(p:norm(), 25)
			check.eq(tostring(p + q), "(4,6)")
			assert(p + q == q + p)
		end)
	]])

	test("of an argument are those that the function captured", [[
		local Account = { __name = "Account" }
		Account.__index = Account
		function Account.new(n) return setmetatable({ n = n }, Account) end
		function Account:add(n) self.n = self.n + n return self end
		local task = vai.async(function(a)
			return getmetatable(a) == Account, a:add(5).n, Account.new(1):add(1).n
		end, Account.new(10))
		check.returns(table.pack(task:join()), true, true, 15, 2)
	]])

	test("chains of __index", [[
		local Base = {} Base.__index = Base
		function Base:hello() return "hello " .. self.name end
		local Derived = setmetatable({}, Base) Derived.__index = Derived
		function Derived:bye() return "bye " .. self.name end
		local obj = setmetatable({ name = "x" }, Derived)
		check.each_copy(obj, function(c) check.eq(c:hello() .. c:bye(), "hello xbye x") end)
	]])

	test("__mode, __metatable, a metatable that is its own", [[
		check.each_copy(setmetatable({ 1 }, { __mode = "k" }), function(c)
			check.eq(getmetatable(c).__mode, "k")
			check.eq(c[1], 1)
		end)
		check.each_copy(setmetatable({ 1 }, { __metatable = "locked" }), function(c)
			check.eq(getmetatable(c), "locked")
		end)
		local self = {}
		setmetatable(self, self)
		self.__index = function(_, k) return k .. "!" end
		check.each_copy(self, function(c)
			check.eq(getmetatable(c), c)
			check.eq(c.x, "x!")
		end)
	]])

	test("weak values do not vanish on the way", [[
		local t = setmetatable({}, { __mode = "v" })
		local keep = {}
		for i = 1, 100 do
			keep[i] = { i }
			t[i] = keep[i]
		end
		local ch = chan(1)
		ch:send { t, keep }
		collectgarbage()
		local c = ch:recv()
		collectgarbage()
		for i = 1, 100 do assert(c[1][i] == c[2][i] and c[1][i][1] == i) end
	]])

	test("__gc works in the copy", [[
		local task = vai.async(function()
			local n = 0
			for _ = 1, 3 do setmetatable({}, { __gc = function() n = n + 1 end }) end
			collectgarbage()
			collectgarbage()
			return n
		end)
		check.returns(table.pack(task:join()), true, 3)
		local mt = { __gc = function(o) o.log[1] = (o.log[1] or 0) + 1 end }
		task = vai.async(function(inbox, m)
			local log = {}
			do
				local o = setmetatable({ log = log }, m)
				inbox:send { 1 }
				o = nil
			end
			collectgarbage()
			collectgarbage()
			return log[1]
		end, chan(1), mt)
		check.returns(table.pack(task:join()), true, 1)
	]])

	test("__gc of a received object runs", [[
		local mt = { __gc = function(o) print("collected " .. o.name) end }
		local task = vai.async(function(o)
			o = nil
			collectgarbage()
			collectgarbage()
		end, setmetatable({ name = "copy" }, mt))
		task:join()
		mt.__gc = nil
	]], { match = "^collected copy\n" })

	test("__gc runs when the goroutine ends", [[
		local flag = arg[1] .. "/finalized"
		local task = vai.async(function()
			_G.keep = setmetatable({}, { __gc = function() assert(io.open(flag, "w")):close() end })
		end)
		task:join()
		check.until_true(function()
			local f = io.open(flag)
			return f and f:close()
		end)
	]])
end)

describe("functions", function()
	test("run with their upvalues", [[
		local n, s, t = 5, "str", { 1, 2 }
		local function f(x) return x + n, s, #t end
		check.each_copy(f, function(c)
			assert(c ~= f)
			check.returns(table.pack(c(1)), 6, "str", 2)
		end)
	]])

	test("upvalues are copies", [[
		local t = { n = 1 }
		local ch = chan(1)
		ch:send(function() return t.n end)
		t.n = 2
		check.eq(ch:recv()(), 1)
	]])

	test("keep a state of their own", [[
		local function counter()
			local n = 0
			return function() n = n + 1 return n end
		end
		local c = counter()
		c()
		local ch = chan(2)
		ch:send(c)
		ch:send(c)
		local a, b = ch:recv(), ch:recv()
		check.eq(a(), 2)
		check.eq(a(), 3)
		check.eq(b(), 2)
		check.eq(c(), 2)
	]])

	test("generators may be passed as arguments", [[
		local function gen()
			local n = 0
			return function() n = n + 1 return n end
		end
		local task = vai.async(function(g) return g() + g() + g() end, gen())
		check.returns(table.pack(task:join()), true, 6)
	]])

	test("share upvalues with each other", [[
		local function pair()
			local n = 0
			return { inc = function() n = n + 1 end, get = function() return n end }
		end
		check.each_copy(pair(), function(p)
			p.inc()
			p.inc()
			check.eq(p.get(), 2)
		end)
		local a = pair()
		local task = vai.async(function(inc, get) inc() inc() inc() return get() end, a.inc, a.get)
		check.returns(table.pack(task:join()), true, 3)
		check.eq(a.get(), 0)
	]])

	test("recursive locals", [[
		local function fact(n) return n < 2 and 1 or n * fact(n - 1) end
		check.each_copy(fact, function(f) check.eq(f(10), 3628800) end)
		check.returns(table.pack(vai.async(fact, 5):join()), true, 120)
		check.returns(table.pack(vai.async(function() return fact(6) end):join()), true, 720)
	]])

	test("mutually recursive locals", [[
		local even, odd
		function even(n) if n == 0 then return true end return odd(n - 1) end
		function odd(n) if n == 0 then return false end return even(n - 1) end
		check.each_copy({ even, odd }, function(c)
			check.eq(c[1](10), true)
			check.eq(c[2](10), false)
		end)
		check.returns(table.pack(vai.async(even, 7):join()), true, false)
		check.returns(table.pack(vai.async(function() return odd(7) end):join()), true, true)
	]])

	test("in tables that refer back", [[
		local obj = { n = 3 }
		function obj.get() return obj.n end
		obj.list = { obj.get, obj }
		check.each_copy(obj, function(c)
			c.n = 8
			check.eq(c.get(), 8)
			assert(c.list[1] == c.get and c.list[2] == c)
		end)
	]])

	test("the same function twice is one function", [[
		local function f() end
		check.each_copy({ f, f, [f] = "key" }, function(c)
			assert(c[1] == c[2] and c[c[1] ] == "key")
		end)
	]])

	test("varargs, nested closures, methods, goto, long bodies", [[
		local function f(...)
			local t = { ... }
			local function inner(k)
				return function() return t[k], #t end
			end
			return inner(2)()
		end
		check.each_copy(f, function(c) check.returns(table.pack(c("a", "b", "c")), "b", 3) end)
		local src = { "local s = 0\n" }
		for i = 1, 2000 do src[#src + 1] = ("s = s + %d * 1.5\n"):format(i) end
		src[#src + 1] = "return s"
		local big = load(table.concat(src))
		check.each_copy(big, function(c) check.eq(c(), 3001500.0) end)
		check.each_copy(function(n)
			local i = 0
			::top::
			i = i + 1
			if i < n then goto top end
			return i
		end, function(c) check.eq(c(7), 7) end)
	]])

	test("with 200 upvalues", [[
		local src = {}
		for i = 1, 190 do src[#src + 1] = ("local v%d = %d\n"):format(i, i) end
		src[#src + 1] = "return function() return 0"
		for i = 1, 190 do src[#src + 1] = (" + v%d"):format(i) end
		src[#src + 1] = " end"
		local f = load(table.concat(src))()
		check.each_copy(f, function(c) check.eq(c(), 190 * 191 // 2) end)
	]])

	test("constants and attributes of locals", [[
		local k <const> = 7
		local closed = {}
		local function f()
			do local x <close> = setmetatable({}, { __close = function() closed[#closed + 1] = "c" end }) end
			return k, #closed
		end
		check.each_copy(f, function(c) check.returns(table.pack(c()), 7, 1) end)
	]])

	test("keep names and lines for messages", [[
		local t = nil
		local function f(x) return
			x + t.y end
		local ok, err = vai.async(f, 1):join()
		assert(not ok and err:find "program.lua:3: attempt to index a nil value %(upvalue 't'%)", err)
	]])

	test("spawned again and again behave the same", [[
		local base, word = 100, "w"
		local function work(i, list) return base + i, word .. #list end
		for i = 1, 300 do
			local ok, n, s = vai.async(work, i, { 1, 2, 3 }):join()
			assert(ok and n == 100 + i and s == "w3")
		end
	]])

	test("spawned again see what upvalues are now", [[
		local n = 0
		for i = 1, 50 do
			n = i
			check.returns(table.pack(vai.async(function() return n end):join()), true, i)
		end
	]])

	test("from one line of code with different upvalues", [[
		local tasks = {}
		for i = 1, 100 do
			local s = ("x"):rep(i)
			tasks[i] = vai.async(function() return i, #s end)
		end
		for i = 1, 100 do check.returns(table.pack(tasks[i]:join()), true, i, i) end
	]])
end)

describe("load and dump", function()
	test("functions from load", [[
		check.returns(table.pack(vai.async(load "local a, b = ... return a * b", 6, 7):join()), true, 42)
		check.returns(table.pack(vai.async(load("return ...", "=name"), 1, nil):join()), true, 1, nil)
		check.returns(table.pack(vai.async(load "return type(print), math.max(1, 2)"):join()), true, "function", 2)
	]])

	test("with an environment of their own", [[
		local env = { x = 5, y = { 6 } }
		local f = load("return x + y[1], print", "chunk", "t", env)
		check.returns(table.pack(vai.async(f):join()), true, 11, nil)
		check.each_copy(f, function(c) check.eq((c()), 11) end)
	]])

	test("string.dump and load", [[
		local function f(a) return a * 2 end
		check.returns(table.pack(vai.async(load(string.dump(f)), 4):join()), true, 8)
		check.returns(table.pack(vai.async(load(string.dump(f, true)), 4):join()), true, 8)
	]])

	test("stripped functions that use globals, upvalues, the script's globals", [[
		factor = 3
		local function f(a) return math.floor(a) * factor end
		local g = load(string.dump(f, true))
		check.returns(table.pack(vai.async(g, 2.5):join()), true, 6)
		local chunk = load(string.dump(load "local a = ... return tostring(a) .. factor", true))
		check.returns(table.pack(vai.async(chunk, 1):join()), true, "13")
		local function add(n) return function(x) return x + n end end
		local stripped = load(string.dump(add(5), true))
		debug.setupvalue(stripped, 1, 9)
		check.returns(table.pack(vai.async(stripped, 1):join()), true, 10)
	]])

	test("stripped functions that assign an upvalue raise", [[
		local n = 0
		local f = load(string.dump(function() n = n + 1 end, true))
		debug.setupvalue(f, 1, 5)
		local err = check.raises({ "go" }, go, f)
		assert(#err > 10, err)
	]])

	test("a dumped function can be sent as a string", [[
		local inbox = chan()
		local task = vai.async(function() return load(inbox:recv())(20) end)
		inbox:send(string.dump(function(x) return x + 1 end))
		check.returns(table.pack(task:join()), true, 21)
	]])
end)

describe("_ENV", function()
	test("is the receiver's own globals", [[
		local ch = chan(1)
		ch:send(function() return _ENV == _G, _G, print end)
		local same, g, p = ch:recv()()
		assert(same and g == _G and p == print)
		check.returns(table.pack(vai.async(function() return _ENV == _G, _ENV.print == print end):join()), true, true, true)
	]])

	test("replaced by a local table", [[
		local f
		do
			local _ENV = { x = 1, tostring = tostring }
			f = function() return x, tostring(2), print end
		end
		check.returns(table.pack(vai.async(f):join()), true, 1, "2", nil)
	]])

	test("as a parameter", [[
		local function f(_ENV) return x .. y end
		check.returns(table.pack(vai.async(f, { x = "a", y = "b" }):join()), true, "ab")
	]])

	test("with the globals behind it", [[
		local f
		do
			local _ENV = setmetatable({ mine = 4 }, { __index = _G })
			f = function() return mine + math.max(1, 2), type(_G) end
		end
		check.returns(table.pack(vai.async(f):join()), true, 6, "table")
	]])

	test("captured as an ordinary local", [[
		local env, g = _ENV, _G
		check.returns(table.pack(vai.async(function() return env == _G, g == _G, env.print == print end):join()),
			true, true, true, true)
	]])
end)

describe("captured globals", function()
	test("values, tables, functions", [[
		limit, config, words = 10, { deep = { x = 1 } }, { "a", "b" }
		function double(x) return x * 2 end
		local task = vai.async(function() return double(limit), config.deep.x, #words end)
		check.returns(table.pack(task:join()), true, 20, 1, 2)
	]])

	test("through everything they reach", [[
		step = 2
		tab = { fn = function(x) return bump(x) end }
		function bump(x) return x + step end
		function outer(x) return inner(x) * 10 end
		function inner(x) return tab.fn(x) end
		local function via_local(x) return outer(x) end
		check.returns(table.pack(vai.async(function() return via_local(1) end):join()), true, 30)
		check.returns(table.pack(vai.async(outer, 2):join()), true, 40)
		check.returns(table.pack(vai.async(function(f) return f(3) end, via_local):join()), true, 50)
	]])

	test("recursive and mutually recursive global functions", [[
		function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
		function ping(n) if n == 0 then return "ping" end return pong(n - 1) end
		function pong(n) if n == 0 then return "pong" end return ping(n - 1) end
		check.returns(table.pack(vai.async(fib, 12):join()), true, 144)
		check.returns(table.pack(vai.async(ping, 3):join()), true, "pong")
		check.returns(table.pack(vai.async(function() return ping(4) .. fib(7) end):join()), true, "ping13")
	]])

	test("used in nested functions only", [[
		secret = 42
		local task = vai.async(function()
			local function a() return function() return secret end end
			return a()()
		end)
		check.returns(table.pack(task:join()), true, 42)
	]])

	test("are those of the moment of go()", [[
		version = 1
		local function f() return version end
		local a = vai.async(f)
		version = 2
		local b = vai.async(f)
		check.returns(table.pack(a:join()), true, 1)
		check.returns(table.pack(b:join()), true, 2)
	]])

	test("that do not exist are nil there, and may be assigned there", [[
		local task = vai.async(function()
			local before = undefined_name
			_G.undefined_name = 3
			return before, undefined_name
		end)
		check.returns(table.pack(task:join()), true, nil, 3)
		check.eq(undefined_name, nil)
	]])

	test("in place of stock names", [[
		local stock = tostring
		function tostring(v) return "<" .. stock(v) .. ">" end
		check.returns(table.pack(vai.async(function() return tostring(1) end):join()), true, "<1>")
	]])

	test("share identity with arguments and upvalues", [[
		Shared = { 1 }
		local l = Shared
		local task = vai.async(function(a) return a == Shared, l == Shared end, Shared)
		check.returns(table.pack(task:join()), true, true, true)
	]])

	test("reach goroutines started by goroutines", [[
		rate = 3
		function scale(x) return x * rate end
		local task = vai.async(function()
			local inner = vai.async(function(x) return scale(x) end, 5)
			local _, v = inner:join()
			return v
		end)
		check.returns(table.pack(task:join()), true, 15)
	]])

	test("classes and objects", [[
		Stack = {}
		Stack.__index = Stack
		function Stack.new() return setmetatable({ n = 0 }, Stack) end
		function Stack:push(v) self.n = self.n + 1; self[self.n] = v end
		function Stack:pop() local v = self[self.n]; self[self.n] = nil; self.n = self.n - 1; return v end
		local task = vai.async(function()
			local s = Stack.new()
			s:push(1)
			s:push(2)
			return s:pop(), s:pop()
		end)
		check.returns(table.pack(task:join()), true, 2, 1)
		local s = Stack.new()
		s:push "x"
		task = vai.async(function(o) return o:pop(), getmetatable(o) == Stack end, s)
		check.returns(table.pack(task:join()), true, "x", true)
	]])

	test("vai and channels as globals", [[
		V = require "vai"
		pipe = V.chan(1)
		go(function() pipe:send(V.id()) end)
		assert(pipe:recv() ~= V.id())
	]])

	test("the script's arguments", [[
		local ok, first = vai.async(function() return arg[1] end):join()
		check.eq(ok, true)
		check.eq(first, arg[1])
	]])

	test("that cannot be sent raise with their name", [[
		logfile = io.stdout
		check.raises({ "logfile", "FILE%*", "cannot be sent" }, go, function() logfile:write "x" end)
	]])
end)

describe("C functions", function()
	test("stay themselves", [[
		for _, f in ipairs { math.max, string.rep, table.concat, tostring, chan, vai.sleep, select } do
			check.each_copy(f, function(c) assert(c == f) end)
		end
		check.returns(table.pack(vai.async(string.rep, "ab", 3):join()), true, "ababab")
		local max = math.max
		check.returns(table.pack(vai.async(function() return max(1, 5), max == math.max end):join()), true, 5, true)
	]])

	test("print and io.write too", [[
		check.each_copy(print, function(c) assert(c == print) end)
		local p, w = print, io.write
		assert(vai.async(function() p "from print"; w "from write\n" end):join())
	]], { out = "from print\nfrom write\n" })

	test("of libraries that the goroutine has not used yet", [[
		local write, lines, open, tmpfile, popen, type = io.write, io.lines, io.open, io.tmpfile, io.popen, io.type
		local name = arg[1] .. "/program.lua"
		local function joined(f)
			local ok, v = vai.async(f):join()
			assert(ok and v == true, v)
		end
		joined(function() return write "written\n" == io.stdout end)
		joined(function() for l in lines(name) do return #l > 0 end end)
		joined(function() local f <close> = open(name) return #f:read "a" > 0 and type(f) == "file" end)
		joined(function() local f <close> = tmpfile() return tostring(f):find "^file" ~= nil end)
		joined(function() local f <close> = popen "echo x" return f:read "a" == "x\n" end)
		vai.async(io.write, "direct\n"):join() -- its result, a file, cannot be sent
		local find, fmt, sort, floor, time, char = string.find, string.format, table.sort, math.floor, os.time, utf8.char
		joined(function()
			local t = { 2, 1 }
			sort(t)
			return find("abc", "b") == 2 and fmt("%d", 3) == "3" and t[1] == 1 and floor(2.5) == 2 and time() > 0 and char(65) == "A"
		end)
	]], { out = "written\ndirect\n" })

	test("with upvalues that cannot be sent raise", [[
		check.raises({ "cannot be sent" }, go, ("x"):gmatch ".")
		check.raises({ "cannot be sent" }, go, coroutine.wrap(function() end))
		check.raises({ "cannot be sent" }, go, io.lines(arg[1] .. "/program.lua"))
	]])
end)

describe("modules", function()
	local files = {
		["counter.lua"] = [[
			local M = { n = 0, name = ... }
			function M.inc() M.n = M.n + 1 return M.n end
			M.sub = { "inner" }
			return M
		]],
		["class.lua"] = [[
			local C = {}
			C.__index = C
			function C.new(v) return setmetatable({ v = v }, C) end
			function C:get() return self.v end
			return C
		]],
	}

	test("are required there", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local counter = require "counter"
		counter.inc()
		counter.inc()
		local task = vai.async(function()
			return counter == require "counter", counter.inc(), counter.name
		end)
		check.returns(table.pack(task:join()), true, true, 1, "counter")
		check.eq(counter.n, 2)
	]], { files = files })

	test("sent come back as the same table", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local counter = require "counter"
		check.each_copy(counter, function(c) assert(c == counter) end)
		check.each_copy({ m = counter, lib = string }, function(c) assert(c.m == counter and c.lib == string) end)
		local task = vai.async(function(m) return m == require "counter" end, counter)
		check.returns(table.pack(task:join()), true, true)
	]], { files = files })

	test("of the standard libraries, and _G", [[
		for _, name in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package" } do
			local lib = _G[name]
			check.each_copy(lib, function(c) assert(c == lib, name) end)
			local task = vai.async(function() return lib == require(name), lib == _G[name] end)
			check.returns(table.pack(task:join()), true, true, true)
		end
		check.each_copy(_G, function(c) assert(c == _G) end)
		check.each_copy({ g = _G }, function(c) assert(c.g == _G) end)
		check.each_copy(vai, function(c) assert(c == vai) end)
	]])

	test("as globals", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		counter = require "counter"
		local task = vai.async(function() return counter.inc(), counter == require "counter" end)
		check.returns(table.pack(task:join()), true, 1, true)
	]], { files = files })

	test("as metatables of objects", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local class = require "class"
		local obj = class.new "v"
		check.each_copy(obj, function(c)
			assert(getmetatable(c) == class)
			check.eq(c:get(), "v")
		end)
		local task = vai.async(function(o) return getmetatable(o) == require "class", o:get() end, obj)
		check.returns(table.pack(task:join()), true, true, "v")
	]], { files = files })

	test("their functions work when captured", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local new = require "class".new
		local task = vai.async(function() return new(5):get() end)
		check.returns(table.pack(task:join()), true, 5)
	]], { files = files })

	test("from package.preload", [[
		package.preload.preloaded = function(name) return { name = name, n = 7 } end
		local m = require "preloaded"
		local task = vai.async(function() return m.n, m == require "preloaded", require "preloaded".name end)
		check.returns(table.pack(task:join()), true, 7, true, "preloaded")
	]])

	test("of C", [[
		local cjson = require "cjson"
		local task = vai.async(function(s) return cjson.decode(s).x, cjson == require "cjson" end, '{"x": "four"}')
		check.returns(table.pack(task:join()), true, "four", true)
	]], { needs = "cjson" })
end)

describe("vai's objects", function()
	test("stay the same object", [[
		for _, o in ipairs { chan(), waitgroup(), vai.ticker(1000), vai.timer(1000, function() end),
			vai.async(function() end) } do
			check.each_copy(o, function(c) assert(c == o, tostring(o)) end)
			check.each_copy({ o, { o }, [o] = o }, function(c)
				assert(c[1] == o and c[2][1] == o and c[o] == o)
			end)
		end
	]])

	test("received twice are the same key", [[
		local inbox = chan()
		local task = vai.async(function()
			local t, n = {}, 0
			for ch in inbox do t[ch] = (t[ch] or 0) + 1 end
			for _, v in pairs(t) do n = n + 1; assert(v == 3) end
			return n
		end)
		local a, b = chan(), chan()
		for _ = 1, 3 do
			inbox:send(a)
			inbox:send(b)
		end
		inbox:close()
		check.returns(table.pack(task:join()), true, 2)
	]])

	test("come back as what the sender holds", [[
		local ch, out = chan(), chan()
		local t = { [ch] = "mine" }
		go(function()
			collectgarbage()
			out:send(ch)
			out:send { ch }
		end)
		check.eq(t[out:recv()], "mine")
		check.eq(t[out:recv()[1] ], "mine")
	]])

	test("work after the sender dropped them", [[
		local inbox = chan()
		local task = vai.async(function()
			local ch = inbox:recv()
			local sum = 0
			for v in ch do sum = sum + v end
			return sum
		end)
		do
			local ch = chan(3)
			for i = 1, 3 do ch:send(i) end
			ch:close()
			inbox:send(ch)
		end
		collectgarbage()
		collectgarbage()
		check.returns(table.pack(task:join()), true, 6)
	]])
end)

describe("what cannot be sent", function()
	test("names itself and its path", [[
		local co = coroutine.create(function() end)
		local ch = chan(1)
		check.raises({ "argument %d+: field 'log': userdata FILE%* cannot be sent" }, go, function() end, 1, { log = io.stdout })
		check.raises({ "argument %d+", "userdata FILE%* cannot be sent" }, go, function() end, io.stdout)
		check.raises({ "field 'a'", "field 'b'", "cannot be sent" }, go, function() end, { a = { b = co } })
		check.raises({ "thread cannot be sent: make the coroutine where" }, go, function() end, co)
		check.raises({ "FILE%* cannot be sent: .*vai%.fs%.open" }, go, function() end, io.stdout)
		check.raises({ "go: argument: %.%.%.: metatable: field '__gc': upvalue 'co': thread" }, go, function() end,
			{ setmetatable({}, { __gc = function() return co end }) })
		check.raises({ "thread" }, function() ch:send(co) end)
		check.raises({ "FILE%*" }, function() ch:send(io.stderr) end)
		check.raises({ "list", "2", "thread" }, function() ch:send { list = { 1, co } } end)
		check.raises({ "FILE%*" }, function() ch:send { [io.stdout] = 1 } end)
		check.raises({ "FILE%*" }, function() ch:try_send(io.stdout) end)
		check.raises({ "FILE%*" }, function() ch:send(setmetatable({}, { __index = { f = io.stdout } })) end)
		check.eq(#ch, 0)
		ch:send "still works"
		check.eq(ch:recv(), "still works")
	]])

	test("names captured variables", [[
		local file, co = io.stdout, coroutine.create(function() end)
		check.raises({ "'file'", "FILE%*", "cannot be sent" }, go, function() return file end)
		check.raises({ "'co'", "thread" }, vai.async, function() return co end)
		local function inner() return file end
		check.raises({ "'inner'", "'file'", "FILE%*" }, go, function() return inner() end)
		local t = { deep = { co } }
		check.raises({ "'t'", "'deep'", "thread" }, go, function() return t end)
	]])

	test("long paths are not endless", [[
		local t = { io.stdout }
		for _ = 1, 10000 do t = { t } end
		local ok, err = pcall(go, function() end, t)
		assert(not ok and #err < 4000 and err:find "FILE%*", #err)
	]])

	test("leaves the waiting receiver waiting", [[
		local ch = chan()
		local task = vai.async(function() return ch:recv() end)
		check.waiting(task)
		check.raises("FILE%*", function() ch:send(io.stdout) end)
		check.eq(task:status(), "waiting")
		ch:send "good"
		check.returns(table.pack(task:join()), true, "good")
	]])

	test("fails often without harm", [[
		local ch, bad = chan(1), { ("x"):rep(10000), {}, chan(), function() end, io.stdout }
		for _ = 1, 2000 do assert(not pcall(ch.send, ch, bad)) end
		check.eq(#ch, 0)
	]])
end)

describe("__vai_send", function()
	test("translates userdata", [[
		local mt = getmetatable(io.stdout)
		mt.__vai_send = function(f) return { was = io.type(f) } end
		check.each_copy(io.stdout, function(c) check.eq(c.was, "file") end)
		check.each_copy({ log = io.stdout }, function(c) check.eq(c.log.was, "file") end)
		local f = io.stdout
		local task = vai.async(function(a) return a.was, f.was end, io.stdout)
		check.returns(table.pack(task:join()), true, "file", "file")
		mt.__vai_send = nil
		check.raises("FILE%*", function() chan(1):send(io.stdout) end)
	]])

	test("may raise, or give what cannot be sent either", [[
		local mt = getmetatable(io.stdout)
		local ch = chan(1)
		mt.__vai_send = function() error("not today", 0) end
		check.raises("not today", function() ch:send { io.stdout } end)
		mt.__vai_send = function(f) return f end
		check.raises("cannot be sent", function() ch:send { io.stdout } end)
		mt.__vai_send = function() return coroutine.create(print) end
		check.raises("cannot be sent", function() ch:send { io.stdout } end)
		mt.__vai_send = 5
		check.raises("send: argument 1: %[1%]: __vai_send is a number value, not a function", ch.send, ch, { io.stdout })
		mt.__vai_send = setmetatable({}, { __call = function(_, f) return io.type(f) end })
		check.each_copy({ io.stdout }, function(c) check.eq(c[1], "file") end)
		check.eq(#ch, 0)
	]])

	test("may wait, send and spawn itself", [[
		local mt, side = getmetatable(io.stdout), chan()
		go(function() while true do side:send "answer" end end)
		mt.__vai_send = function()
			local ok, v = vai.async(function() return side:recv() end):join()
			local inner = chan(1)
			inner:send { { v } }
			return inner:recv()[1][1]
		end
		check.each_copy({ 1, io.stdout, { io.stdout } }, function(c)
			check.eq(c[2], "answer")
			check.eq(c[3][1], "answer")
		end)
	]])
end)

describe("lost writes", function()
	test("an assigned captured local raises at go()", [[
		local total = 0
		check.raises({ "total", "program.lua:4", "chan" }, go, function()
			local x = 1
			total = total + x
		end)
		check.raises({ "'total'" }, vai.async, function() total = 1 end)
	]])

	test("in a nested function too", [[
		local total = 0
		check.raises({ "total", "program.lua:%d+" }, go, function()
			local function add(n)
				for i = 1, n do total = total + i end
			end
			add(3)
		end)
		check.raises({ "total" }, go, function()
			return (function() return (function() total = 2 end)() end)()
		end)
	]])

	test("parameters, loop variables and own locals may be assigned", [[
		local n = 5
		local task = vai.async(function(a)
			a = a + 1
			local n = n
			n = n + 1
			local function f() n = n + 1 end
			f()
			for i = 1, 2 do i = i + n end
			return a, n
		end, 1)
		check.returns(table.pack(task:join()), true, 2, 7)
		check.eq(n, 5)
	]])

	test("a local function that the goroutine defines for itself is no lost write", [[
		local task = vai.async(function()
			local function rec(n) if n == 0 then return "end" end return rec(n - 1) end
			local a, b
			function a(n) if n == 0 then return "a" end return b(n - 1) end
			function b(n) if n == 0 then return "b" end return a(n - 1) end
			return rec(3), a(3)
		end)
		check.returns(table.pack(task:join()), true, "end", "b")
	]])

	test("nothing is started", [[
		local out, n = chan(1), 0
		check.raises("n", go, function() out:send(1); n = 1 end)
		check.eq(vai.count(), 1)
		vai.sleep(0.005)
		check.eq(#out, 0)
	]])

	test("a captured global that is assigned does not go unnoticed", [[
		grand_total = 0
		local ok, err = pcall(function()
			return vai.async(function() grand_total = grand_total + 1 end):join()
		end)
		if not ok then io.stderr:write(err, "\n") end
		check.eq(grand_total, 0)
	]], { err = { "grand_total", "program.lua:3" } })

	test("a write into a captured table is reported, once per place", [[
		local results = {}
		for i = 1, 5 do
			vai.async(function()
				results[i] = i
			end):join()
		end
		check.eq(#results, 0)
		print "goes on"
	]], { out = "goes on\n", err = { "results", "program.lua:4" }, err_not = "program.lua:4.*program.lua:4" })

	test("writes into own tables and arguments are not reported", [[
		local read_only = { 1, 2 }
		local task = vai.async(function(t)
			local own = {}
			own.x = read_only[1]
			t.y = 2
			own.list = { t }
			own.list[2] = own
			return own.x + t.y
		end, {})
		check.returns(table.pack(task:join()), true, 3)
	]])
end)

describe("memory", function()
	test("does not grow with messages", [[
		local function rss()
			collectgarbage()
			collectgarbage()
			return check.rss()
		end
		local ch, back = chan(), chan()
		go(function() for v in ch do back:send(v) end end)
		local mt = { __index = { f = function() return 1 end } }
		local function round(n)
			for i = 1, n do
				local t = setmetatable({ i, ("s"):rep(100), { chan(1), function() return i end }, waitgroup() }, mt)
				t.self = t
				ch:send(t)
				back:recv()
			end
		end
		local n = check.scaled(3000)
		round(n)
		round(n)
		local before = rss()
		for _ = 1, 4 do round(n) end
		local grown = rss() - before
		assert(os.getenv "VAI_VARIANT" == "tsan" or grown < 4096 * check.slowness, grown .. " kB more")
	]], { timeout = 30 })

	test("does not grow with goroutines, their functions and failures", [[
		local function rss()
			collectgarbage()
			collectgarbage()
			return check.rss()
		end
		local function round(n, salt)
			for i = 1, n do
				local f = load(("local x = ... return x + %d"):format(i + salt))
				assert(f)
				vai.async(f, 1):join()
				vai.async(error, { 1, 2 }):join()
				pcall(go, f, io.stdout)
				vai.async(function() local t = {}; for k = 1, 50 do t[k] = { k } end return t end):join()
			end
		end
		local n = check.scaled(1500)
		round(n, 0)
		round(n, 10 * n)
		local before = rss()
		for r = 1, 4 do round(n, r * 100 * n) end
		local grown = rss() - before
		assert(os.getenv "VAI_VARIANT" == "tsan" or grown < 6144 * check.slowness, grown .. " kB more")
	]], { timeout = 30 })
end)

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

describe("a captured helper", function()
	test("is refused where it assigns a local that lives on", [[
		local score = 0
		local function add(n)
			score = score + n
		end
		local function twice(n) add(n) add(n) end
		check.raises({ "program.lua:3: goroutine assigns captured local 'score'" }, go, function() add(1) end)
		check.raises({ "'score'" }, vai.async, function() return (function() twice(1) end)() end)
		check.raises({ "'score'" }, vai.spawn, {}, function() add(1) end)
		check.raises({ "'score'" }, vai.timer, 1, function() add(1) end)
		check.raises({ "'score'" }, function() waitgroup():go(function() add(1) end) end)
		function helper() score = 1 end
		check.raises({ "'score'" }, go, function() helper() end)
		check.eq(vai.count(), 1)
		check.eq(score, 0)
	]])

	test("is refused where it assigns a local of a coroutine, or shares one with another function", [[
		local living = coroutine.create(function()
			local n = 0
			coroutine.yield(function() n = n + 1 end)
		end)
		local _, add = coroutine.resume(living)
		check.raises({ "'n'" }, go, function() add() end)
		local function make() local m = 0 return function() m = m + 1 return m end, function() return m end end
		local function refused(inc) check.raises({ "'m'" }, go, function() inc() end) end
		local inc, get = make()
		refused(inc)
		local kept = {}
		inc, kept.deep = make()
		refused(inc)
		inc, getter = make()
		refused(inc)
		getter = nil
		inc, kept = coroutine.create(function() local i, g = make() coroutine.yield(i) return g end), nil
		local co = inc
		_, inc = coroutine.resume(co)
		refused(inc)
		assert(coroutine.status(living) == "suspended")
	]])

	test("may assign what is its own", [[
		local function make() local n = 0 return function() n = n + 1 return n end, function() return n end end
		local inc = make()
		for _ = 1, 3 do
			check.returns(table.pack(vai.async(function() return inc() + inc() end):join()), true, 3)
		end
		check.eq(inc(), 1)
		local function body()
			local m = 0
			local function add() m = m + 1 end
			return function() add() add() return m end
		end
		check.returns(table.pack(vai.async(body()):join()), true, 2)
		check.returns(table.pack(vai.async(function(i, g) i() return g() end, make()):join()), true, 1)
		local object = {}
		object.inc, object.get = make()
		check.returns(table.pack(vai.async(function() object.inc() return object.get() end):join()), true, 1)
		local env = setmetatable({}, { __index = _G })
		local f = load("function set() x = 1 return x end return set", "=f", "t", env)()
		check.returns(table.pack(vai.async(function() return f() end):join()), true, 1)
	]])

	test("is looked after among many values, for a bounded time", [[
		local function make() local n = 0 return function() n = n + 1 return n end end
		many = {}
		for i = 1, 100000 do many[i] = { i } end
		for _ = 1, check.scaled(1000) do
			local inc = make()
			check.returns(table.pack(vai.async(function() return inc() end):join()), true, 1)
		end
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

	test("knows preloads whose modules have what those have captured", [[
		local function helper() return 5 end
		package.preload.made = function() return { helper = helper, exit = os.exit, deep = { helper = helper } } end
		local made = require "made"
		for _ = 1, 2 do
			local ok, a, b, same = vai.async(function()
				return require "made".helper(), helper(), require "made".deep.helper == require "made".helper
			end):join()
			check.returns(table.pack(ok, a, b, same), true, 5, 5, true)
			made.changed = true
		end
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

describe("VAI_DEBUG=lostwrites", function()
	local source = [[
		local Account = {} Account.__index = Account
		function Account:deposit(n) self.balance = self.balance + n end
		local account = setmetatable({ balance = 1, t = { a = { b = 1 } } }, Account)
		local function helper(t) t[#t + 1] = 1 end
		local add, list, other = table.insert, {}, {}
		local function work(arg, plain)
			account:deposit(5) account:deposit(5)
			helper(list)
			add(list, 1)
			local own = {} own.x = 1 add(own, 2) helper(own) setmetatable(own, {}) plain:send({ 1 })
			account.t.a.b = 2
			arg.result = 1
			setmetatable(other, {})
			coroutine.wrap(function() list.co = 1 end)()
			table.move({ 1, 2 }, 1, 2, 1, list)
			local received = plain:recv() received.x = 1
			return account.balance, #list, #own
		end
		local task = vai.async(function(...) return work(...) end, {}, chan(1))
		check.returns(table.pack(task:join()), true, 11, 2, 2)
	]]
	local places = { 2, 4, 9, 11, 12, 13, 14, 15 }
	local err = {}
	for i, line in ipairs(places) do
		err[i] = ("program.lua:%d: goroutine writes into "):format(line)
	end
	for _, mode in ipairs { "signal", "count" } do
		test("tells every write into what was captured or passed, once, and changes nothing, with " .. mode, source, {
			procs = 2,
			env = { VAI_DEBUG = "lostwrites", VAI_PREEMPT = mode },
			err = { "program.lua:2: goroutine writes into 'self', which it captured or was passed:", table.unpack(err, 2) },
			err_not = "program.lua:10:",
		})
	end
	test("is silent where it is not asked for", source, { procs = 2 })
end)

describe("what modules have", function()
	local files = {
		["two.lua"] = "local core = require 'two.core' function core.more() return core.n end return core",
		["core.lua"] = "return { n = 7, basic = function() return 'basic' end }",
		["shapes.lua"] = [[
			local M, made = { deep = { er = {} }, list = { 1, 2 }, EMPTY = {}, NONE = setmetatable({}, {}) }, 0
			function M.deep.er.count() made = made + 1 return made end
			function M.count() return made end
			M.alias = M.count
			M.log = io.stdout
			return M
		]],
	}

	test("of C works where the module was not opened", [[
		local P, R, C, match = require "lpeg".P, require "lpeg".R, require "lpeg".C, require "lpeg".match
		local encode, null = require "cjson".encode, require "cjson".null
		local tcp, sleep, b64 = require "socket".tcp, require "socket".sleep, require "mime".b64
		local attributes, dir = require "lfs".attributes, require "lfs".dir
		local sqlite3 = require "luasql.sqlite3".sqlite3
		local before = {}
		for i = 1, 64 do
			before[i] = vai.async(function()
				local p = C(R "az" ^ 1) * P "!"
				assert(p:match "abc!" == "abc" and match(P "a", "a") == 2)
				assert(encode { null, 1 } == "[null,1]" and b64 "hello" == "aGVsbG8=")
				local c = tcp()
				c:settimeout(0.01)
				c:close()
				sleep(0.001)
				assert(attributes(".", "mode") == "directory")
				for _ in dir "." do end
				local con = sqlite3():connect ":memory:"
				assert(con:execute "create table t(a)" == 0)
				con:close()
				return i
			end)
		end
		for i = 1, 64 do check.returns(table.pack(before[i]:join()), true, i) end
		local ch = chan(1)
		for _, f in ipairs { P, encode, tcp, attributes, sqlite3 } do
			check.each_copy(f, function(c) assert(c == f) end)
			check.returns(table.pack(vai.async(type, f):join()), true, "function")
		end
		check.returns(table.pack(vai.async(encode, { 1 }):join()), true, "[1]")
	]], { needs = "luasql.sqlite3", timeout = 60 })

	test("of Lua is the receiver's own", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local shapes = require "shapes"
		local deep, count, alias, empty, none = shapes.deep.er.count, shapes.count, shapes.alias, shapes.EMPTY, shapes.NONE
		deep()
		local ok, a, b, c, d, e, f = vai.async(function()
			deep()
			deep()
			local M = require "shapes"
			return count(), M.deep.er.count == deep, empty == M.EMPTY, none == M.NONE, alias == M.count, M.count()
		end):join()
		check.returns(table.pack(ok, a, b, c, d, e, f), true, 2, true, true, true, true, 2)
		for _, v in ipairs { deep, count, empty, none } do
			check.each_copy(v, function(c) assert(c == v) end)
			check.each_copy({ v, { v }, [v] = v }, function(c) assert(c[1] == v and c[2][1] == v and c[v] == v) end)
		end
		check.each_copy(shapes.list, function(c) assert(c ~= shapes.list and #c == 2) end)
	]], { files = files })

	test("and the script put there is copied", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local shapes = require "shapes"
		function shapes.own(x) return x + 1 end
		local own, count = shapes.own, shapes.count
		check.returns(table.pack(vai.async(function() return own(1) end):join()), true, 2)
		shapes.count = function() return "mine" end
		local mine = shapes.count
		check.returns(table.pack(vai.async(function() return mine(), (count()) end):join()), true, "mine", 0)
	]], { files = files })

	test("and the script put there before vai was loaded is copied, too", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		package.preload.inline = function()
			local n = 0
			return { inc = function() n = n + 1 return n end }
		end
		local shapes, inline = require "shapes", require "inline"
		function shapes.own(x) return x + 1 end
		local own, inc = shapes.own, inline.inc
		inc()
		local vai = require "vai"
		local ok, v = vai.async(function() return own(1) end):join()
		assert(ok and v == 2, v)
		ok, v = vai.async(function() return inc() + inc() end):join()
		assert(ok and v == 3, v)
	]], { files = files, raw = true })

	test("so is a class that the script put there before vai was loaded", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local shapes = require "shapes"
		local Point = {}
		Point.__index = Point
		function Point.new(x) return setmetatable({ x = x }, Point) end
		function Point:get() return self.x end
		shapes.Point = Point
		local vai = require "vai"
		local ok, v, p = vai.async(function(p) return Point.new(3):get() + p:get(), p end, Point.new(4)):join()
		assert(ok and v == 7, v)
		assert(getmetatable(p) == Point)
	]], { files = files, raw = true })

	test("that is gone there is an error that names it", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local count = require "shapes".count
		os.rename(arg[1] .. "/shapes.lua", arg[1] .. "/old.lua")
		local f <close> = assert(io.open(arg[1] .. "/shapes.lua", "w"))
		f:write "return { deep = 1 }"
		f:flush()
		local ok, err = vai.async(function() return count() end):join()
		assert(not ok and err:find "a function was sent as '%a+' of module 'shapes', which is a nil value here", err)
	]], { files = files })

	test("under two names is complete under both", [[
		os.execute("mkdir " .. arg[1] .. "/two && mv " .. arg[1] .. "/core.lua " .. arg[1] .. "/two/core.lua")
		package.path = arg[1] .. "/?.lua;" .. package.path
		local two = require "two"
		local core = require "two.core"
		assert(two == core)
		for _ = 1, 10 do
			check.returns(table.pack(vai.async(function() return two.basic(), two.more(), two == require "two.core" end):join()),
				true, "basic", 7, true)
			check.returns(table.pack(vai.async(function() return core.basic(), core.more() end):join()), true, "basic", 7)
			local more, basic = two.more, two.basic
			check.returns(table.pack(vai.async(function() return basic(), more() end):join()), true, "basic", 7)
		end
		check.each_copy(two, function(c) assert(c == two) end)
	]], { files = files })

	test("of socket is complete, whichever name Lua finds first", [[
		local socket, mime = require "socket", require "mime"
		for _ = 1, 10 do
			local ok, a, b, c = vai.async(function() return socket.connect4, socket.tcp, mime.encode end):join()
			assert(ok == false and a:find "cannot be sent" == nil or a and b and c)
			check.returns(table.pack(vai.async(function()
				return type(socket.connect4), type(socket.tcp), type(mime.encode), type(socket.bind)
			end):join()), true, "function", "function", "function", "function")
		end
	]], { needs = "socket" })
end)

describe("classes", function()
	local point = [[
		local Point = {}
		Point.__index = Point
		function Point.new(x) return setmetatable({ x = x }, Point) end
		function Point:twice() return self.x * 2 end
		function Point.__eq(a, b) return a.x == b.x end
		function Point.is(v) return getmetatable(v) == Point end
	]]
	local test_point = program.tester(point)

	test_point("are the sender's own when they come home", [[
		check.each_copy(Point.new(3), function(c) assert(Point.is(c) and c:twice() == 6) end)
		check.each_copy({ a = Point.new(3), list = { Point.new(4) } }, function(c)
			assert(Point.is(c.a) and Point.is(c.list[1]))
		end)
		check.each_copy(Point, function(c) assert(c == Point) end)
	]])

	test_point("are one copy in the receiver, whoever sends", [[
		local ch, out = chan(), chan()
		go(function()
			local first = ch:recv()
			for v in ch do out:send { Point.is(v), getmetatable(v) == getmetatable(first), v == first, v } end
		end)
		ch:send(Point.new(1))
		for i = 1, 20 do
			if i % 2 == 0 then go(function() ch:send(Point.new(1)) end) else ch:send(Point.new(1)) end
			local r = out:recv()
			assert(r[1] and r[2] and r[3] and Point.is(r[4]), i)
		end
	]])

	test_point("stay as they first arrived; a goroutine started later gets them as they are then", [[
		local ch, out = chan(), chan()
		local function serve() for o in ch do out:send(o:twice()) end end
		go(serve)
		local function ask(o) ch:send(o) return out:recv() end
		check.eq(ask(Point.new(2)), 4)
		function Point:twice() return self.x * 2 + 1 end
		check.eq(ask(Point.new(2)), 4)
		check.eq(Point.new(2):twice(), 5)
		ch:close()
		ch = chan()
		go(function() for o in ch do out:send(o:twice()) end end)
		check.eq(ask(Point.new(2)), 5)
		for i = 1, 20 do
			function Point:twice() return i end
			check.returns(table.pack(vai.async(function(o) return o:twice(), Point.is(o) end, Point.new(1)):join()), true, i, true)
		end
	]])

	test("first sent after a change have it", [[
		local C = { data = { n = 1 } }
		C.__index = C
		function C:get() return self.data.n end
		local a, b, out = chan(), chan(), chan()
		for _, ch in ipairs { a, b } do go(function() for o in ch do out:send(o:get()) end end) end
		local function ask(ch) ch:send(setmetatable({}, C)) return out:recv() end
		check.eq(ask(a), 1)
		check.eq(ask(a), 1)
		C.data.n = 2
		check.eq(ask(b), 2)
		check.eq(ask(a), 1)
	]])

	test("in a module's table are the module's", [[
		package.preload.shapes = function()
			local M = { Circle = {}, deep = { Square = {} } }
			M.Circle.__index = M.Circle
			M.deep.Square.__index = M.deep.Square
			function M.new(r) return setmetatable({ r = r }, M.Circle) end
			function M.square(a) return setmetatable({ a = a }, M.deep.Square) end
			function M.is(v) return getmetatable(v) == M.Circle end
			return M
		end
		local S = require "shapes"
		check.each_copy(S.new(1), function(c) assert(S.is(c)) end)
		check.each_copy(S.square(1), function(c) assert(getmetatable(c) == S.deep.Square) end)
		local ch, out = chan(), chan()
		go(function()
			local here = require "shapes"
			for o in ch do out:send { here.is(o), here.new(2) } end
		end)
		for _ = 1, 10 do
			ch:send(S.new(1))
			local r = out:recv()
			assert(r[1] and S.is(r[2]))
		end
	]])

	test("with inheritance", [[
		local Base = {} Base.__index = Base
		function Base:hello() return "hello " .. self.name end
		local Derived = setmetatable({}, { __index = Base }) Derived.__index = Derived
		local ch, back = chan(), chan()
		go(function() for o in ch do back:send { o, getmetatable(o) == Derived and getmetatable(Derived).__index == Base } end end)
		for _ = 1, 10 do
			ch:send(setmetatable({ name = "x" }, Derived))
			local r = back:recv()
			assert(r[2] and getmetatable(r[1]) == Derived and r[1]:hello() == "hello x")
		end
	]])

	local fresh = [[
		local function fresh()
			local ch, out = chan(), chan()
			go(function() for o in ch do out:send(o:who()) end end)
			return function(o) ch:send(o) return out:recv() end
		end
	]]
	local test_fresh = program.tester(fresh)

	test_fresh("whose base has changed are sent with the base as it is, also where that is a class of its own", [[
		local Base = { names = {} } Base.__index = Base
		for i = 1, 1000 do Base.names["name " .. i] = i end
		local classes = { Base }
		for i = 2, 6 do
			classes[i] = setmetatable({}, { __index = classes[i - 1] })
			classes[i].__index = classes[i]
		end
		local Other = {} Other.__index = Other
		function Other:who() return Base.who(self) end
		classes[7] = Other
		for n = 1, 4 do
			function Base:who() return n end
			for round = 1, 3 do
				for _, class in ipairs(classes) do check.eq(fresh()(setmetatable({}, class)), n) end
			end
		end
	]])

	test_fresh("with another method at the address of a collected one have the other", [[
		local C, hits = {}, 0
		C.__index = C
		for i = 1, check.scaled(50) do
			C.who = function() return i end
			check.eq(fresh()(setmetatable({}, C)), i)
			local was, kept = string.format("%p", C.who), {}
			C.who = nil
			collectgarbage()
			collectgarbage()
			for k = 1, 50 do
				kept[k] = function() return -i end
				if string.format("%p", kept[k]) == was then C.who = kept[k] end
			end
			if C.who then
				hits = hits + 1
				check.eq(fresh()(setmetatable({}, C)), -i)
			end
		end
	]])

	test_fresh("that count or list their objects keep their identity, and a receiver gets the count of its first object", [[
		local C = { made = 0, alive = setmetatable({}, { __mode = "k" }), names = setmetatable({}, { __mode = "v" }) }
		C.__index = C
		function C.new()
			C.made = C.made + 1
			local o = setmetatable({ id = C.made }, C)
			C.alive[o], C.names["n" .. o.id] = true, o
			return o
		end
		function C.who() return C.made end
		for i = 1, 20 do
			local ask = fresh()
			check.eq(ask(C.new()), 2 * i - 1)
			check.eq(ask(C.new()), 2 * i - 1)
			check.each_copy(C.names["n" .. i] or C.alive, function() end)
		end
		collectgarbage()
		check.eq(next(C.alive), nil)
		check.eq(next(C.names), nil)
	]])

	test_fresh("of a module that was unloaded or loaded again go on as classes of the script", [[
		package.preload.reloaded = function()
			local C = {} C.__index = C
			function C.who() return "who" end
			return { C = C, new = function() return setmetatable({}, C) end }
		end
		local function each(M)
			check.each_copy(M.new(), function(c) assert(getmetatable(c) == M.C and c:who() == "who") end)
			check.each_copy(M.new, function(f) assert(getmetatable(f()).who() == "who") end)
			check.eq(fresh()(M.new()), "who")
		end
		local M = require "reloaded"
		each(M)
		package.loaded.reloaded = nil
		each(M)
		local N = require "reloaded"
		assert(N ~= M)
		each(M)
		each(N)
		check.returns(table.pack(vai.async(function(m, n)
			local C = require "reloaded".C
			return getmetatable(m) == C, getmetatable(n) == C
		end, M.new(), N.new()):join()), true, false, true)
		package.loaded.reloaded = M
		each(M)
		each(N)
		check.returns(table.pack(vai.async(function(m) return getmetatable(m) == require "reloaded".C end, M.new()):join()),
			true, true)
		check.returns(table.pack(vai.async(function()
			local A = require "reloaded"
			package.loaded.reloaded = nil
			local B, ch = require "reloaded", chan(1)
			for _ = 1, 3 do
				for _, X in ipairs { A, B } do
					ch:send(X.new())
					assert(getmetatable(ch:recv()) == X.C)
				end
			end
			return A == B
		end):join()), true, false)
	]])

	test("of each object share with it what they shared", [[
		local function proxy()
			local data = { n = 1 }
			return setmetatable({ data = data }, { __index = function(_, k) return data[k] end })
		end
		local ch, out = chan(), chan()
		go(function()
			for c in ch do
				c.data.n = 7
				out:send(c.n)
			end
		end)
		for _ = 1, 5 do
			ch:send(proxy())
			check.eq(out:recv(), 7)
		end
	]])

	test("that cannot be sent name the field, each time", [[
		local C = { log = io.stdout }
		C.__index = C
		local ch = chan(4)
		for _ = 1, 3 do
			check.raises({ "metatable: field 'log': userdata FILE%* cannot be sent" }, ch.send, ch, setmetatable({ {} }, C))
		end
		C.log = nil
		ch:send(setmetatable({ {} }, C))
		ch:send(setmetatable({ {} }, C))
		C.log = io.stdout
		check.raises({ "metatable: field 'log': userdata FILE%* cannot be sent" }, ch.send, ch, setmetatable({ {} }, C))
	]])

	test_point("cost no memory, however often they cross", [[
		local ch, back = chan(16), chan(16)
		go(function() for o in ch do assert(Point.is(o)) back:send(o) end end)
		local function round(n)
			for i = 1, n do
				ch:send(Point.new(i))
				local o = back:recv()
				assert(Point.is(o) and o:twice() == 2 * i)
			end
			collectgarbage()
			return collectgarbage "count"
		end
		round(1000)
		local before = round(1000)
		local after = round(check.scaled(100000))
		assert(after < before + 16, after - before)
	]], { timeout = 60 })

	test("of goroutines that have ended are collected", [[
		local function rss()
			collectgarbage()
			collectgarbage()
			return check.rss()
		end
		local function round(n)
			for _ = 1, n do
				local ok, o = vai.async(function()
					local C = {} C.__index = C
					for i = 1, 20 do C["m" .. i] = function() return i end end
					return setmetatable({ {} }, C)
				end):join()
				assert(ok and o.m3() == 3)
			end
		end
		local n = check.scaled(2000)
		round(n)
		local before = rss()
		round(4 * n)
		assert(rss() - before < 8192 * check.slowness, rss() - before)
	]], { timeout = 60 })
end)

describe("__vai_send that gives nil and a call", function()
	test("makes the value in the receiver", [[
		package.preload.lend = function()
			local socket = require "socket"
			local M = { made = 0 }
			function M.udp(fd)
				local s = socket.udp()
				s:close()
				s:setfd(fd)
				M.made = M.made + 1
				return s
			end
			return M
		end
		local socket, udp = require "socket", require "lend".udp
		local there = socket.udp()
		there:setsockname("127.0.0.1", 0)
		there:settimeout(5)
		local _, port = there:getsockname()
		debug.getmetatable(there).__vai_send = function(s)
			local fd = s:getfd()
			s:setfd(-1)
			return nil, udp, fd
		end
		for i = 1, 5 do
			local task = vai.async(function(list)
				assert(list[1] == list[2] and require "lend".made == 1)
				return (list[1]:receive())
			end, { there, there })
			local s = socket.udp()
			s:sendto("datagram " .. i, "127.0.0.1", port)
			check.returns(table.pack(task:join()), true, "datagram " .. i)
			there = socket.udp()
			there:setsockname("127.0.0.1", 0)
			there:settimeout(5)
			_, port = there:getsockname()
		end
	]], { needs = "socket" })

	test("takes C functions, any arguments, and raises what the function raises", [[
		local mt = getmetatable(io.stdout)
		mt.__vai_send = function() return nil, string.rep, "ab", 3 end
		check.each_copy({ io.stdout, { io.stdout }, [1.5] = io.stdout }, function(c)
			check.same(c, { "ababab", { "ababab" }, [1.5] = "ababab" })
		end)
		check.each_copy(io.stdout, function(c) check.eq(c, "ababab") end)
		mt.__vai_send = function() return nil, table.pack, { deep = { er = { 1 } } }, nil, 3 end
		check.each_copy({ { { { { io.stdout } } } } }, function(c)
			local p = c[1][1][1][1][1]
			check.same(p, { { deep = { er = { 1 } } }, nil, 3, n = 3 })
		end)
		local ch = chan(1)
		mt.__vai_send = function() return nil, error, "made there" end
		ch:send { io.stdout }
		check.raises("made there", ch.recv, ch)
		ch:send "goes on"
		check.eq(ch:recv(), "goes on")
	]])

	test("refuses what is no call, naming it", [[
		local mt, ch = getmetatable(io.stdout), chan(1)
		mt.__vai_send = function() return nil, "why" end
		check.raises("%[1%]: __vai_send gave nil and a string value, not a function", ch.send, ch, { io.stdout })
		mt.__vai_send = function(f) return nil, io.type, f end
		ch:send { io.stdout }
		check.eq(ch:recv()[1], nil)
		mt.__vai_send = function() return nil, io.type, coroutine.create(print) end
		check.raises("what __vai_send gave: thread cannot be sent", ch.send, ch, { io.stdout })
		mt.__vai_send = function() return nil, nil end
		check.each_copy({ io.stdout, 2 }, function(c) check.eq(c[1], nil) check.eq(c[2], 2) end)
	]])
end)

describe("what the script changed", function()
	local files = {
		["mod.lua"] = [[
			local M = { level = 1, list = { 1 }, name = "mod" }
			function M.own() return "own" end
			function M.other() return "other" end
			return M
		]],
	}

	test("in standard libraries reaches goroutines that use it", [[
		function string.trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end
		function table.keys(t) local r = {} for k in pairs(t) do r[#r + 1] = k end return r end
		math.tau, math.floor = 2 * math.pi, function() return "mine" end
		os.exit = nil
		check.returns(table.pack(vai.async(function() return (" x "):trim(), #table.keys { a = 1 }, math.tau, math.floor(1.5),
			os.exit end):join()), true, "x", 1, 2 * math.pi, "mine", nil)
		local s, t, m = string, table, math
		check.returns(table.pack(vai.async(function() return s.trim " y ", #t.keys { 1, 2 }, m.floor(2) end):join()),
			true, "y", 2, "mine")
		local trim = function(v) return v:trim() end
		check.returns(table.pack(vai.async(function(v) return trim(v) end, " z "):join()), true, "z")
		check.returns(table.pack(vai.async(function()
			return _G.select(2, vai.async(function() return (" deep "):trim() end):join())
		end):join()), true, "deep")
		local ch, text = vai.chan(1), " text "
		check.returns(table.pack(vai.async(function(v) return (v or ch):trim(), text:trim() end, " or "):join()),
			true, "or", "text")
		check.returns(table.pack(vai.async(function() return ("x"):upper(), math.max(1, 2), string.rep("a", 2) end):join()),
			true, "X", 2, "aa")
	]])

	test("in standard libraries is there for every spawn as it is then", [[
		for i = 1, 20 do
			function string.nth() return i end
			check.returns(table.pack(vai.async(function() return ("x"):nth() end):join()), true, i)
		end
		string.nth = nil
		check.returns(table.pack(vai.async(function() return string.nth end):join()), true, nil)
	]])

	test("in standard libraries is there under names of run time, and wherever the library goes", [[
		function string.trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end
		local n, lib, S = "trim", "string", string
		alias, kept = string, { s = string }
		for i, f in ipairs {
			function(s) return string[n](s) end,
			function(s) local own = string return own[n](s) end,
			function(s) return S[n](s) end,
			function(s) return s[n](s) end,
			function(s) return _G.string[n](s) end,
			function(s) return _G[lib][n](s) end,
			function(s) local e = _ENV return e[lib].trim(s) end,
			function(s) return alias.trim(s) end,
			function(s) return alias[n](s) end,
			function(s) return kept.s.trim(s) end,
			function(s, given) return given.trim(s) end,
			function(s, _, held) return held[1].trim(s) end,
			function(s) for k, f in pairs(string) do if k == n then return f(s) end end end,
			function(s) for k, f in next, string do if k == n then return f(s) end end end,
			function(s) return rawget(string, n)(s) end,
			function(s) local own = string return (function() return own[n](s) end)() end,
			function(s) return (function() return string end)().trim(s) end,
			function(s) return (s and string or table).trim(s) end,
			function(s) local own = string while true do if own then break end end return own[n](s) end,
			function(s) local t = setmetatable({}, { __index = string }) return t.trim(s) end,
			function(s) local _ENV = { string = string } return string.trim(s) end,
			function(s) local _ENV = setmetatable({}, { __index = _G }) return string.trim(s) end,
			function(s) return load("return (...):trim()")(s) end,
			function(s) return require("string").trim(s) end,
			function(s) return package.loaded[lib][n](s) end,
			function(s) return getmetatable("").__index[n](s) end,
			function(s) local ok, r = vai.async(function() return string[n](s) end):join() return ok and r end,
			function(s) string.trim = function() return "own" end return string[n](s) == "own" and "x" end,
		} do
			local ok, r = vai.async(f, " x ", string, { string }):join()
			assert(ok and r == "x", i .. ": " .. tostring(r))
		end
		check.eq(S.trim " y ", "y")
	]])

	test("in the library of strings is there for methods that only the run names", [[
		function string.trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end
		function math.trim(s) return s:match "%S" end
		local n, text = "trim", " x "
		function helper(s) return s[n](s) end
		for i, f in ipairs {
			function(s) return s[n](s) end,
			function(s) return text[n](text) end,
			function(_, t) return t[1][n](t[1]) end,
			function(_, t) local m = t.x[n] or error "none" return m(t.x) end,
			function(s) local m = s[n] if not m then return "none" end return m(s) end,
			function(s) local m if s then m = s[n] else m = nil end return m(s) end,
			function(s) local ok, r = pcall(s[n], s) return ok and r end,
			function(s) local ok, r = xpcall(s[n], debug.traceback, s) return ok and r end,
			function(s) local function call(f, ...) return f(...) end return call(s[n], s) end,
			function(s) local function inner() return s[n](s) end return inner() end,
			function(s) return helper(s) end,
			function(s) local own = math if not s then own = nil end return own[n](s) end,
			function(s) local own = math if not s then return end return own[n](s) end,
			function(s) local a; local own = math; a = nil; return own[n](s), a end,
		} do
			local ok, r = vai.async(f, " x ", { " x ", x = " x " }):join()
			assert(ok and r == "x", i .. ": " .. tostring(r))
		end
	]])

	test("in standard libraries is gone under names of run time where the script took it away", [=[
		string.rep, os.exit, math.pi, string.upper = nil, nil, 3, function() return "mine" end
		local function count(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end
		local n = { "rep", "exit", "pi", "upper" }
		check.returns(table.pack(vai.async(function()
			return string[n[1]], os[n[2]], math[n[3]], string[n[4]]("x"), count(string), ("x")[n[1]], ("x").rep
		end):join()), true, nil, nil, 3, "mine", count(string), nil, nil)
		string.rep = function() return "back" end
		check.returns(table.pack(vai.async(function() return string[n[1]]() end):join()), true, "back")
		io.lines = function() return "lines" end
		check.returns(table.pack(vai.async(function() return io["li" .. "nes"](), (io["op" .. "en"] ~= nil) end):join()),
			true, "lines", true)
	]=])

	test("in standard libraries is there for modules that a goroutine gets or requires", [[
		function string.trim(s) return "trimmed " .. s end
		package.preload.app = function()
			return { text = function(s) return s:trim() end, get = function(n) return string[n] ~= nil end }
		end
		local app, name = require "app", "app"
		check.returns(table.pack(vai.async(function() return app.text "x", app.get "trim" end):join()), true, "trimmed x", true)
		check.returns(table.pack(vai.async(function() return require(name).text "y" end):join()), true, "trimmed y")
		check.returns(table.pack(vai.async(function(t) return t.app.text "z" end, { app = app }):join()), true, "trimmed z")
		string.trim = nil
		check.returns(table.pack(vai.async(function() return app.get "trim" end):join()), true, false)
	]])

	test("in standard libraries and modules is there for helpers that require", [[
		function string.trim(s) return "trimmed " .. s end
		package.preload.app = function()
			return { text = function(s, n) return string[n](s) end, trims = function(n) return string[n] ~= nil end }
		end
		local n, req = "trim", require
		local function helper() return require "app".text("x", n) end
		local function own() return require "string"[n] ~= nil end
		local function any() return package.loaded.string[n] ~= nil end
		local held = { f = helper }
		local object = setmetatable({}, { __index = { go = function() return require "app".trims(n) and "trimmed x" end } })
		for i, f in ipairs {
			function() return helper() end,
			function() return held.f() end,
			function(given) return given() end,
			function(_, o) return o:go() end,
			function() return req "app".text("x", n) end,
			function() return own() and any() and "trimmed x" end,
		} do
			local ok, r = vai.async(f, helper, object):join()
			assert(ok and r == "trimmed x", i .. ": " .. tostring(r))
		end
	]])

	test("since the last spawn is there for helpers that require", [[
		package.preload.pm = function() return { a = 1 } end
		local pm = require "pm"
		local function helper() return require "pm".a, require "pm2".v, package.path end
		local function via() return helper() end
		for i = 2, 5 do
			pm.a, package.path = i, "path" .. i
			package.preload.pm2 = function() return { v = i } end
			check.returns(table.pack(vai.async(via):join()), true, i, i, "path" .. i)
		end
	]])

	test("in standard libraries does not come back once a goroutine has set or taken it away", [[
		function string.foo() return "script's" end
		local n = "foo"
		local function has(k) for key in pairs(string) do if key == k then return true end end return false end
		check.returns(table.pack(vai.async(function() string[n] = nil return string[n], has(n) end):join()), true, nil, false)
		check.returns(table.pack(vai.async(function() rawset(string, n, nil) return string[n], has(n) end):join()), true, nil, false)
		check.returns(table.pack(vai.async(function() string[n] = false return string[n], has(n) end):join()), true, false, true)
		check.eq(string.foo(), "script's")
	]])

	test("in standard libraries is there where loops and closures lead from one name to the other", [[
		math.abs = function() return "script's" end
		for i, f in ipairs {
			function(n) local l; local function g() return l[n](-1) end; l = math return g() end,
			function(n) local l; local function g() return l[n](-1) end; l = math return pcall(g) and (g()) end,
			function(n) local l; for i = 1, 2 do if l then return l[n](-1) end l = math end end,
			function(n) local l; for _ in pairs { 1, 2 } do if l then return l[n](-1) end l = math end end,
			function(n) local l; for i = 1, 2 do if i == 2 then local g = l[n] return g(-1) end l = math end end,
			function(n) local l, i = nil, 0; repeat if l then return l[n](-1) end l = math i = i + 1 until i > 2 end,
			function(n)
				local function made() local l; local function g() return l[n](-1) end; l = math return g end
				return made()()
			end,
		} do
			local ok, r = vai.async(f, "abs"):join()
			assert(ok and r == "script's", i .. ": " .. tostring(r))
		end
	]])

	test("in standard libraries may be a table, where the code names it", [[
		string.kinds, math.vec = { a = 1 }, { add = function(x, y) return x + y end }
		check.returns(table.pack(vai.async(function() return string.kinds.a, math.vec.add(1, 2) end):join()), true, 1, 3)
		string.kinds.a = 2
		check.returns(table.pack(vai.async(function() return string.kinds.a end):join()), true, 2)
	]])

	test("a stock global that is gone is gone", [[
		dofile, utf8 = nil, nil
		check.returns(table.pack(vai.async(function() return dofile, utf8, type(print) end):join()), true, nil, nil, "function")
	]])

	test("at the top of a module's table reaches goroutines that use it", [[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local M = require "mod"
		function M.added(x) return M.level + x end
		M.level, M.flag, M.own = 5, true, function() return "changed" end
		M.list[2] = 2
		check.returns(table.pack(vai.async(function()
			return M.added(1), M.level, M.flag, M.own(), M.other(), #M.list, M.name, M == require "mod"
		end):join()), true, 6, 5, true, "changed", "other", 1, "mod", true)
		check.returns(table.pack(vai.async(function() return M.other() end):join()), true, "other")
		mod = M
		check.returns(table.pack(vai.async(function() return mod.added(2), mod.own() end):join()), true, 7, "changed")
	]], { files = files })

	test("in metatables of types reaches goroutines, and theirs", [[
		local function run(f) return _G.select(2, assert(vai.async(f):join())) end
		local function sum() return pcall(function() return "a" + "b" end) end
		check.eq(run(sum), false)
		debug.setmetatable(0, { __len = function(n) return n * 2 end, __index = { half = function(n) return n // 2 end } })
		check.returns(table.pack(run(function() return #5, (6):half() end)), 10, 3)
		getmetatable("").__add = function(a, b) return a .. b end
		check.returns(table.pack(run(sum)), true, "ab")
		getmetatable("").__index = function(s, k) return math.type(k) and string.sub(s, k, k) or string[k] end
		check.returns(table.pack(run(function() return ("hello")[2], ("x"):rep(3) end)), "e", "xxx")
		debug.setmetatable(nil, { __index = function() return "nothing" end })
		debug.setmetatable(print, { __concat = function(f, g) return function(x) return f(g(x)) end end })
		debug.setmetatable(true, { __call = function(b, x, y) if b then return x end return y end })
		check.returns(table.pack(run(function()
			local ok, a, b, c, d = vai.async(function()
				local none
				local function inc(x) return x + 1 end
				local function double(x) return x * 2 end
				return none.field, (inc .. double)(5), (1 > 2)("yes", "no"), "p" + "q"
			end):join()
			return ok, a, b, c, d
		end)), true, "nothing", 11, "no", "pq")
		for _, v in ipairs { 0, print, true } do debug.setmetatable(v, nil) end
		debug.setmetatable(nil, nil)
		local strings = getmetatable ""
		strings.__add, strings.__index = nil, string
		check.eq(run(sum), false)
		debug.setmetatable("", nil)
		check.eq(run(function() return getmetatable "" end), nil)
		debug.setmetatable("", strings)
		check.eq(run(function() return ("x"):rep(2) end), "xx")
		strings.__sub = coroutine.create(print)
		check.raises({ "metatable of 'strings': field '__sub': thread cannot be sent" }, vai.async, sum)
	]])

	test("in _G's metatable reaches goroutines, as strict.lua's and autoload's", [[
		local mt, declared = {}, {}
		function mt.__newindex(t, k, v)
			local what = debug.getinfo(2, "S").what
			if not declared[k] and what ~= "main" and what ~= "C" then error("assign to undeclared '" .. k .. "'", 2) end
			declared[k] = true
			rawset(t, k, v)
		end
		function mt.__index(_, k)
			if not declared[k] then error("'" .. k .. "' is not declared", 2) end
		end
		setmetatable(_G, mt)
		shown = 7
		local function run(f) return _G.select(2, assert(vai.async(f):join())) end
		local function read() return shown, pcall(function() return hidden end) end
		local function write() return pcall(function() fresh = 1 end) end
		for _ = 1, 3 do
			local n, ok, err = run(read)
			assert(n == 7 and not ok and err:find "'hidden' is not declared", err)
			ok, err = run(function() return _G.select(2, vai.async(write):join()) end)
			assert(not ok and err:find "assign to undeclared 'fresh'", err)
		end
		check.eq(run(function() return string.format("%d", #_VERSION) end), "7")
		setmetatable(_G, { __index = function(_, k) return "auto " .. k end })
		check.eq(run(function() return anything end), "auto anything")
		setmetatable(_G, nil)
		check.eq(run(function() return anything end), nil)
	]])

	test("in package.searchers reaches goroutines that require", [[
		local function run(f) return _G.select(2, assert(vai.async(f):join())) end
		check.eq(run(function() return (pcall(require, "virtual.a")) end), false)
		local extra = { 5 }
		table.insert(package.searchers, 2, function(name)
			if not name:find "^virtual%." then return "no virtual " .. name end
			return function(n, from) return { name = n, from = from, extra = extra } end, "a searcher"
		end)
		local function get()
			local m = require "virtual.a"
			return m.name, m.from, m.extra[1], m == require "virtual.a", #package.searchers
		end
		check.returns(table.pack(run(get)), "virtual.a", "a searcher", 5, true, 5)
		check.returns(table.pack(run(function() return _G.select(2, vai.async(get):join()) end)),
			"virtual.a", "a searcher", 5, true, 5)
		assert(run(function() return _G.select(2, pcall(require, "other")) end):find "no virtual other")
		table.remove(package.searchers, 2)
		check.eq(run(function() return (pcall(require, "virtual.a")) end), false)
		package.searchers = { package.searchers[1], function(n) return n == "only" and function() return n end end }
		package.preload.known = function() return "preloaded" end
		check.returns(table.pack(run(function()
			return require "only", #package.searchers, (pcall(require, "cjson"))
		end)), "only", 2, false)
		package.searchers[2] = coroutine.wrap(print)
		check.eq(run(function() return #package.searchers end), 1)
	]])

	test("in a C module, too", [[
		local cjson = require "cjson"
		function cjson.twice(v) return cjson.encode { v, v } end
		check.returns(table.pack(vai.async(function() return cjson.twice(1), cjson.encode { 2 } end):join()), true, "[1,1]", "[2]")
	]], { needs = "cjson" })

	test("beside a table of many functions that all capture it", [[
		local deep, name = {}, "n"
		for i = 1, 40 do deep["n" .. i] = load("local deep = ... return function() return deep.n end")(deep) end
		deep.n = 7
		check.returns(table.pack(vai.async(function() return deep[name], deep.n40() end):join()), true, 7, 7)
	]])
end)

describe("what a module has", function()
	local classes = [=[
		package.preload.deep = function()
			local function class(name)
				local C = { name = name }
				C.__index = C
				function C.who(o) return C.name .. o.n end
				return C
			end
			local M = { list = { class "listed" }, x = {} }
			local t = M
			for i = 1, 30 do
				t.x = { C = class("deep" .. i), none = {}, f = function() return i end }
				t = t.x
			end
			local Hidden, Helper = class "hidden", class "helper"
			local function make(n) return setmetatable({ n = n }, Helper) end
			function M.hide(n) return setmetatable({ n = n }, Hidden) end
			function M.is_hidden(o) return getmetatable(o) == Hidden end
			function M.make(n) return make(n) end
			function M.is_made(o) return getmetatable(o) == Helper end
			local Late
			function M.late(n) Late = Late or class "late" return setmetatable({ n = n }, Late) end
			function M.is_late(o) return getmetatable(o) == Late end
			return M
		end
		local deep = require "deep"
		local function at(n) local t = require "deep" for _ = 1, n do t = t.x end return t end
	]=]

	test("is the same there, however deep", classes .. [=[
		for _, n in ipairs { 1, 4, 5, 6, 30 } do
			local function same(o, list)
				return getmetatable(o) == at(n).C, o:who(), list[1] == at(n).none, list[2] == at(n).f, list[2]()
			end
			local o, list = setmetatable({ n = n }, at(n).C), { at(n).none, at(n).f }
			check.returns(table.pack(vai.async(same, o, list):join()), true, true, "deep" .. n .. n, true, true, n)
			check.returns(table.pack(vai.async(function() return same(o, list) end):join()),
				true, true, "deep" .. n .. n, true, true, n)
			check.each_copy({ o, list }, function(c) assert(same(c[1], c[2])) end)
		end
	]=])

	test("under no name is as it is here, and its own at home: in lists, and captured by functions", classes .. [=[
		local kinds = {
			hidden = { deep.hide, deep.is_hidden },
			made = { deep.make, deep.is_made },
			listed = { function(n) return setmetatable({ n = n }, require "deep".list[1]) end,
				function(o) return getmetatable(o) == require "deep".list[1] end },
		}
		for name, kind in pairs(kinds) do
			local make, is = kind[1], kind[2]
			local there, back = chan(), chan()
			local task = vai.async(function()
				local first
				for o in there do
					first = first or getmetatable(o)
					back:send { getmetatable(o) == first, o, make(o.n + 1), o:who() }
				end
			end)
			for i = 1, 20 do
				there:send(make(i))
				local r = back:recv()
				assert(r[1] and is(r[2]) and r[2].n == i and r[3].n == i + 1, name)
				check.eq(r[3]:who(), (r[4]:gsub("%d+$", i + 1)))
			end
			there:close()
			task:join()
			check.returns(table.pack(vai.async(function()
				local o = make(8)
				return is(o), _G.select(2, vai.async(function() return o:who() end):join())
			end):join()), true, true, make(8):who())
		end
	]=])

	test("may have been made since", classes .. [=[
		for _ = 1, 3 do
			local _, o = vai.async(function() return require "deep".late(3) end):join()
			check.eq(o:who(), "late3")
			local ok, same, name = vai.async(function()
				local o = require "deep".late(4)
				return _G.select(2, vai.async(function() return getmetatable(o) ~= nil, o:who() end):join())
			end):join()
			check.returns(table.pack(ok, same, name), true, true, "late4")
		end
		local mine = deep.late(5)
		local _, o = vai.async(function() return mine end):join()
		assert(deep.is_late(o))
	]=])

	test("in a list is not taken for what is there elsewhere, where the order is that of a hash", [=[
		package.preload.hashed = function()
			local M, names = { list = {} }, {}
			for i = 1, 20 do names["class" .. i] = true end
			for name in pairs(names) do
				local C = { name = name }
				C.__index = C
				M.list[#M.list + 1] = C
			end
			function M.new(name)
				for _, C in ipairs(M.list) do
					if C.name == name then return setmetatable({}, C) end
				end
			end
			return M
		end
		local hashed = require "hashed"
		for i = 1, 20 do
			local o, name = hashed.new("class" .. i), "class" .. i
			check.eq(_G.select(2, vai.async(function(c) return c.name end, o):join()), name)
			check.eq(_G.select(2, vai.async(function() return o.name end):join()), name)
			local _, c = vai.async(function() return require "hashed".new(name) end):join()
			check.eq(c.name, name)
			check.each_copy(o, function(d) check.eq(d.name, name) end)
		end
	]=])

	test("in a list that other modules fill is what they put there", [=[
		package.preload.registry = function()
			local R = { classes = {} }
			function R.class(name)
				local C = { name = name }
				C.__index = C
				R.classes[#R.classes + 1] = C
			end
			function R.new(name)
				for _, C in ipairs(R.classes) do
					if C.name == name then return setmetatable({}, C) end
				end
			end
			return R
		end
		local function define(module, ...)
			local names = { ... }
			package.preload[module] = function()
				local M = {}
				for _, name in ipairs(names) do
					require "registry".class(name)
					M[name] = function() return require "registry".new(name) end
				end
				return M
			end
		end
		define("animals", "Cat")
		define("shapes", "Circle", "Square")
		local animals, shapes = require "animals", require "shapes"
		local vai = require "vai"
		local all = { Cat = animals.Cat(), Circle = shapes.Circle(), Square = shapes.Square() }
		for _, order in ipairs { {}, { "animals" }, { "shapes" }, { "shapes", "animals" }, { "animals", "shapes" } } do
			local there, back = vai.chan(), vai.chan()
			local task = vai.async(function()
				for _, name in ipairs(order) do require(name) end
				for o in there do back:send(o.name) end
			end)
			for name, o in pairs(all) do
				there:send(o)
				local got = back:recv()
				assert(got == name, got)
			end
			there:close()
			task:join()
			for name, o in pairs(all) do
				local _, got = vai.async(function(c)
					for _, module in ipairs(order) do require(module) end
					return c.name
				end, o):join()
				assert(got == name, got)
			end
		end
	]=], { raw = true })

	test("in a list may be the script's, put there before vai was loaded and after", [=[
		package.preload.reg = function()
			local Base = { name = "Base" }
			Base.__index = Base
			local M = { list = { Base } }
			function M.register(name)
				local C = { name = name }
				C.__index = C
				M.list[#M.list + 1] = C
				return setmetatable({}, C)
			end
			return M
		end
		local reg = require "reg"
		local before = reg.register "Before"
		local vai = require "vai"
		local after = reg.register "After"
		for name, o in pairs { Before = before, After = after } do
			local ok, here = vai.async(function(c) return c.name end, o):join()
			assert(ok and here == name, here)
			ok, here = vai.async(function() return o.name end):join()
			assert(ok and here == name, here)
			ok, here = vai.async(function(c) require "reg".register "Other" return c.name end, o):join()
			assert(ok and here == name, here)
			ok, here = vai.async(function() return o end):join()
			assert(ok and getmetatable(here) == getmetatable(o))
		end
	]=], { raw = true })

	test("that a function has captured is not taken for what it has captured elsewhere", [=[
		package.preload.factory = function()
			local Default = { name = "Default" }
			Default.__index = Default
			local M, current = {}, Default
			function M.use(name)
				current = { name = name }
				current.__index = current
			end
			function M.new() return setmetatable({}, current) end
			return M
		end
		local factory = require "factory"
		local function other()
			require "factory".use "Other"
			return require "factory".new()
		end
		local _, o = vai.async(other):join()
		check.eq(o.name, "Other")
		check.returns(table.pack(vai.async(function()
			return _G.select(2, vai.async(function(c) return c.name end, other()):join())
		end):join()), true, "Other")
		local before = factory.new()
		check.eq(_G.select(2, vai.async(function(c) require "factory".use "Theirs" return c.name end, before):join()),
			"Default")
		factory.use "Mine"
		check.eq(_G.select(2, vai.async(function(c) return c.name end, factory.new()):join()), "Mine")
		check.eq(_G.select(2, vai.async(function(c) return c.name end, before):join()), "Default")
	]=])

	test("is the module's function, where that is one", [=[
		package.preload.counter = function()
			local n = 0
			return function() n = n + 1 return n end
		end
		local counter = require "counter"
		check.eq(counter(), 1)
		check.returns(table.pack(vai.async(function()
			return counter == require "counter", counter(), require "counter"()
		end):join()), true, true, 1, 2)
		check.each_copy({ counter }, function(c) assert(c[1] == require "counter") end)
		check.eq(counter(), 2)
		local function twice(x) return 2 * x end
		package.preload.twice = function() return twice end
		local same = require "twice"
		check.returns(table.pack(vai.async(function() return same(2), same == require "twice" end):join()), true, 4, true)
		check.returns(table.pack(vai.async(function() return twice(3) end):join()), true, 6)
	]=])

end)

describe("a module that a goroutine requires itself", function()
	test("has what the script has set, changed and taken away", [[
		package.preload.settings = function()
			local M = { level = 1, gone = 2, kept = 3 }
			function M.read() return M.level end
			return M
		end
		local function seen() return vai.async(function()
			local M = require "settings"
			return M.read(), M.gone, M.kept, M.more, M.on, M.twice and M.twice()
		end):join() end
		check.returns(table.pack(seen()), true, 1, 2, 3, nil, nil, nil)
		local M = require "settings"
		check.returns(table.pack(seen()), true, 1, 2, 3, nil, nil, nil)
		M.level, M.gone, M.more, M.on = 10, nil, "more", false
		function M.twice() return 2 * M.read() end
		check.returns(table.pack(seen()), true, 10, nil, 3, "more", false, 20)
		M.level, M.gone = 20, 5
		check.returns(table.pack(seen()), true, 20, 5, 3, "more", false, 40)
		M.level, M.gone, M.more, M.on, M.twice = 1, 2, nil, nil, nil
		check.returns(table.pack(seen()), true, 1, 2, 3, nil, nil, nil)
	]])

	test("has it where another module needs it, and in a goroutine's goroutine", [[
		package.preload.inner = function() return { n = 1 } end
		package.preload.outer = function()
			local inner = require "inner"
			return { n = function() return inner.n end }
		end
		require "inner".n = 2
		local outer = require "outer"
		check.returns(table.pack(vai.async(function() return outer.n() end):join()), true, 2)
		check.returns(table.pack(vai.async(function() return require "outer".n() end):join()), true, 2)
		check.returns(table.pack(vai.async(function()
			local _, n = vai.async(function() return require "inner".n end):join()
			return n
		end):join()), true, 2)
		require "inner".n = 3
		check.returns(table.pack(vai.async(function() return outer.n() end):join()), true, 3)
	]])

	test("keeps the state that its own functions set to itself", [[
		package.preload.lazy = function()
			local M, secret = {}
			local function begin() secret, M.ready = 7, true end
			function M.get() if not M.ready then begin() end return secret end
			function M:visit() self.visited = true end
			return M
		end
		local lazy = require "lazy"
		lazy.get()
		lazy:visit()
		lazy.set = 1
		for _ = 1, 2 do
			check.returns(table.pack(vai.async(function()
				local lazy = require "lazy"
				return lazy.ready, lazy.visited, lazy.set, lazy.get()
			end):join()), true, nil, nil, 1, 7)
		end
	]])

	test("is as it was loaded last", [[
		package.preload.again = function() return { level = 1 } end
		local again = require "again"
		again.level = 2
		local function seen() return _G.select(2, vai.async(function() return require "again".level end):join()) end
		check.eq(seen(), 2)
		package.loaded.again = nil
		check.eq(seen(), 1)
		again = require "again"
		check.eq(seen(), 1)
		again.level = 3
		check.eq(seen(), 3)
		package.loaded.again = nil
		again = require "again"
		check.returns(table.pack(vai.async(function() return again.level end):join()), true, 1)
	]])

	test("lacks only what cannot be sent", [[
		package.preload.some = function() return {} end
		local some = require "some"
		local co = coroutine.create(print)
		some.a, some.f = 1, function() return co end
		check.returns(table.pack(vai.async(function()
			local some = require "some"
			return some.a, some.f
		end):join()), true, 1, nil)
	]])

	test("has it under either of two names", [[
		local socket = require "socket"
		socket.answer = 42
		check.returns(table.pack(vai.async(function()
			return require "socket.core".answer, require "socket".answer, type(require "socket".bind)
		end):join()), true, 42, 42, "function")
	]], { needs = "socket" })
end)

describe("the script's globals by names of run time", function()
	test("are there however the code asks for them", [[
		function greet() return "hi" end
		data, n, l = { deep = { 1 } }, "greet", "data"
		local handlers, g, name = { hello = "greet" }, _G, "greet"
		alias = _G
		local function run(k) return _G[k]() end
		local fallback = setmetatable({}, { __index = _G })
		for i, f in ipairs {
			function() return run(name) end,
			function() return run(handlers.hello) end,
			function() return _ENV[name]() end,
			function() return g[name]() end,
			function() return alias[name]() end,
			function() return fallback[name]() end,
			function(_, given) return given[name]() end,
			function(_, _, held) return held.env[name]() end,
			function() return rawget(_G, name)() end,
			function() for k, v in pairs(_G) do if k == name then return v() end end end,
			function() for k, v in next, _ENV do if k == name then return v() end end end,
			function() return load("return greet()")() end,
			function() return assert(_G.select(2, pcall(load, "return greet()")))() end,
			function() local e = setmetatable({}, { __index = _G }) return e[name]() end,
			function() return _G.select(2, vai.async(function(k) return _G[k]() end, name):join()) end,
			function() return (function() return _ENV end)()[name]() end,
			function(k) return _G[k].deep[1] == 1 and "hi" end,
		} do
			local ok, got = vai.async(f, l, _G, { env = _G }):join()
			assert(ok and got == "hi", i .. ": " .. tostring(got))
		end
		check.returns(table.pack(vai.async(pcall, run, name):join()), true, true, "hi")
	]])

	test("are there for functions that channels bring", [[
		function greet() return "hi" end
		held = { _G }
		local c, back = vai.chan(1), vai.chan(1)
		go(function() for f, k in c do back:send({ f(k) }) end end)
		local function ask(f) c:send(f) return back:recv()[1] end
		local k = "greet"
		check.eq(ask(function() return _G[k]() end), "hi")
		c = vai.chan(1)
		go(function() for t in c do back:send({ t.f() }) end end)
		check.eq(ask({ e = _G, f = function() return _ENV[k]() end }), "hi")
	]])

	test("are one with those that the code names, and as they are then", [[
		shared, ch = { n = 1 }, vai.chan(1)
		other = { shared }
		Class = {}
		Class.__index = Class
		function Class:twice() return shared.n * 2 end
		object = setmetatable({}, Class)
		for i = 1, 3 do
			shared.n = i
			check.returns(table.pack(vai.async(function(a, b, c, d)
				_G[d]:send(i)
				return other[1] == _G[a], _G[a].n, getmetatable(_G[b]) == _G[c], _G[b]:twice()
			end, "shared", "object", "Class", "ch"):join()), true, true, i, true, 2 * i)
			check.eq(ch:recv(), i)
		end
	]])

	test("lack what cannot be sent, without harm to the rest", [[
		local failing = setmetatable({}, { __vai_send = function() error "never" end })
		for i = 1, 50 do
			_G["file" .. i] = { io.stdout }
			_G["co" .. i] = coroutine.create(print)
			_G["first" .. i] = { ch = vai.chan(1), f = function() return _G["last" .. i] end, { {}, io.stdout } }
			_G["good" .. i] = { ch = vai.chan(1), f = function() return i end }
			_G["failing" .. i] = failing
		end
		kept = good7
		local ok, err = vai.async(function(lacking)
			for k in pairs(_G) do
				for _, name in ipairs(lacking) do assert(not k:find("^" .. name), k) end
			end
			for i = 1, 50 do
				assert(_G["good" .. i].f() == i)
				_G["good" .. i].ch:send(i)
			end
			assert(kept == _G["good" .. 7])
		end, { "file", "co%d", "first", "failing" }):join()
		assert(ok, err)
		for i = 1, 50 do check.eq(_G["good" .. i].ch:try_recv(), i) end
		check.raises({ "global 'file1'" }, vai.async, function(k) return file1, _G[k] end)
	]])

	test("show what the script has changed and taken away", [[
		function print(...) return "mine", ... end
		dofile = nil
		local list = {}
		for k in pairs(_G) do list[#list + 1] = k end
		check.returns(table.pack(vai.async(function(names)
			local had = {}
			for k in pairs(_G) do had[k] = true end
			for _, k in ipairs(names) do
				if not had[k] then return k end
				had[k] = nil
			end
			return next(had), _G[names.p](1), _G[names.d]
		end, { p = "print", d = "dofile", table.unpack(list) }):join()), true, nil, "mine", nil)
	]])

	test("lack also those whose class has a finalizer and cannot be sent", [[
		Logger, Good = { __gc = function() end, out = io.stdout }, { __gc = function() end, n = 1 }
		log, good, held = setmetatable({}, Logger), setmetatable({}, Good), { { setmetatable({}, Logger) } }
		check.returns(table.pack(vai.async(function(a, b, c, d)
			return _G[a], getmetatable(_G[b]) == _G[c], _G[d], getmetatable(good).n
		end, "log", "good", "Good", "held"):join()), true, nil, true, nil, 1)
		check.raises({ "FILE" }, vai.async, function(k) return log, _G[k] end)
	]])

	test("are all there in goroutines of a goroutine that has used others of the same libraries", [[
		local function outer(f)
			local _ = { math.pi, table.concat, string.len, os.time, io.write, utf8.char, coroutine.running, debug.getinfo }
			return _G.select(2, vai.async(f):join())
		end
		for _, f in ipairs {
			function() return math.abs end, function() return table.unpack end, function() return string.rep end,
			function() return os.clock end, function() return io.lines end, function() return utf8.len end,
			function() return coroutine.wrap end, function() return debug.traceback end,
		} do
			check.eq(type((_G.select(2, vai.async(outer, f):join()))), "function")
		end
	]])

	test("stay taken away in goroutines of goroutines", [[
		dofile, loadfile = nil, function() return "mine" end
		check.returns(table.pack(vai.async(function()
			local had = dofile or loadfile()
			load = nil
			return had, _G.select(2, vai.async(function() return dofile, loadfile(), load, type(print) end):join())
		end):join()), true, "mine", nil, "mine", nil, "function")
		os.other, os.exit = os.exit, nil
		function string.trim() return "trimmed" end
		check.returns(table.pack(vai.async(function()
			return os.exit, _G.select(2, vai.async(function() return os.exit, os.other ~= nil, (" "):trim() end):join())
		end):join()), true, nil, nil, true, "trimmed")
		check.returns(table.pack(vai.async(function(k, l)
			return _G[k], _G.select(2, vai.async(function(m, n) return _G[m], _G[n](), type(_G.print) end, k, l):join())
		end, "dofile", "loadfile"):join()), true, nil, nil, "mine", "function")
	]])

	test("stay away where the code names what it uses", [[
		secret = 1
		local env = { n = 2 }
		check.returns(table.pack(vai.async(function()
			return load("return n", "=n", "t", env)(), rawget(debug.getregistry()[2], "secret")
		end):join()), true, 2, nil)
	]])
end)

describe("a class that only a module's functions have", function()
	local private = [[
		package.preload.private = function()
			local mt, chosen = { __name = "private" }, { __index = {} }
			local Base = { __index = { kind = "base" } }
			local Derived = setmetatable({ __index = setmetatable({}, Base) }, { __call = function() return 1 end })
			local function init(o) return setmetatable(o, Derived) end
			return {
				new = function(x) return setmetatable({ x = x }, mt) end,
				is = function(o) return getmetatable(o) == mt end,
				derived = function() return init({}) end,
				is_derived = function(o) return getmetatable(o) == Derived end,
				choose = function(c) chosen = c end,
				chosen = function() return setmetatable({}, chosen) end,
				is_chosen = function(o) return getmetatable(o) == chosen end,
			}
		end
		package.preload.callable = function()
			local mt = { __index = { n = 1 } }
			return function(o) return o and getmetatable(o) == mt or setmetatable({}, mt) end
		end
		local private, callable = require "private", require "callable"
	]]

	test("is that of the module everywhere", private .. [[
		local o = private.new(1)
		local ok, a, b, back = vai.async(function(p)
			return private.is(o), private.is(p), private.new(2)
		end, private.new(3)):join()
		assert(ok and a and b and private.is(back) and back.x == 2)
		local there, here = vai.chan(), vai.chan()
		go(function()
			for m in there do here:send({ private.is(m[1]), private.is_derived(m[2]), m, private.new(2), private.derived() }) end
		end)
		for _ = 1, 3 do
			there:send({ o, private.derived() })
			local r = here:recv()
			assert(r[1] and r[2] and private.is(r[3][1]) and private.is_derived(r[3][2]))
			assert(private.is(r[4]) and private.is_derived(r[5]) and r[5].kind == "base")
		end
		check.returns(table.pack(vai.async(function(p) return require "private".is(p), callable(p) == true end, o):join()),
			true, true, false)
	]])

	test("is that of a module that is a function", private .. [[
		local o = callable()
		local ok, mine, back = vai.async(function(p) return require "callable"(p), require "callable"() end, o):join()
		assert(ok and mine == true and callable(back) == true)
	]])

	test("stays what it is where the module assigns the local", private .. [[
		local Own = { __index = { own = true } }
		private.choose(Own)
		local ok, own, back = vai.async(function(p) return p.own, p end, private.chosen()):join()
		assert(ok and own == true and getmetatable(back) == Own)
		check.returns(table.pack(vai.async(function(p)
			local private = require "private"
			return private.is_chosen(p), private.is_chosen(private.chosen()), private.chosen().own
		end, private.chosen()):join()), true, false, true, nil)
	]])
end)

describe("a table that the script has put into a module", function()
	test("is there where the code names it", [[
		package.preload.plain = function()
			local M = { own = { 1 } }
			function M.open() M.cache = { "mine" } return M.cache end
			return M
		end
		local plain = require "plain"
		plain.open()
		plain.limits, plain.empty, plain.own = { cpu = 1 }, {}, plain.own
		plain.Class = { __index = { hi = function() return "hi" end } }
		for i = 1, 3 do
			plain.limits.cpu = i
			local ok, cpu, own, cache, empty, hi, there = vai.async(function()
				return plain.limits.cpu, plain.own[1], plain.cache, plain.empty,
					setmetatable({}, plain.Class):hi(), plain.limits
			end):join()
			assert(ok and cpu == i and own == 1 and cache == nil and next(empty) == nil and hi == "hi" and there.cpu == i)
		end
		check.returns(table.pack(vai.async(function()
			local e = plain.empty
			return _G.select(2, vai.async(function() return plain.limits.cpu, plain.empty == e, type(e) end):join())
		end):join()), true, 3, true, "table")
		whole = plain
		check.returns(table.pack(vai.async(function() return whole.limits.cpu end):join()), true, 3)
	]])

	test("before vai was loaded is told from what the module has", [[
		local file = arg[1] .. "/early.lua"
		local f = assert(io.open(arg[1] .. "/hasnull.lua", "w"))
		f:write "return { null = setmetatable({}, { __name = 'null' }), empty = {} }"
		f:close()
		f = assert(io.open(file, "w"))
		f:write(("package.path = %q .. '/?.lua;' .. package.path\n"):format(arg[1]), [=[
			package.preload.made = function() return { shared = {} } end
			local made, hasnull = require "made", require "hasnull"
			made.empty, made.filled, made.Class = {}, { 1 }, { __index = { n = 4 } }
			local mine = { null = {}, shared = {} }
			local vai = require "vai"
			local e = made.empty
			local ok, a, b, c, d, n, s = vai.async(function(null)
				return made.empty, made.filled[1], e, null == hasnull.null, setmetatable({}, made.Class).n, made.shared
			end, hasnull.null):join()
			assert(ok, a)
			assert(type(a) == "table" and b == 1 and type(c) == "table" and d and n == 4 and s == made.shared and mine)
			ok, a = vai.async(function() return hasnull.null end):join()
			assert(ok and a == hasnull.null)
			print "ok"
		]=])
		f:close()
		local p = io.popen(("%s %s 2>&1"):format("lua5.4", file))
		check.eq(p:read "a", "ok\n")
	]])
end)

describe("methods of strings by names of run time", function()
	test("are there where they are kept or returned to be called elsewhere", [[
		function string.trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end
		local n = "trim"
		local function get(s) local f = s[n] return f end
		local function apply(f, s) return f(s) end
		for i, f in ipairs {
			function(s) return get(s)(s) end,
			function(s) local f = get(s) return apply(f, s) end,
			function(s) local t = {} t.f = s[n] return t.f(s) end,
			function(s) local t = { s[n] } return t[1](s) end,
			function(s) local f = s[n] return (function() return f(s) end)() end,
			function(s) return apply(s[n], s) end,
			function(s) local f f = s[n] local function g() return f end return g()(s) end,
			function(s) return table.pack(s[n])[1](s) end,
			function(s) for f in function(_, last) return not last and s[n] or nil end do return f(s) end end,
		} do
			local ok, got = vai.async(f, " x "):join()
			assert(ok and got == "x", i .. ": " .. tostring(got))
		end
	]])
end)

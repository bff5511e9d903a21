-- SPDX-License-Identifier: MIT
-- Attempts to get out of a sandbox. Each is code that runs in a goroutine and returns something true if it has got what
-- it must not have; an error or nothing means that it has not. It sees `vai`, `canary` (the name of a file that must
-- never exist) and `use(x)`: tries whether x, a function or a table of them, makes that file, and returns whether
-- it is anything at all. sandbox_test.c runs them.
local attempts = {}
local function attempt(name, code)
	attempts[#attempts + 1] = { name = name, code = code }
end

-- stylua: ignore start
-- ---- names ----
attempt("globals", "return use(io) or use(os.execute) or use(dofile) or use(loadfile) or use(package)")
attempt("os", [[
	return use(os.remove) or use(os.rename) or use(os.tmpname) or use(os.getenv) or use(os.exit) or
	use(os.setlocale)]])
attempt("debug", "for k in pairs(debug) do if k ~= 'traceback' then return k end end")
attempt("_G by pairs", [[
	for k, v in pairs(_G) do if k == 'io' or k == 'package' or k == 'dofile' then return v end end]])
attempt("_G by next", [[
	local k, v repeat k, v = next(_G, k) if k == 'io' or k == 'loadfile' then return v end until not k]])
attempt("_G by rawget", "return use(rawget(_G, 'io')) or use(rawget(_G, 'dofile')) or use(rawget(os, 'execute'))")
attempt("names after a collection", [[
	local t = {} for i = 1, 1e4 do t[i % 10] = {} end return io or os.execute or dofile]])
attempt("names set and taken again", "io = 1 io = nil os.execute = 1 os.execute = nil return io or os.execute")
attempt("_G filled by rawset", [[
	rawset(_G, 'io', nil) rawset(os, 'execute', nil) return rawget(_G, 'io') or os.execute]])
attempt("_G with another metatable", [[
	setmetatable(_G, { __index = function(t, k) return rawget(t, k) end }) return io or dofile]])
attempt("os completed", "for _ in pairs(os) do end setmetatable(os, {}) return os.execute or os.remove")
attempt("metatable of _G", "local mt = getmetatable(_G) return mt and use(mt.__index)")
attempt("metatable of os", "return getmetatable(os)")
attempt("string metatable", "local s = getmetatable('') return use(s.__index.execute) or use(s.__index.open)")
attempt("methods of strings", "return ('x').open or ('x').execute or ('x').popen")
attempt("_ENV of a function", "local function f() return _ENV end return f().io or f()._G.io or f()._G._G.dofile")
attempt("_ENV nil", "local _ENV = setmetatable({}, { __index = function() return nil end }) return io")

-- ---- vai ----
attempt("vai's files", "return use(vai.fs) or use(vai.stdin) or use(vai.stdout) or use(vai.stderr) or use(vai.tty)")
attempt("vai's network", "return vai.net or vai.socket")
attempt("vai's processes", "return use(vai.process) or vai.signal")
attempt("vai's settings", [[
	return vai.maxprocs or vai.on_panic or vai.lock_thread or vai.compat or vai._extension or vai.dump]])
attempt("vai's seeded runs, of which the process has one at a time", "return vai.test or rawget(vai, 'test')")
attempt("vai by pairs", [[
	for k, v in pairs(vai) do if k == 'fs' or k == 'net' or k == 'process' then return v end end]])
attempt("vai by rawget", "return rawget(vai, 'fs') or rawget(vai, 'process') or rawget(require 'vai', 'net')")
attempt("vai required anew", "return require('vai').fs or require('vai').process")
attempt("vai's extensions", "local ok, m = pcall(require, 'vai.http') return ok and m")
attempt("vai completed", "for _ in pairs(vai) do end return vai.fs or vai.net")

-- ---- require ----
attempt("require io", "local ok, m = pcall(require, 'io') return ok and use(m)")
attempt("require os", "return require('os').execute or require('os').remove")
attempt("require package", "local ok, m = pcall(require, 'package') return ok and m")
attempt("require debug", "return require('debug').getregistry or require('debug').sethook")
attempt("require a C module", "local ok, m = pcall(require, 'lfs') return ok and m")
attempt("require a path", "local ok, m = pcall(require, '../../etc/passwd') return ok and m")
attempt("require an absolute path", "local ok, m = pcall(require, '/etc/hostname') return ok and m")
attempt("require with __tostring", [[
	local ok, m = pcall(require, setmetatable({}, { __tostring = function() return 'io' end })) return
	ok and m]])
attempt("require a number", "local ok, m = pcall(require, 1) return ok and m")
attempt("require with a zero", "local ok, m = pcall(require, 'io\\0') return ok and m")
attempt("package.loaded by _G", "return _G.package or _G._LOADED or _LOADED")
attempt("require twice", "pcall(require, 'io') local ok, m = pcall(require, 'io') return ok and m")
attempt("require in a coroutine", [[
	return coroutine.wrap(function() local ok, m = pcall(require, 'io') return ok and m end)()]])
attempt("global require replaced", "local r = require require = nil local ok, m = pcall(r, 'io') return ok and m")

-- ---- load ----
attempt("load of string.dump", "return load(string.dump(function() end))")
attempt("load of stripped code", "return load(string.dump(function() end, true))")
attempt("load of bytecode with mode b", "return load(string.dump(function() end), 'x', 'b')")
attempt("load of bytecode with mode bt", "return load(string.dump(function() end), 'x', 'bt')")
attempt("load of bytecode in pieces", [[
	local s, i = string.dump(function() end), 0
	return load(function() i = i + 1 return i <= #s and s:sub(i, i) or nil end)]])
attempt("load of hostile bytecode", "return load('\\27Lua\\x54\\0\\x19\\x93\\r\\n\\x1a\\n' .. ('\\255'):rep(64))")
attempt("load in a coroutine", "return coroutine.wrap(load)(string.dump(function() end))")
attempt("load by pcall", "local ok, f = pcall(load, string.dump(function() end), 'x', 'b') return ok and f")
attempt("load captured", [[
	local load = load
	return select(2, vai.async(function() return load(string.dump(function() end)) ~= nil end):join())]])
attempt("load sent", [[
	local ch = vai.chan(1)
	ch:send(load)
	return ch:recv()(string.dump(function() end))]])
attempt("load of names", "return load('return io or os.execute or dofile')()")
attempt("load with an env", "return load('return io or dofile', 'x', 't', setmetatable({}, { __index = _G }))()")
attempt("mode with __tostring", [[
	return load(string.dump(function() end), 'x', setmetatable({}, { __tostring = function() return 'b'
	end }))]])

-- ---- goroutines ----
attempt("a nested goroutine", [[
	return select(2, vai.async(function() return io or os.execute or package end):join())]])
attempt("three deep", [[
	local function down(n)
		local vai = require "vai"
		if n == 0 then return (io or os.execute or dofile or vai.fs) ~= nil end
		return select(2, vai.async(down, n - 1):join())
	end
	return down(3)]])
attempt("spawn with libs", [[
	local all = { "io", "os", "debug", "package", "string" }
	return select(2, vai.spawn({ libs = all }, function()
		return (io or package or (os and os.execute) or (debug and debug.getregistry)) ~= nil
	end):join())]])
attempt("spawn with more memory", [[
	local task = vai.spawn({ memory = 1 << 40 }, function() local s = ("x"):rep(1 << 25) return #s end)
	return task:join() == true]])
attempt("spawn with more time", [[
	local task = vai.spawn({ cpu = 1e6 }, function() while true do end end)
	local ok, err = task:join()
	return ok or not tostring(err):find("cpu time", 1, true)]])
attempt("a template of a function", [[
	local function f() return io or os.execute or package end
	for _ = 1, 40 do if select(2, vai.async(f):join()) then return true end end]])
attempt("a timer", [[
	local ch = vai.chan(1)
	vai.timer(0, function() ch:send((io or os.execute or require("vai").fs) ~= nil) end)
	return ch:recv()]])
attempt("a context's end", [[
	local ch, ctx, cancel = vai.chan(1), vai.context():with_cancel()
	ctx:after(function() ch:send((io or os.execute) ~= nil) end)
	cancel()
	return ch:recv(5)]])
attempt("a group", [[
	local g = vai.group() local t = g:go(function() return io or os.execute end) g:wait() return
	select(2, t:join())]])
attempt("a supervisor", [[
	local ch = vai.chan(1)
	local s <close> = vai.supervisor()
	s:child { start = function() ch:send((io or os.execute) ~= nil) vai.sleep(60) end }
	return ch:recv(5)]])
attempt("once", "return vai.once_value(function() return io or os.execute end)()")
attempt("defer", "local got do local d <close> = vai.defer(function() got = io or os.execute end) end return got")
attempt("coroutines", "return coroutine.wrap(function() coroutine.yield(io or os.execute or dofile) end)()")
attempt("a coroutine in a coroutine", [[
	return coroutine.wrap(function() return coroutine.wrap(function() return io or package end)() end)()]])
attempt("an error handler", "return select(2, xpcall(error, function() return io or os.execute or package end))")
attempt("a closer", [[
	local got do local c <close> = setmetatable({}, { __close = function() got = io or os.execute end })
	end return got]])
attempt("a closer after an error", [[
	local got
	pcall(function()
		local c <close> = setmetatable({}, { __close = function() got = io or os.execute or dofile end })
		error("x")
	end)
	return got]])
attempt("a sort's comparator", [[
	local got table.sort({ 2, 1 }, function(a, b) got = io or os.execute return a < b end) return got]])
attempt("gsub's function", "local got ('x'):gsub('x', function() got = io or package end) return got")

-- ---- values ----
attempt("a finalizer", "return setmetatable({}, { __gc = function() end })")
attempt("a finalizer that comes by a channel", [[
	local ch, hit = vai.chan(1), vai.atomic(0)
	local mt = {}
	local t = setmetatable({}, mt)
	mt.__gc = function() hit:add(1) end
	ch:send(t)
	t = nil
	local copy = ch:recv()
	copy = nil
	for i = 1, 3e4 do local x = { {}, {}, {} } end
	return hit:get() ~= 0]])
attempt("a finalizer that is captured", [[
	local hit, mt = vai.atomic(0), {}
	local t = setmetatable({}, mt)
	mt.__gc = function() hit:add(1) end
	vai.async(function() return #t end):join()
	return hit:get() ~= 0]])
attempt("a finalizer behind closed io", "return setmetatable(setmetatable({}, {}), { __gc = print })")
attempt("metatable of a channel", "local mt = getmetatable(vai.chan()) return type(mt) == 'table' and mt")
attempt("metatable of a function", "return getmetatable(print)")
attempt("metatable of a coroutine", "return getmetatable(coroutine.create(print))")
attempt("__vai_send", [[
	local ch = vai.chan(1)
	ch:send(setmetatable({}, { __vai_send = function() return nil, load, "return io or os.execute" end }))
	local f = ch:recv()
	return type(f) == "function" and f()]])
attempt("__vai_send of names", [[
	local ch = vai.chan(1)
	ch:send(setmetatable({}, { __vai_send = function() return nil, require, "io" end }))
	local ok, m = pcall(ch.recv, ch)
	return ok and type(m) == "table" and m.open]])
attempt("a fake module", [[
	local ch = vai.chan(1)
	ch:send(os)
	local got = ch:recv()
	return got.execute or got.remove]])
attempt("a library through a channel", "local ch = vai.chan(1) ch:send(string) return ch:recv().execute")
attempt("_G through a channel", [[
	local ch = vai.chan(1) local ok = pcall(ch.send, ch, _G) return ok and use(ch:recv().io)]])
attempt("a shared map", [[
	local m = vai.map() m:set('f', load) return m:get('f')(string.dump(print and function() end))]])
attempt("traceback", "return type(debug.traceback()) ~= 'string'")
attempt("print with a bad tostring", "tostring = function() return io end print(1) return io")
attempt("a symbol", "local s = vai.symbol('io') return type(s) == 'table' and use(s)")
-- ---- finalizers by other ways ----
-- Each leaves garbage whose metatable got a __gc after it was set, here or on the way; h counts calls.
local head = [[
	local h, mt, t = vai.atomic(), {}
	t = setmetatable({}, mt)
	mt.__gc = function() h:add(1) end
	local function called()
		t = nil
		for i = 1, 3e4 do local x = { {}, {}, {} } end
		return h:get() ~= 0
	end
]]
attempt("a finalizer that is a result", head .. "vai.async(function() return t end):join() return called()")
attempt("a finalizer that is an error", head .. "vai.async(function() error(t) end):join() return called()")
attempt("a finalizer that is a reason", head .. [[
	local task = vai.async(vai.sleep, 60) task:cancel(t) task:join() return called()]])
attempt("a finalizer in a map", head .. "local m = vai.map() m:set(1, t) m:get(1) return called()")
attempt("a finalizer in a context", head .. [[
	local ctx, cancel = vai.context():with_value(1, t):with_cancel() ctx:value(1) cancel(t) ctx:cause()
	return called()]])
attempt("a finalizer in a table with a class", head .. [[
	mt.__index = mt local ch = vai.chan(1) ch:send({ t, { [t] = t } }) ch:recv() return called()]])
attempt("a finalizer at a goroutine's end", head .. [[
	vai.async(function() G = t end):join() vai.async(function() G = t error("x") end):join() return called()]])
attempt("a finalizer in a closer's table", head .. [[
	mt.__close = function() end pcall(function() local c <close> = t error("x") end) return called()]])
attempt("a finalizer by __vai_send", head .. [[
	local ch = vai.chan(1)
	ch:send(setmetatable({}, { __vai_send = function() return nil, setmetatable, {}, { __gc = print } end }))
	local ok, got = pcall(ch.recv, ch)
	return ok and getmetatable(got).__gc]])
for _, value in ipairs({ "true", "false", "0" }) do
	attempt("a finalizer in the place of " .. value, [[
		local h, mt = vai.atomic(), { __gc = ]] .. value .. [[ }
		local ok, t = pcall(setmetatable, {}, mt)
		mt.__gc = function() h:add(1) end
		t = nil
		for i = 1, 3e4 do local x = { {}, {}, {} } end
		return h:get() ~= 0]])
end
attempt("a finalizer that is inherited", [[
	local h = vai.atomic()
	setmetatable({}, setmetatable({}, { __index = { __gc = function() h:add(1) end } }))
	for i = 1, 3e4 do local x = { {}, {}, {} } end
	return h:get() ~= 0]])

-- ---- names by other ways ----
attempt("a reason that is a function", [[
	local task = vai.async(vai.sleep, 60) task:cancel(function() return io or os.execute end)
	return select(2, task:join())()]])
attempt("a closer of what is canceled", [[
	local ch, up = vai.chan(1), vai.chan()
	local task = vai.async(function()
		local c <close> = vai.defer(function() ch:send((io or package or os.execute) ~= nil) end)
		up:send(true)
		vai.sleep(60)
	end)
	up:recv() task:cancel()
	return ch:recv(5)]])
attempt("functions of a group's map", "return vai.group():map({ 1 }, function() return io or os.execute end)[1]")
attempt("load's reader", "local got load(function() got = io or os.execute end) return got")
attempt("a result of __vai_send", [[
	local task = vai.async(function()
		return setmetatable({}, { __vai_send = function() return nil, load, string.dump(print and function() end) end })
	end)
	local ok, f = task:join()
	return ok and type(f) == "function"]])
attempt("an error of __vai_send", [[
	local task = vai.async(function()
		error(setmetatable({}, { __vai_send = function() return nil, require, "io" end }))
	end)
	local ok, got = pcall(task.join, task)
	return ok and type(got) == "table"]])
attempt("another's strings", [[
	vai.async(function() getmetatable("").__index = nil string.rep = function() return "bad" end end):join()
	return ("x").rep == nil or ("x"):rep(2) == "bad"]])

-- ---- bounds by other ways: 64 goroutines, of 16 MiB and 0.1 seconds each ----
-- vai.count still counts those that have made room and not quite ended.
attempt("more goroutines by timers", [[
	for i = 1, 200 do vai.timer(0, vai.sleep, 0.05) end vai.sleep(0.02) return vai.count() > 90]])
attempt("more goroutines by a context", [[
	local ctx, cancel = vai.context():with_cancel()
	for i = 1, 200 do ctx:after(vai.sleep, 0.05) end
	cancel() vai.sleep(0.02)
	return vai.count() > 90]])
attempt("more goroutines by themselves", [[
	local function breed(n)
		for i = 1, 9 do if n > 0 then pcall(vai.async, breed, n - 1) end end
		vai.sleep(0.02)
	end
	breed(3)
	return vai.count() > 90]])
for name, code in pairs({
	["an error handler"] = "xpcall(error, function() while true do end end)",
	["a coroutine"] = "coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()",
	["a closer"] = "local c <close> = vai.defer(function() while true do end end) while true do end",
	["a metamethod"] = "return setmetatable({}, { __index = function() while true do end end }).x",
	["tostring"] = "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
	["load's reader"] = "load(function() return ' ' end)",
	["a comparator"] = [[
		local t = {} for i = 1, 1e4 do t[i] = i end
		while true do table.sort(t, function(a, b) return a < b end) end]],
}) do
	attempt("more time by " .. name, [[
		local task = vai.async(function() while true do pcall(function() ]] .. code .. [[ end) end end)
		return task:join(60) == nil]])
end
attempt("more memory in messages", [[
	local ch = vai.chan(1000)
	return vai.async(function() for i = 1, 1000 do ch:send(("x"):rep(1e5)) end end):join()]])
attempt("more memory in objects", [[
	return vai.async(function() local t = {} for i = 1, 1e6 do t[i] = vai.mutex() end end):join()]])
attempt("more memory in timers", [[
	return vai.async(function() for i = 1, 1e6 do vai.timer(1000, print, ("x"):rep(100)) end end):join()]])
attempt("more memory in contexts", [[
	return vai.async(function()
		local ctx = vai.context() for i = 1, 1e6 do ctx = ctx:with_value(i, ("x"):rep(100)) end
	end):join()]])
-- ---- names, once more ----
attempt("vai's modules", [[
	for _, name in ipairs{ "http", "tls", "nats", "test", "compat", "socket", "http.core", "tls.core", "nats.core" } do
		local ok, m = pcall(require, "vai." .. name)
		if ok and m then return name end
	end]])
attempt("names with zeros and pieces", [[
	local n = "i" .. "o"
	return rawget(_G, n) or _G[n] or _G["io\0"] or _G[("io\0"):sub(1, 2)] or vai["f" .. "s"] ]])
attempt("_G by vai.next", [[
	for k, v in vai.next, _G do if k == 'io' or k == 'dofile' or k == 'package' then return v end end]])
attempt("vai by vai.next", [[
	for k, v in vai.next, vai do if k == 'fs' or k == 'net' or k == 'on_panic' then return v end end]])
attempt("_ENV of another shape", [[
	local env = setmetatable({}, { __index = function(t, k) return _G[k] end })
	local f = load("return io or package or dofile or loadfile", "x", "t", env)
	return f() or select(2, vai.async(f):join()) and true]])
attempt("a global of a removed name", [[
	io = { open = true }
	local _, got = vai.async(function() return type(io) == "table" and io.open ~= true end):join()
	io = nil
	return got]])
attempt("_G frozen and thawed", [[
	local ok, f = pcall(vai.freeze, _G)
	return ok and use(vai.thaw(f).io)]])
attempt("libraries frozen", [[
	for _, t in ipairs{ string, os, vai, getmetatable("") } do
		local ok, f = pcall(vai.freeze, t)
		if ok and (f.execute or f.fs) then return true end
	end]])
attempt("upvalues of vai's functions", "return use(rawget(_G, 'debug') and debug.getupvalue)")
attempt("a traceback's metamethods", [[
	local got
	local t = setmetatable({}, { __tostring = function() got = io or os.execute end, __name = io })
	debug.traceback(t) debug.traceback("x", 1e9) debug.traceback(coroutine.create(print), "x")
	return got]])

-- ---- objects of the wrong kind ----
local objects = [[
	local ch = vai.chan(2)
	local objects = { ch, vai.async(type, 1), vai.waitgroup(), vai.timer(60, type, 1), vai.ticker(60), vai.mutex(),
		vai.rwmutex(),
		vai.cond(vai.mutex()), vai.once(), vai.semaphore(1), vai.atomic(0), vai.map(), vai.buffer(64), vai.context(),
		vai.group(), vai.freeze({ 1, a = 2 }), vai.symbol("x") }
	local methods = { "recv", "try_send", "try_recv", "close", "cap", "is_closed", "join", "cancel", "done", "status",
		"id", "add", "wait", "go", "try_lock", "unlock", "call", "signal", "broadcast", "try_acquire", "release",
			"get", "set",
		"swap", "cas", "delete", "update", "sub", "byte", "pack", "unpack", "slice", "fill", "resize", "load64", "add64",
		"cas64", "with_cancel", "value", "err", "cause", "after", "try_go", "limit", "context", "stop", "reset", "chan",
		"read", "write", "accept", "kill", "pid" }
]]
attempt("methods on the wrong object", objects .. [[
	for _, o in ipairs(objects) do
		for _, m in ipairs(methods) do
			local ok, f = pcall(function() return o[m] end)
			for _, other in ipairs(ok and type(f) == "function" and objects or {}) do
				if m ~= "join" and m ~= "wait" and m ~= "recv" then pcall(f, other) pcall(f, other, other) end
			end
			if ok and type(f) == "function" then pcall(f) pcall(f, {}) pcall(f, 1) pcall(f, "x", "x", "x") end
		end
	end]])
attempt("methods that are captured", objects .. [[
	local f = ch.try_send
	return select(2, vai.async(function()
		for _, x in ipairs{ vai.mutex(), {}, "x", 1, print } do if pcall(f, x, 1) then return true end end
	end):join())]])
attempt("metatables of objects", objects .. [[
	for _, o in ipairs(objects) do
		local mt = getmetatable(o)
		if type(mt) == "table" and o ~= objects[#objects] then return true end
		if pcall(setmetatable, o, {}) and type(o) == "userdata" then return true end
		pcall(rawset, o, "send", type) pcall(rawget, o, "send") pcall(next, o) pcall(rawlen, o)
	end]])
attempt("metamethods of objects", objects .. [[
	for _, o in ipairs(objects) do
		for _, f in ipairs{ "return o.x.y", "return o + o", "return o .. o", "return #o", "return o < o", "return -o",
				"o.x = 1", "for _ in o do break end", "return o == ch", "local c <close> = o" } do
			if f:find("for ", 1, true) == nil then pcall(load("local o, ch = ... " .. f), o, ch) end
		end
	end]])
attempt("numbers at their ends", objects .. [[
	local ends = { 0, -1, 1 << 62, math.mininteger, math.maxinteger, 0 / 0, 1 / 0, -1 / 0, 1e308, 2.5, "7", "x" }
	local b = vai.buffer(64)
	for _, m in ipairs{ "sub", "byte", "set", "fill", "resize", "slice", "load64", "add64", "cas64", "pack", "unpack" } do
		for _, x in ipairs(ends) do
			for _, y in ipairs(ends) do pcall(b[m], b, x, y, x) pcall(b[m], b, "<i8", x) end
			if #b > 1 << 30 then return true end
			pcall(b.resize, b, 64)
		end
	end
	for _, x in ipairs(ends) do
		pcall(vai.chan, x) pcall(vai.semaphore, x) pcall(vai.atomic, x) pcall(vai.ticker, x)
		local wg = vai.waitgroup() pcall(wg.add, wg, x)
		local s = vai.semaphore(1) pcall(s.release, s, x) pcall(s.try_acquire, s, x)
		local t = vai.timer(60, type, 1) pcall(t.reset, t, x) t:stop()
		pcall(vai.group().limit, vai.group(), x)
	end]])

-- ---- functions in odd places ----
attempt("starters that are started", [[
	vai.async(vai.async, vai.async, vai.async, type, 1):join()
	local _, t = vai.async(vai.async, function() return (io or os.execute) ~= nil end):join()
	return type(t) == "userdata" and select(2, t:join())]])
attempt("a yield that is started", "return (vai.async(coroutine.yield, 1):join(1)) and io")
attempt("a wrapped coroutine that is started", [[
	local ok, task = pcall(vai.async, coroutine.wrap(function() return io end))
	return ok and select(2, task:join())]])
attempt("a coroutine that is sent", [[
	local ch = vai.chan(1)
	return pcall(ch.send, ch, coroutine.create(function() return io end)) and type(ch:recv()) == "thread" and io]])
attempt("select's cases", [[
	local got
	local case = setmetatable({}, { __index = function(_, k) got = io or os.execute return nil end, __len =
		function() return 1 << 40 end })
	pcall(vai.select, { case, default = true }) pcall(vai.select, { { vai.chan(1), send = case }, default = true })
	pcall(vai.select, { default = true, [1 << 40] = vai.chan() })
	return got]])
attempt("select's default", [[
	local got pcall(vai.select, { { vai.chan() }, default = function() got = io or os.execute end }) return got]])
attempt("a context's functions", [[
	local ch = vai.chan(4)
	local ctx, cancel = vai.context():with_value("f", load):with_cancel()
	ctx:after(function() ch:send(ctx:value("f")(string.dump(type and function() end)) ~= nil) end)
	cancel(function() return io end)
	return ch:recv(5) or ctx:cause()()]])
attempt("map:update's function", [[
	local m, got = vai.map()
	m:set(1, load)
	m:update(1, function(f) got = f(string.dump(function() end)) or io return f end)
	pcall(m.update, m, 1, function() m:update(1, function() return io end) return load end)
	return got]])
attempt("a group's and a supervisor's ends", [[
	local got
	pcall(function()
		local g <close> = vai.group()
		g:go(function() error(setmetatable({}, { __tostring = function() return io end, __close = function() got = io
			end })) end)
	end)
	pcall(function() local s <close> = vai.supervisor() s:child{ start = error, args = { { load } } }
		vai.sleep(0.001) end)
	return got]])
attempt("once's function", [[
	local o, got = vai.once() pcall(o.call, o, function() got = io or package error(o) end) return got]])
attempt("guards and with", [[
	local m, got = vai.mutex()
	pcall(m.with, m, function() local g <close> = m:guard(0) got = io end)
	m:with(function() got = got or os.execute end)
	return got]])
attempt("iterators with metamethods", [[
	local got
	local t = setmetatable({}, { __pairs = function() got = io or dofile return next, {}, nil end, __call =
		function() got = got or io end })
	for _ in pairs(t) do end for _ in t do end table.concat(setmetatable({}, { __len = function() return 0 end }))
	return got]])
attempt("__vai_send of an object's method", [[
	local ch = vai.chan(2)
	for _, f in ipairs{ ch.recv, vai.go, vai.async, setmetatable, load, coroutine.wrap, pcall } do
		ch:try_send(setmetatable({}, { __vai_send = function() return nil, f, function() return io or os.execute end end }))
		local ok, got = pcall(ch.try_recv, ch)
		if ok and type(got) == "userdata" and got.join and select(2, got:join()) then return true end
	end]])
attempt("keys that are functions", [[
	local ch = vai.chan(1)
	ch:send({ [load] = 1, [print] = setmetatable({}, { __index = load }) })
	for k in pairs(ch:recv()) do if k(string.dump(type and function() end)) then return true end end]])
attempt("a table that holds itself in all ways", [[
	local t, mt, ch = {}, {}, vai.chan(1)
	mt.__index = mt mt.__metatable = t mt.t = t t.mt = mt t[t] = mt mt[mt] = t t.f = function() return t, mt, io end
	setmetatable(t, mt)
	ch:send(t)
	return select(3, ch:recv().f())]])
attempt("classes that change on the way", [[
	local class, ch = { x = 1 }, vai.chan(1)
	class.__index = class
	for i = 1, 30 do
		class["m" .. i % 3] = function() return io or os.execute end
		ch:send(setmetatable({}, class))
		if ch:recv()["m" .. i % 3]() then return true end
	end]])

-- ---- depth ----
attempt("deep messages", [[
	local t, ch = {}, vai.chan(1)
	for i = 1, 1e5 do t = { t, setmetatable({}, { __index = i % 1000 == 0 and t or nil }) } end
	pcall(ch.send, ch, t) pcall(ch.try_recv, ch) pcall(vai.freeze, t)]])
attempt("deep upvalues", [[
	local f = function() end
	for i = 1, 2e4 do local g = f f = function() return g end end
	pcall(function() vai.async(f):join() end)]])
attempt("channels in channels", "local ch = vai.chan(1) for i = 1, 2e4 do local c = vai.chan(1) c:send(ch) ch = c end")
attempt("deep source", [[
	for _, s in ipairs{ "(", "{", "a.b[", "function() ", "-", "not ", "a=" } do pcall(load, s:rep(1e5)) pcall(load,
		"return " .. s:rep(1e5)) end]])
attempt("deep calls in all ways", [[
	local function a() return a() + 1 end pcall(a)
	local function b() return pcall(b) end
	local function c() return (("x"):gsub("x", c)) end pcall(c)
	local function d() return coroutine.wrap(d)() end pcall(d)
	local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end pcall(function()
		return t[1] end)
	local e = setmetatable({}, {}) getmetatable(e).__concat = function(x, y) return x .. y end pcall(function()
		return e .. e end)
	pcall(xpcall, error, function(x) error(x) end)
	local s = setmetatable({}, { __tostring = function(s) return tostring(s) end }) pcall(tostring, s)
	pcall(table.sort, { 3, 2, 1 }, function() local f = function() return c() end return f() end)]])
attempt("errors in error handlers", [[
	local function h(e) error(e) end
	local got = { xpcall(h, h, h) }
	xpcall(error, coroutine.yield) xpcall(error, vai.async) xpcall(error, vai.sleep, 0) xpcall(error, load)
	return type(got[2]) == "function"]])
attempt("orders that are none", [[
	local t = {} for i = 1, 2000 do t[i] = i * 7919 % 2003 end
	pcall(table.sort, t, function() return true end)
	pcall(table.sort, t, function(a, b) if a == 7 then error(b) end t[a] = nil return #t % 2 == 0 end)
	pcall(table.unpack, {}, 1, 1e8) pcall(table.concat, {}, "x", 1, 1e8) pcall(table.insert, t, 1 << 60, 1)
	pcall(string.rep, "x", 1 << 60) pcall(string.rep, "x", 1 << 31, "y") pcall(string.format, "%99999d", 1)
	pcall(string.pack, "!16i16", 1) pcall(string.unpack, "z", ("x"):rep(100), 200) pcall(os.date, "%E", 0)
		pcall(os.date, "*t", 1e300)]])

-- ---- load, called by others ----
for name, code in pairs({
	["a metamethod"] = "return setmetatable({}, { __index = function(_, k) return load(k) end })[code]",
	["gsub"] = "local got code:gsub('^.*$', function(s) got = load(s) end) return got",
	["a loop"] = "for f in load, code do return f end",
	["a timer"] = [[
		local ch = vai.chan(1) vai.timer(0, function(s) ch:send(load(s) ~= nil) end, code) return ch:recv(60)]],
	["async"] = "local ok, f = vai.async(load, code):join() return ok and f",
	["a handler"] = "return select(2, xpcall(error, function() return load(code) end))",
	["a map"] = "local m, got = vai.map() m:update(1, function() got = load(code) return 1 end) return got",
	["a group"] = "return vai.group():map({ code }, function(s) return load(s) ~= nil end)[1]",
	["a reader that begins with nothing"] = [[
		local n = 0
		return load(function() n = n + 1 return n == 1 and "\27" or n == 2 and code:sub(2) or nil end)]],
}) do
	attempt("load of bytecode by " .. name, "local code = string.dump(function() end) " .. code)
end
attempt("load of bytecode behind a line or a mark", [[
	local code = string.dump(function() end)
	return load("#!/x\n" .. code) or load("\xEF\xBB\xBF" .. code) or load("\n" .. code)]])
attempt("load of bytecode with odd modes", [[
	local code = string.dump(function() end)
	for _, mode in ipairs{ "tb\0b", "b\0t", "B", "", "xb", "bb" } do
		local ok, f = pcall(load, code, "x", mode) if ok and f then return true end
	end]])
attempt("_ENV that is captured", [[
	local E = _ENV local ok, got = vai.async(function() return E.io or E.os.execute or E.dofile end):join()
	return ok and got]])
attempt("coroutines that are main", [[
	local main = coroutine.running()
	return pcall(coroutine.close, main) or coroutine.resume(main)]])
attempt("a finalizer by a second setmetatable", [[
	local hit, mt = vai.atomic(0), { __gc = false }
	local ok, o = pcall(setmetatable, {}, mt)
	if ok then mt.__gc = function() hit:add(1) end pcall(setmetatable, o, mt) end
	o = nil
	for i = 1, 3e4 do local x = { {}, {}, {} } end
	return hit:get() ~= 0]])

-- ---- bounds by other ways, once more ----
attempt("more memory in buffers", [[
	return vai.async(function() local t = {} for i = 1, 64 do t[i] = vai.buffer(1 << 22) end return true end):join()]])
attempt("more memory in one buffer", [[
	local task = vai.async(function() return #vai.buffer(1 << 30) end)
	local ok, n = task:join()
	return ok and n]])
attempt("more memory in a buffer that grows", [[
	return vai.async(function() local b = vai.buffer(1) for i = 1, 28 do b:resize(1 << i) end return true end):join()]])
attempt("more memory in a map", [[
	return vai.async(function() local m = vai.map() for i = 1, 1e6 do m:set(i, ("x"):rep(100)) end end):join()]])
attempt("more memory in frozen tables", [[
	return vai.async(function()
		local t = {} for i = 1, 1e5 do local s = {} for k = 1, 1000 do s[k] = k end t[i] = vai.freeze(s) end
	end):join()]])
attempt("more memory in a channel's room", [[
	return vai.async(function() local ch = vai.chan(1 << 28) for i = 1, 1e8 do ch:send(i) end end):join()]])
attempt("more memory in results and reasons", [[
	return vai.async(function()
		local t = {}
		for i = 1, 1e4 do t[i] = vai.async(string.rep, "x", 1e5) if i % 8 == 0 then t[i]:join() end end
	end):join()]])
attempt("more memory in coroutines", [[
	return vai.async(function()
		local t = {} for i = 1, 1e6 do t[i] = coroutine.create(function() coroutine.yield(("x"):rep(100)) end)
			coroutine.resume(t[i]) end
	end):join()]])
attempt("more memory in source", [[
	return vai.async(function() local t = { "return {" } for i = 1, 3e5 do t[i + 1] = "{{" .. i .. "}}," end
		t[#t + 1] = "}" local s = table.concat(t) for i = 1, 8 do t[i] = load(s)() end end):join()]])
for name, opts in pairs({
	["memory 0"] = "memory = 0", ["memory below 0"] = "memory = -1", ["much memory"] = "memory = math.maxinteger",
	["memory that is no number"] = "memory = 0 / 0", ["memory by a metatable"] = "name = 'x'" }) do
	attempt("spawn with " .. name, [[
		local ok, task = pcall(vai.spawn, setmetatable({ ]] .. opts .. [[ }, { __index = { memory = 1 << 40 } }), function()
			return #("x"):rep(1 << 25) end)
		return ok and task:join()]])
end
for name, opts in pairs({ ["cpu 0"] = "0", ["cpu below 0"] = "-1", ["cpu without end"] = "1 / 0",
	["cpu that is no number"] = "0 / 0" }) do
	attempt("spawn with " .. name, [[
		local ok, task = pcall(vai.spawn, { cpu = ]] .. opts .. [[ }, function() while true do end end)
		return ok and task:join(60) == nil]])
end
attempt("spawn with hostile libs", [[
	local got
	local libs = setmetatable({}, { __index = function() got = io return "io" end, __len = function() return 1e9 end })
	pcall(vai.spawn, { libs = libs }, type, 1) pcall(vai.spawn, { libs = { "io", "io\0", {}, 1 } }, type, 1)
	pcall(vai.spawn, { name = ("x"):rep(1e6) }, type, 1) pcall(vai.spawn, { libs = "io" }, type, 1)
	return got]])
attempt("more goroutines by groups", [[
	local g, n = vai.group(), 0
	for i = 1, 200 do n = n + (pcall(g.go, g, vai.sleep, 0.02) and 1 or 0) end
	local many = vai.count() > 90
	g:wait(5)
	return many]])
attempt("more goroutines by a group's map", [[
	local list, up = {}, vai.atomic(0)
	for i = 1, 300 do list[i] = i end
	pcall(function() vai.group():map(list, function() up:add(1) vai.sleep(0.01) end) end)
	return vai.count() > 90]])
attempt("more goroutines by once and waitgroups", [[
	local wg = vai.waitgroup()
	for i = 1, 200 do pcall(wg.go, wg, vai.sleep, 0.02) end
	return vai.count() > 90]])
attempt("more goroutines by a supervisor that restarts", [[
	local s = vai.supervisor()
	for i = 1, 100 do pcall(s.child, s, { start = function() vai.sleep(0.001) error("x") end }) end
	vai.sleep(0.02)
	local many = vai.count() > 90
	s:stop()
	return many]])
attempt("more goroutines by tickers and timers that are set again", [[
	local t, n = {}, vai.atomic(0)
	for i = 1, 300 do t[i] = vai.timer(0, function() n:add(1) vai.sleep(0.01) end) end
	for _ = 1, 3 do for i = 1, 300 do pcall(t[i].reset, t[i], 0) end end
	vai.sleep(0.02)
	return vai.count() > 90]])
attempt("more time by closers in a row", [[
	local task = vai.async(function()
		local function again() local c <close> = vai.defer(function() while true do end end) error("x") end
		while true do pcall(again) pcall(coroutine.wrap(again)) end
	end)
	return task:join(60) == nil]])
attempt("more time by coroutines that are closed", [[
	local task = vai.async(function()
		while true do
			local co = coroutine.create(function()
				local c <close> = setmetatable({}, { __close = function() while true do pcall(error) end end })
					coroutine.yield() end)
			coroutine.resume(co) pcall(coroutine.close, co)
		end
	end)
	return task:join(60) == nil]])
attempt("more time while an error is told", [[
	vai.go(error, setmetatable({}, { __tostring = function() while true do pcall(error) end end }))
	for i = 1, 30000 do if vai.count() <= 9 then return end vai.sleep(0.001) end
	return true]])
attempt("another's end", [[
	local task = vai.async(function() local ok = pcall(vai.sleep, 60) return not ok and pcall(vai.sleep, 60) end)
	vai.sleep(0.001)
	task:cancel() task:cancel() pcall(task.cancel, task, task)
	return task:join(60) == nil]])
attempt("another's locks", [[
	local m, ok = vai.mutex(), nil
	vai.async(function() m:lock() error("x") end):join()
	local task = vai.async(function() return pcall(m.unlock, m) end)
	task:join() m:try_lock() pcall(m.unlock, m) pcall(m.unlock, m)
	local rw = vai.rwmutex() pcall(rw.runlock, rw) pcall(rw.unlock, rw)
	local c = vai.cond(m) pcall(c.wait, c, 0) local wg = vai.waitgroup() pcall(wg.done, wg)]])
-- stylua: ignore end

return attempts

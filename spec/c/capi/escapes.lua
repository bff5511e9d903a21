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
-- stylua: ignore end

return attempts

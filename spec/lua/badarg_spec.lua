-- SPDX-License-Identifier: MIT
-- Wrong arguments: a message that names the function and the argument; never a crash, never a hang.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- What the cases may use. Objects that a call could spoil are made by functions.
local head = [[
local ch, wg, task = chan(1), waitgroup(), vai.async(function() end)
local ticker, timer = vai.ticker(1000), vai.timer(1000, function() end)
local atomic, map, frozen, buffer = vai.atomic(), vai.map(), vai.freeze {}, vai.buffer(16)
local co, file, nan = coroutine.create(print), io.stdout, 0 / 0
local function f() end
local fails = {}
local function case(text, name, words, ...)
	local called, err = ...
	err = tostring(err)
	if called then
		fails[#fails + 1] = text .. " did not raise"
	elseif not err:find("%f[%w_]" .. name .. "%f[^%w_]") then
		fails[#fails + 1] = text .. " does not name '" .. name .. "': " .. err
	else
		for word in words:gmatch "[^|]+" do
			if err:find(word) then return end
		end
		fails[#fails + 1] = text .. " does not name the argument (" .. words .. "): " .. err
	end
end
]]
local foot = [[
if #fails > 0 then error(#fails .. " cases:\n" .. table.concat(fails, "\n"), 0) end
]]

-- name: what the message must contain; words: patterns for the argument, one of which must match;
-- then argument lists, each called as F(args) and through pcall(F, args).
local function bad(fn, words, lists)
	local name = fn:match("[%w_]+$")
	local src = { head }
	for _, args in ipairs(lists) do
		local call = ("%s(%s)"):format(fn, args)
		src[#src + 1] = ("case(%q, %q, %q, pcall(function() return %s end))\n"):format(call, name, words, call)
		src[#src + 1] = ("case(%q, %q, %q, pcall(%s%s))\n"):format("pcall " .. call, name, words, fn, args ~= "" and ", " .. args or "")
	end
	src[#src + 1] = foot
	program.test(fn .. " " .. words:match("^[^|]+"):gsub("%%", ""), table.concat(src), { procs = 2 })
end

-- As methods called on what is not their object.
local function bad_self(fn, more)
	local lists = { "", "1", "nil", "'x'", "{}", "file", "co", "print" }
	for _, other in ipairs({ "ch", "wg", "task", "ticker", "timer" }) do
		if not fn:find("^" .. other) then
			lists[#lists + 1] = other
		end
	end
	if more then
		for i = 2, #lists do
			lists[i] = lists[i] .. ", " .. more
		end
	end
	bad(fn, "#1|argument 1|bad self", lists)
end

describe("goroutines", function()
	for _, fn in ipairs({ "vai.go", "vai.async" }) do
		bad(fn, "#1|argument 1", { "", "nil", "1", "'x'", "{}", "true", "file", "co", "ch" })
		bad(fn, "argument 2|#2", { "f, file", "f, co", "f, { co }", "f, file, 1" })
	end
	bad("vai.maxprocs", "#1|argument 1", { "'x'", "{}", "1.5", "nan", "print", "1e300" })
	bad("vai.on_panic", "#1|argument 1", { "1", "'x'", "{}", "true" })
end)

describe("tasks", function()
	bad_self("task.join")
	bad_self("task.status")
	bad_self("task.id")
	bad("task.join", "#2|#1|argument 1|timeout", { "task, 'x'", "task, {}", "task, print", "task, nan", "task, true" })
end)

describe("channels", function()
	bad("vai.chan", "#1|argument 1|capacity", { "-1", "1 << 60", "2^60", "'x'", "1.5", "nan", "1/0", "-1/0", "{}", "true",
		"print", "math.mininteger", "math.maxinteger", "ch", "file" })
	bad_self("ch.send", "1")
	bad_self("ch.recv")
	bad_self("ch.try_send", "1")
	bad_self("ch.try_recv")
	bad_self("ch.close")
	bad_self("ch.cap")
	bad_self("ch.is_closed")
	bad("ch.send", "#1|#2|argument 1|nil", { "ch", "ch, nil", "ch, nil, 1" })
	bad("ch.send", "#1|#2|argument 1", { "ch, file", "ch, co", "ch, { file }", "ch, file, 1" })
	bad("ch.try_send", "#1|#2|argument 1|nil", { "ch", "ch, nil" })
	bad("ch.try_send", "#1|#2|argument 1", { "ch, file", "ch, co", "ch, { { co } }" })
	bad("ch.send", "#3|#2|argument 2|timeout", { "ch, 1, 'x'", "ch, 1, {}", "ch, 1, true", "ch, 1, nan" })
	bad("ch.recv", "#2|#1|argument 1|timeout", { "ch, 'x'", "ch, {}", "ch, true", "ch, nan" })
end)

describe("select", function()
	bad("vai.select", "#1|argument 1", { "", "nil", "1", "'x'", "true", "print", "ch", "file" })
	bad("vai.select", "#1|case 1|argument 1", { "{ 1 }", "{ 'x' }", "{ true }", "{ {} }", "{ { 1 } }", "{ { 'x', 1 } }",
		"{ { ch } }", "{ { ch, nil } }", "{ file }", "{ wg }", "{ { wg, 1 } }", "{ print }", "{ { ch, co } }",
		"{ { ch, { file } } }", "{ { {}, 1 } }", "{ 1, ch }" })
	bad("vai.select", "#2|case 2|argument 2", { "{ ch, 1 }", "{ false, {} }", "{ ch, { ch, co } }", "{ ch, wg, ch }" })
	bad("vai.select", "unknown option", { "{ ch, timout = 1 }", "{ tmeout = 1 }", "{ ch, ch, timeout = 1, defualt = true }" })
	bad("vai.select", "timeout", { "{ ch, timeout = 'x' }", "{ ch, timeout = {} }", "{ timeout = true }", "{ timeout = nan }" })
end)

describe("wait groups", function()
	bad_self("wg.add", "1")
	bad_self("wg.done")
	bad_self("wg.wait")
	bad_self("wg.go", "f")
	bad("wg.add", "#1|#2|argument 1", { "wg, 'x'", "wg, 1.5", "wg, {}", "wg, 2^70", "wg, true", "wg, nan" })
	bad("wg.wait", "#1|#2|argument 1|timeout", { "wg, 'x'", "wg, {}", "wg, nan" })
	bad("wg.go", "#1|#2|argument 1", { "wg", "wg, nil", "wg, 1", "wg, {}" })
	bad("wg.go", "argument 2|#2|#3", { "wg, f, file", "wg, f, co", "wg, f, { 1, co }" })
end)

describe("shared data", function()
	bad("vai.atomic", "#1|argument 1", { "'x'", "1.5", "{}", "true", "nan", "ch" })
	bad_self("atomic.get")
	for _, name in ipairs({ "set", "add", "swap" }) do
		bad_self("atomic." .. name, "1")
		bad("atomic." .. name, "#1|argument 1", { "atomic", "atomic, nil", "atomic, 'x'", "atomic, '1'", "atomic, 1.5",
			"atomic, {}", "atomic, 2^70" })
	end
	bad_self("atomic.cas", "1, 2")
	bad("atomic.cas", "#1|argument 1", { "atomic", "atomic, 'x', 1", "atomic, 1.5, 1" })
	bad("atomic.cas", "#2|argument 2", { "atomic, 1", "atomic, 1, 'x'", "atomic, 1, {}" })
	for _, name in ipairs({ "get", "set", "delete", "add", "cas", "update" }) do
		bad_self("map." .. name, "1, 1")
		bad("map." .. name, "#1|argument 1", { "map", "map, nil, 1", "map, {}, 1", "map, print, 1", "map, ch, 1", "map, nan, 1",
			"map, file, 1" })
	end
	bad("map.set", "#2|argument 2", { "map, 1", "map, 1, file", "map, 1, co", "map, 1, { { co } }" })
	bad("map.add", "#2|argument 2", { "map, 1", "map, 1, nil", "map, 1, '1'", "map, 1, {}" })
	bad("map.cas", "#2|argument 2", { "map, 1, {}, 1", "map, 1, print, 1", "map, 1, file, 1" })
	bad("map.cas", "#3|argument 3", { "map, 1, nil, file", "map, 1, nil, { co }" })
	bad("map.update", "#2|argument 2", { "map, 1", "map, 1, nil", "map, 1, {}", "map, 1, 'x'" })
	bad("vai.buffer", "#1|argument 1", { "", "nil", "-1", "1.5", "nan", "1 << 60", "{}", "true", "print" })
	bad_self("buffer.sub", "1")
	for _, name in ipairs({ "byte", "slice", "load64" }) do
		bad_self("buffer." .. name, "1")
		bad("buffer." .. name, "#1|argument 1", { "buffer, 'x'", "buffer, {}", "buffer, 1.5", "buffer, 0", "buffer, -1", "buffer, 18" })
	end
	bad("buffer.slice", "#2|argument 2", { "buffer, 1, 17", "buffer, 5, 3", "buffer, 1, 'x'", "buffer, 1, {}" })
	for _, name in ipairs({ "set", "pack", "unpack" }) do
		bad_self("buffer." .. name, "1, 'x'")
		bad("buffer." .. name, "#1|argument 1", { "buffer", "buffer, 'x', 'b'", "buffer, 0, 'b', 1", "buffer, 18, 'b', 1", "buffer, 1.5, 'b'" })
		bad("buffer." .. name, "#2|argument 2", { "buffer, 1", "buffer, 1, nil", "buffer, 1, {}", "buffer, 1, true" })
	end
	bad_self("buffer.fill", "1")
	bad("buffer.fill", "#1|argument 1", { "buffer", "buffer, 'x'", "buffer, -1", "buffer, 256" })
	bad("buffer.fill", "#2|#3|argument 2", { "buffer, 1, 'x'", "buffer, 1, 0", "buffer, 1, 18", "buffer, 1, 1, 17", "buffer, 1, 3, 1" })
	bad_self("buffer.resize", "1")
	bad("buffer.resize", "#1|argument 1|bad self", { "buffer", "buffer, 'x'", "buffer, -1", "buffer, 1 << 60", "buffer:slice(1, 1), 1" })
	bad_self("buffer.add64", "1, 1")
	bad("buffer.add64", "#1|#2|argument 1", { "buffer", "buffer, 1", "buffer, 2, 1", "buffer, 10, 1", "buffer, 0, 1",
		"buffer, 'x', 1", "buffer, 1, 'x'" })
	bad_self("buffer.cas64", "1, 1, 1")
	bad("buffer.cas64", "#1|#2|#3|argument 1", { "buffer", "buffer, 1", "buffer, 1, 1", "buffer, 2, 1, 1",
		"buffer, 17, 1, 1", "buffer, 1, {}, 1" })
	bad("vai.freeze", "#1|argument 1", { "", "nil", "1", "'x'", "print", "ch", "file", "{ file }", "{ x = print }",
		"setmetatable({}, {})", "{ [print] = 1 }", "{ { { co } } }" })
	bad("vai.thaw", "#1|argument 1", { "", "nil", "1", "'x'", "{}", "ch", "file" })
	bad("vai.next", "#1|argument 1|invalid key", { "", "nil", "1", "'x'", "ch", "file", "frozen, 1", "frozen, {}" })
	bad("map.update", "function's result", { "map, 1, function() return file end", "map, 1, function() return { co } end" })
end)

describe("time", function()
	for _, fn in ipairs({ "vai.sleep", "vai.after" }) do
		bad(fn, "#1|argument 1", { "", "nil", "'x'", "{}", "true", "print", "nan" })
	end
	bad("vai.ticker", "#1|argument 1|period", { "", "nil", "'x'", "{}", "true", "nan", "0", "-1", "-1/0" })
	bad("vai.timer", "#1|argument 1", { "", "nil, f", "'x', f", "{}, f", "f", "nan, f" })
	bad("vai.timer", "#2|argument 2", { "1", "1, nil", "1, 2", "1, {}", "1, 'x'" })
	bad_self("ticker.chan")
	bad_self("ticker.stop")
	bad_self("ticker.reset", "1")
	bad_self("timer.stop")
	bad_self("timer.reset", "1")
	bad("ticker.reset", "#1|#2|argument 1|period", { "ticker", "ticker, 'x'", "ticker, {}", "ticker, 0", "ticker, -1", "ticker, nan" })
	bad("timer.reset", "#1|#2|argument 1", { "timer", "timer, 'x'", "timer, {}", "timer, nan" })
end)

describe("files", function()
	local paths = { "", "nil", "{}", "true", "1", "'a\\0b'", "ch" }
	for _, fn in ipairs({ "open", "read_file", "stat", "lstat", "scandir", "walk", "mkdir", "mkdirs", "remove", "remove_all",
		"readlink", "realpath", "watch" }) do
		bad("vai.fs." .. fn, "#1|argument 1", paths)
	end
	for _, fn in ipairs({ "rename", "link", "symlink", "copy" }) do
		bad("vai.fs." .. fn, "#1|argument 1", { "", "1, 'b'", "'a\\0b', 'b'" })
		bad("vai.fs." .. fn, "#2|argument 2", { "'/none/a'", "'/none/a', {}", "'/none/a', 'a\\0b'" })
	end
	bad("vai.fs.open", "#2|argument 2", { "'/none/a', 'q'", "'/none/a', ''", "'/none/a', 'rw'", "'/none/a', 'rx'", "'/none/a', {}",
		"'/none/a', 'w++++'" })
	bad("vai.fs.open", "#3|argument 3", { "'/none/a', 'w', -1", "'/none/a', 'w', 'x'", "'/none/a', 'w', 1 << 20", "'/none/a', 'w', 1.5" })
	bad("vai.fs.mkdir", "#2|argument 2", { "'/none/a', 'x'", "'/none/a', -1", "'/none/a', {}" })
	bad("vai.fs.write_file", "#2|argument 2", { "'/none/a'", "'/none/a', true", "'/none/a', {}" })
	bad("vai.fs.write_file", "#3|argument 3", { "'/none/a', '', 1", "'/none/a', '', { atomc = true }", "'/none/a', '', { mode = 'x' }",
		"'/none/a', '', { mode = -2 }", "'/none/a', '', { 1 }" })
	bad("vai.fs.mkstemp", "#1|argument 1", { "1", "'/none/a'", "'XXXXX'", "{}" })
	bad_self("vai.fs.open('/dev/null').read")
	bad("vai.fs.open('/dev/null').seek", "#1|argument 1", { "vai.fs.open('/dev/null'), 'start'", "vai.fs.open('/dev/null'), {}" })
	bad("vai.fs.open('/dev/null').seek", "#2|argument 2", { "vai.fs.open('/dev/null'), 'set', 'x'", "vai.fs.open('/dev/null'), 'set', 1.5" })
	bad("vai.fs.open('/dev/null').read", "#1|argument 1", { "vai.fs.open('/dev/null'), -1", "vai.fs.open('/dev/null'), 'n'",
		"vai.fs.open('/dev/null'), {}", "vai.fs.open('/dev/null'), 1.5" })
	bad("vai.fs.open('/dev/null').write", "#1|argument 1", { "vai.fs.open('/dev/null'), {}", "vai.fs.open('/dev/null'), nil",
		"vai.fs.open('/dev/null'), print" })
	bad("vai.fs.open('/dev/null').truncate", "#1|argument 1", { "vai.fs.open('/dev/null')", "vai.fs.open('/dev/null'), -1" })
end)

describe("processes and signals", function()
	bad("vai.process.spawn", "#1|argument 1", { "", "nil", "'ls'", "1", "{}", "{ {} }", "{ 'a\\0b' }", "{ 'true', true }",
		"{ 'true', sdtin = 'pipe' }", "{ 'true', stdin = 'pip' }", "{ 'true', stdin = 1 }", "{ 'true', stdin = 'stdout' }",
		"{ 'true', stdout = {} }", "{ 'true', stdout = ch }", "{ 'true', cwd = {} }", "{ 'true', cwd = 'a\\0b' }",
		"{ 'true', env = 1 }", "{ 'true', env = { 'A=1' } }", "{ 'true', env = { ['A=B'] = '1' } }", "{ 'true', env = { A = {} } }",
		"{ 'true', env = { A = true } }", "{ 'true', env = { [''] = '1' } }", "{ 'true', env = { A = 'x\\0y' } }" })
	bad("vai.process.run", "#1|argument 1", { "", "nil", "'ls'", "{ 'true', input = 1 }", "{ 'true', limit = 'x' }",
		"{ 'true', limit = nan }", "{ 'true', input = '', stdin = 'null' }" })
	bad_self("vai.process.spawn({ 'true' }).wait")
	bad_self("vai.process.spawn({ 'true' }).kill")
	bad_self("vai.process.spawn({ 'true' }).pid")
	bad("vai.process.spawn({ 'true' }).wait", "#1|argument 1", { "vai.process.spawn({ 'true' }), 'x'", "vai.process.spawn({ 'true' }), {}" })
	bad("vai.process.spawn({ 'true' }).kill", "#1|argument 1", { "vai.process.spawn({ 'true' }), 'KILL'",
		"vai.process.spawn({ 'true' }), {}", "vai.process.spawn({ 'true' }), -1", "vai.process.spawn({ 'true' }), 1000" })
	bad("vai.signal.notify", "#1|argument 1", { "", "1, 'SIGINT'", "'SIGINT'" })
	bad("vai.signal.notify", "#2|argument 2", { "ch", "ch, 1", "ch, 'INT'", "ch, 'SIGKILL'", "ch, 'SIGSEGV'", "ch, 'SIGURG'" })
	bad("vai.signal.ignore", "#1|argument 1", { "", "1", "'INT'", "'SIGSTOP'", "{}" })
	bad("vai.signal.reset", "#1|argument 1", { "1", "'INT'", "{}" })
	bad("vai.tty", "#1|argument 1", { "", "'x'", "-1", "{}", "1.5", "1 << 40" })
end)

describe("anything", function()
	-- Whatever is called with whatever, the process lives. Goroutines take what may wait for ever.
	program.test("called with anything does not crash", [[
		local ch, full, closed = chan(2), chan(), chan(1)
		closed:close()
		local values = { nil, false, true, 0, 1, -1, 1.5, 1 << 62, math.mininteger, math.huge, -math.huge, 0 / 0, "", "x",
			"\0", ("y"):rep(100), {}, { {} }, { ch }, { { ch, 1 } }, { false }, { timeout = 0 }, { default = true }, print,
			function() end, ch, full, closed, waitgroup(), vai.async(function() end), vai.timer(1000, print), vai.ticker(100),
			vai.atomic(), vai.map(), vai.freeze { 1, { 2 } }, vai.buffer(64) }
		local n = 36
		local targets = {}
		for name, f in pairs(vai) do
			if type(f) == "function" and name ~= "on_panic" and name ~= "maxprocs" and name ~= "go" and name ~= "timer"
				and name ~= "lock_thread" and name ~= "dump" then -- dump makes files
				targets[#targets + 1] = f
			end
		end
		local methods = { "send", "recv", "try_send", "try_recv", "close", "cap", "is_closed", "add", "done", "wait", "go", "join",
			"status", "id", "cancel", "chan", "stop", "reset", "get", "set", "delete", "swap", "cas", "update",
			"sub", "byte", "pack", "unpack", "slice", "fill", "resize", "load64", "add64", "cas64", "nothing" }
		local rng = tonumber(os.getenv "VAI_MAXPROCS") * 7919
		local function rand(k)
			rng = (rng * 1103515245 + 12345) % (1 << 31)
			return rng // 65536 % k + 1
		end
		local batch = {}
		for i = 1, check.scaled(3000) do
			local f
			if rand(3) == 1 then
				f = targets[rand(#targets)]
			else
				local object, m = values[rand(n)], methods[rand(#methods)]
				if type(object) == "userdata" then f = object[m] end
			end
			if f and not (f == ch.close and rand(4) > 1) then
				local args = table.pack()
				args.n = rand(4) - 1
				for k = 1, args.n do args[k] = values[rand(n)] end
				pcall(vai.async, function(g, a)
					pcall(g, table.unpack(a, 1, a.n))
				end, f, args)
			end
			if i % 50 == 0 then vai.yield() end
		end
		vai.sleep(0.01)
		local alive = chan(1)
		go(function() alive:send(1) end)
		check.eq(alive:recv(), 1)
	]], { any_err = true })

	program.test("metamethods called by hand do not crash", [[
		local makers = { function() return chan(1) end, function() return chan() end, waitgroup,
			function() return vai.async(function() end) end, function() return vai.timer(1000, print) end,
			function() return vai.ticker(1000) end }
		for _, make in ipairs(makers) do
			local mt = debug.getmetatable(make())
			for name, f in pairs(mt) do
				if type(f) == "function" then
					for _, v in ipairs { 1, "x", {}, io.stdout, print, false, make() } do
						if name ~= "__call" or type(v) ~= "userdata" then
							pcall(f, v)
							pcall(f, v, v)
							pcall(f, v, nil, 1)
						end
					end
					pcall(f)
				end
			end
			local o = make()
			local gc = mt.__gc
			if gc then
				gc(o)
				gc(o)
				pcall(function() return tostring(o) end)
				pcall(function() return o:send(1) end)
				pcall(function() return o:add(1) end)
				pcall(function() return o:join(0) end)
				pcall(function() return o:stop() end)
				pcall(function() return chan(1):send(o) end)
			end
			o = nil
			collectgarbage()
		end
		local ch = chan(1)
		ch:send "fine"
		check.eq(ch:recv(), "fine")
	]])

	program.test("a foreign userdata with a stolen metatable is refused", [[
		local send, mt = chan().send, debug.getmetatable(chan())
		local f = assert(io.open(arg[1] .. "/x", "w"))
		local own = debug.getmetatable(f)
		debug.setmetatable(f, mt)
		check.raises("send", send, f, 1)
		assert(not pcall(function() return f:recv() end))
		assert(not pcall(function() return #f end))
		assert(not pcall(chan(1).send, chan(1), f))
		debug.setmetatable(f, own)
		f:close()
	]])

	program.test("the module's table can be broken without harm", [[
		local keep = {}
		for k, v in pairs(vai) do keep[k] = v end
		for k in pairs(keep) do vai[k] = nil end
		local ch = keep.chan(1)
		ch:send "x"
		check.eq(ch:recv(), "x")
		keep.go(function() ch:send(require "vai".id() > 1) end)
		check.eq(ch:recv(), true)
	]])

	program.test("recursion through every channel call ends as a stack overflow", [[
		local ok, err = vai.async(function()
			local mt = {}
			mt.__index = function(t, k) return t[k .. "x"] end
			return setmetatable({}, mt).a
		end):join()
		assert(not ok and tostring(err):find "overflow", tostring(err))
		ok, err = vai.async(function()
			local function f() return 1 + f() end
			return f()
		end):join()
		assert(not ok and tostring(err):find "stack overflow", tostring(err))
	]], { sample = 1 })

	local skip = program.slowness > 1 and "a sanitizer's allocator ends the process instead of failing"
	program.test("running out of memory is an error there", [[
		local ok, err = vai.async(function()
			local zero <close> = io.open "/dev/zero"
			for _ = 1, 10 do
				local fine, e = pcall(zero.read, zero, 1 << 48)
				assert(not fine and e:find "not enough memory", e)
			end
			return zero:read(1 << 48)
		end):join()
		assert(not ok and tostring(err):find "not enough memory", tostring(err))
		local ch = chan(1)
		go(function() ch:send "alive" end)
		check.eq(ch:recv(), "alive")
	]], { skip = skip })

	-- malloc's pools for single threads would take 64 MB of the address space each, by chance one or two of them.
	local little_memory =
		{ ulimit = 220000, timeout = 60, procs = 2, skip = skip, env = { MALLOC_ARENA_MAX = 1 } }

	program.test("little memory: goroutines and main go on after errors", [[
		local function fill()
			local t = {}
			for i = 1, 1 << 30 do t[i] = ("x"):rep(1 << 20) .. i end
		end
		for _ = 1, 2 do
			local ok, err = vai.async(fill):join()
			assert(not ok and tostring(err):find "not enough memory", tostring(err))
			ok, err = pcall(fill)
			assert(not ok and tostring(err):find "not enough memory", tostring(err))
			collectgarbage()
			local ch = chan()
			go(function() ch:send { "alive" } end)
			check.eq(ch:recv()[1], "alive")
		end
		local t, ch = { ("y"):rep(4 << 20) }, chan(100)
		local sent = 0
		repeat
			local ok, err = pcall(ch.send, ch, t)
			if ok then sent = sent + 1 else assert(tostring(err):find "not enough memory", tostring(err)) end
		until not ok
		assert(sent > 3, sent)
		check.eq(#ch, sent)
		t = nil
		collectgarbage()
		for _ = 1, sent do
			check.eq(#ch:recv()[1], 4 << 20)
			collectgarbage()
		end
		local gate, waiters = chan(), {}
		for i = 1, 1500 do waiters[i] = false end
		for i = 1, 1500 do -- more than there is room for: some wait for a stack or find no memory, or async says no
			local ok, task = pcall(vai.async, gate.recv, gate)
			if ok then waiters[i] = task else assert(tostring(task):find "memory", tostring(task)) end
		end
		gate:close()
		for _, task in ipairs(waiters) do
			local ok, err = true, nil
			if task then ok, err = task:join() end
			assert(ok or tostring(err):find "memory", tostring(err))
		end
		check.until_true(function() return vai.count() == 1 end)
	]], little_memory)

	program.test("little memory: what cannot be received is an error, and the channel goes on", [[
		local ch, inbox = chan(1), chan()
		ch:send { ("z"):rep(20 << 20), "end" }
		local ballast = {}
		local ok, err = pcall(function()
			for i = 1, 10000 do ballast[i] = ("b"):rep(1 << 20) .. i end
		end)
		assert(not ok)
		ok, err = pcall(ch.recv, ch)
		assert(not ok and tostring(err):find "not enough memory", tostring(err))
		check.eq(#ch, 0)
		ballast = nil
		collectgarbage()
		ch:send { ("z"):rep(20 << 20), "end" }
		local v = ch:recv(1)
		check.eq(#v[1] .. v[2], (20 << 20) .. "end")
	]], little_memory)
end)

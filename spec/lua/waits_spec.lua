-- SPDX-License-Identifier: MIT
-- Every call that waits, each ended by a limit, a context, its object's deadline, a cancel, a close from another
-- goroutine and the end of the program: the right result, nothing left, and what comes next is for who still waits.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local heads = {
	net = [[
		local net = vai.net
		local function ends_of(kind)
			if kind == "pipe" then return net.pipe() end
			local l = assert(net.listen("tcp", "127.0.0.1:0"))
			local c = assert(net.dial("tcp", l:addr()))
			local s = assert(l:accept())
			l:close()
			return s, c
		end
		local function reads(a, b, what, bytes, got)
			return { call = function(l) return a:read(what, l) end, feed = function() b:write(bytes) end, got = { got },
				close = function() a:close() end, deadline = function(t) a:set_read_deadline(t) end }
		end
		local function writes(a, b, call)
			local text = tostring(a)
			return { call = call, got = function(c) return tostring(c) == text end, one_waits = true,
				feed = function() go(function() while b:read() do end end) end, done = function() a:close() end,
				close = function() a:close() end, deadline = function(t) a:set_write_deadline(t) end }
		end
		local function sends_file(a, b, within)
			local f = vai.fs.open(arg[1] .. "/big", "w+")
			f:truncate(20000000)
			local o = writes(a, b, function(l)
				local n = l == 20 and 1 or 20000000
				if within then return a:send_file(f, 0, n, nil, l) end
				return a:with(l):send_file(f, 0, n)
			end)
			local done = o.done
			function o.done() done() f:close() end
			return o
		end
	]],
	sync = "",
	-- LuaSocket's calls take no limit: settimeout is tried in socket_spec.lua.
	socket = [[
		local socket = vai.socket
		local function ends()
			local l = assert(socket.bind("127.0.0.1", 0))
			local c = assert(socket.connect(l:getsockname()))
			local s = assert(l:accept())
			l:close()
			return c, s
		end
		local function receives(c, s, what, bytes, got)
			return { call = function() return c:receive(what) end, limitless = true, feed = function() s:send(bytes) end,
				got = { got }, close = function() c:close() end }
		end
	]],
	-- aliases is a named pipe that the system's resolver reads for names without dots: it waits until feed.
	names = [[
		local aliases, number = os.getenv "HOSTALIASES", 0
		local function name_that_waits(call)
			number = number + 1
			local pipe = arg[1] .. "/aliases" .. number
			assert(vai.process.run { "mkfifo", pipe }.code == 0)
			vai.fs.remove(aliases)
			assert(vai.fs.symlink(pipe, aliases))
			local function feed()
				assert(vai.fs.write_file(aliases .. ".new", ""))
				assert(vai.fs.rename(aliases .. ".new", aliases))
				assert(vai.fs.open(pipe, "r+")):close() -- who waits for a writer goes on
			end
			return { call = call, feed = feed, done = feed, got = function(found, why)
				return found == nil and why:find("^vai%-test%-name:") == 1 or error(why)
			end }
		end
	]],
	process = [[
		local spawn, run = vai.process.spawn, vai.process.run
		-- A program's standard input: this program once more, with a pipe that nobody writes into but itself.
		local function in_child(ways, make)
			if arg[2] then
				return ways(make)
			end
			local p <close> = assert(spawn { os.getenv "LUA" or "lua5.4", arg[0], arg[1], "child", stdin = "pipe" })
			check.returns(table.pack(p:wait()), 0)
			os.exit(0)
		end
	]],
	fs = [[
		local dir, number = arg[1], 0
		local function named_pipe()
			number = number + 1
			local name = dir .. "/pipe" .. number
			assert(vai.process.run { "mkfifo", name }.code == 0)
			return name
		end
	]],
}
heads.tls = heads.net .. [[
	local tls, certs = require "vai.tls", require "certs"
	local server, client = certs.pair "good", { ca = certs.path "ca" .. ".pem", server_name = "localhost" }
	local function unshaken(kind)
		local a, b = ends_of(kind or "tcp")
		return assert(tls.client(a, client)), assert(tls.server(b, server))
	end
	local function secure(kind)
		local a, b = unshaken(kind)
		local other = vai.async(function() assert(b:handshake()) end)
		assert(a:handshake())
		other:join()
		return a, b
	end
]]

local calls = {
	net = {
		["read what is there"] = [[local a, b = ends_of "tcp" return reads(a, b, nil, "x", "x")]],
		["read a number of bytes"] = [[local a, b = ends_of "pipe" return reads(a, b, 3, "abc", "abc")]],
		["read a line"] = [[local a, b = ends_of "tcp" return reads(a, b, "l", "line\n", "line")]],
		["read all"] = [[
			local a, b = ends_of "pipe"
			local o = reads(a, b, "a", "", "rest")
			o.feed = function() b:write("rest") b:close() end
			return o]],
		["read into a buffer"] = [[
			local a, b = ends_of "tcp"
			local room = vai.buffer(8)
			local o = reads(a, b, nil, "x", 1)
			o.call = function(l) return a:read_into(room, 1, 8, l) end
			return o]],
		["read in a view"] = [[
			local a, b = ends_of "tcp"
			local o = reads(a, b, nil, "x", "x")
			o.call = function(l) return a:with(l):read("L") end
			o.feed, o.got = function() b:write("\n") end, { "\n" }
			return o]],
		["read by select"] = [[
			local a, b = ends_of "tcp"
			return { call = function(l) return select { a, timeout = l } end, feed = function() b:write("x") end,
				got = { 1, "x" }, close = function() a:close() end, over = { 1, nil, "closed" } }]],
		["read by a loop"] = [[
			local a, b = ends_of "tcp"
			return { call = function() for line in a:lines() do return line end end, limitless = true,
				feed = function() b:write("line\n") end, got = { "line" } }]],
		["read of a Unix socket"] = [[
			local name = "@vai-test-" .. math.random(1, 1 << 60)
			local l = net.listen("unix", name)
			local a = net.dial("unix", name)
			local b = l:accept()
			l:close()
			return reads(a, b, nil, "x", "x")]],
		["read connected datagrams"] = [[
			local p = net.packet("udp", "127.0.0.1:0")
			local a = net.dial("udp", p:local_addr())
			local o = reads(a, nil, nil, "x", "x")
			o.feed = function() p:send_to("x", a:local_addr()) end
			return o]],
		["write"] = [[
			local a, b = ends_of "tcp"
			return writes(a, b, function(l) return a:with(l):write(('x'):rep(l == 20 and 1 or 20000000)) end)]],
		["write within a limit"] = [[
			local a, b = ends_of "tcp"
			local room = vai.buffer(20000000)
			return writes(a, b, function(l) return a:write_within(l, l == 20 and "x" or room) end)]],
		["half close behind a writer"] = [[
			local a, b = ends_of "tcp"
			local writer = vai.async(a.write, a, vai.buffer(20000000))
			check.waiting(writer)
			return { call = function(l) return a:close_write(l) end, got = { true },
				feed = function() go(function() while b:read() do end end) end, close = function() a:close() end,
				done = function() a:close() end }]],
		["write into a pipe"] = [[
			local a, b = ends_of "pipe"
			return writes(a, b, function(l) return a:with(l):write(('x'):rep(l == 20 and 1 or 20000000)) end)]],
		["send a file"] = "return sends_file(ends_of 'tcp')",
		["send a file within a limit"] = "local a, b = ends_of 'tcp' return sends_file(a, b, true)",
		["accept"] = [[
			local s = net.listen("tcp", "127.0.0.1:0")
			return { call = function(l) return s:accept(l) end, feed = function() assert(net.dial("tcp", s:addr())) end,
				got = tostring, close = function() s:close() end, deadline = function(t) s:set_deadline(t) end }]],
		["accept by select"] = [[
			local s = net.listen("tcp", "127.0.0.1:0")
			return { call = function(l) return select { s, timeout = l } end,
				feed = function() assert(net.dial("tcp", s:addr())) end, got = function(i, c) return i == 1 and c:close() == nil end,
				close = function() s:close() end, over = { 1, nil, "closed" } }]],
		["accept by a loop"] = [[
			local s = net.listen("tcp", "127.0.0.1:0")
			return { call = function() for c in s do return tostring(c) end end, limitless = true, got = tostring,
				feed = function() assert(net.dial("tcp", s:addr())) end, close = function() s:close() end, over = {} }]],
		["dial"] = [[
			local name = "@vai-test-" .. math.random(1, 1 << 60)
			local s, held = net.listen("unix", name, { backlog = 1 }), {}
			repeat held[#held + 1] = net.dial("unix", name, 0) until not net.dial("unix", name, 0)
			return { call = function(l) return net.dial("unix", name, l) end, got = tostring,
				feed = function() s:accept() end,
				close = function() s:close() end, over = { nil, name .. ": connection refused", "ECONNREFUSED" } }]],
		["receive a datagram"] = [[
			local p, q = net.packet("udp", "127.0.0.1:0"), net.packet("udp", "127.0.0.1:0")
			return { call = function(l) return p:recv_from(l) end, feed = function() q:send_to("x", p:local_addr()) end,
				got = { "x" }, close = function() p:close() end, deadline = function(t) p:set_read_deadline(t) end }]],
		["send a datagram"] = [[
			local base = "@vai-test-" .. math.random(1, 1 << 60)
			local p, q = net.packet("unixgram", base .. "p"), net.packet("unixgram", base .. "q")
			while p:send_to("fill", base .. "q", 0) do end
			return { call = function(l) return p:send_to("x", base .. "q", l) end, feed = function() q:recv_from() end,
				got = { true }, close = function() p:close() end, deadline = function(t) p:set_write_deadline(t) end }]],
		["shut a server down"] = [[
			local began = chan(1)
			local s = net.listen("tcp", "127.0.0.1:0")
			local server = net.serve(s, function(c) c:read() began:send(true) c:read() c:close() end)
			local c = net.dial("tcp", s:addr())
			c:write("x")
			began:recv()
			return { call = function(l) return server:shutdown(l) end, got = { true }, feed = function() c:close() end,
				close = function() server:close() end, over = { true }, done = function() server:close() end }]],
	},
	socket = {
		["receive a line"] = [[
			local c, s = ends()
			return receives(s, c, "*l", "line\n", "line")]],
		["receive a number of bytes"] = [[
			local c, s = ends()
			return receives(c, s, 3, "abc", "abc")]],
		["receive all"] = [[
			local c, s = ends()
			local o = receives(c, s, "*a", "", "rest")
			o.feed = function() s:send("rest") s:close() end
			return o]],
		["send"] = [[
			local c, s = ends()
			local data = ("x"):rep(1000):rep(5000)
			return { call = function() return c:send(data) end, limitless = true, one_waits = true, got = { #data },
				feed = function() go(function() while s:receive "*l" do end end) end,
				close = function() c:close() end, done = function() c:close() end }]],
		["accept"] = [[
			local l = socket.bind("127.0.0.1", 0)
			return { call = function() return l:accept() end, limitless = true, got = tostring, close = function() l:close() end,
				feed = function() assert(socket.connect(l:getsockname())) end }]],
		["receive a datagram"] = [[
			local p, q = socket.udp(), socket.udp()
			p:setsockname("127.0.0.1", 0)
			return { call = function() return p:receive() end, limitless = true, got = { "x" }, close = function() p:close() end,
				feed = function() q:sendto("x", p:getsockname()) end }]],
		["select"] = [[
			local c, s = ends()
			return { call = function() return #socket.select({ c }, {}) end, limitless = true, got = { 1 },
				feed = function() s:send("x") end }]],
	},
	names = {
		["look up"] = [[return name_that_waits(function(l) return vai.net.lookup("vai-test-name", l) end)]],
		["dial a name"] = [[return name_that_waits(function(l) return vai.net.dial("tcp", "vai-test-name:80", l) end)]],
	},
	tls = {
		["shake hands"] = [[
			local a, b = unshaken()
			return { call = function(l) return a:handshake(l) end, feed = function() go(b.handshake, b) end, got = tostring,
				close = function() a:close() end, deadline = function(t) a:set_read_deadline(t) end }]],
		["shake hands as a server"] = [[
			local a, b = unshaken()
			return { call = function(l) return b:handshake(l) end, feed = function() go(a.handshake, a) end, got = tostring,
				close = function() b:close() end, deadline = function(t) b:set_read_deadline(t) end }]],
		["shake hands in a read"] = [[
			local a, b = unshaken()
			local o = reads(a, b, nil, "x", "x")
			o.feed = function() go(b.write, b, "x") end
			return o]],
		["shake hands in a write"] = [[
			local a, b = unshaken()
			return { call = function(l) return a:with(l):write("x") end, got = tostring,
				feed = function() go(b.handshake, b) end, close = function() a:close() end }]],
		["dial"] = [[
			local s = net.listen("tcp", "127.0.0.1:0")
			return { call = function(l) return tls.dial("tcp", s:addr(), client, l) end, got = tostring,
				feed = function() go(function() for c in s do go(function() tls.server(c, server):handshake() end) end end) end,
				done = function() s:close() end }]],
		["accept"] = [[
			local s = tls.listen("tcp", "127.0.0.1:0", server)
			return { call = function(l) return s:accept(l) end, feed = function() assert(net.dial("tcp", s:addr())) end,
				got = tostring, close = function() s:close() end, deadline = function(t) s:set_deadline(t) end }]],
		["read what is there"] = [[local a, b = secure() return reads(a, b, nil, "x", "x")]],
		["read a line"] = [[local a, b = secure() return reads(b, a, "l", "line\n", "line")]],
		["read all"] = [[
			local a, b = secure()
			local o = reads(a, b, "a", "", "rest")
			o.feed = function() b:write("rest") b:close_write() end
			return o]],
		["read by select"] = [[
			local a, b = secure()
			return { call = function(l) return select { a, timeout = l } end, feed = function() b:write("x") end,
				got = { 1, "x" }, close = function() a:close() end, over = { 1, nil, "closed" } }]],
		["write"] = [[
			local a, b = secure()
			return writes(a, b, function(l) return a:with(l):write(('x'):rep(l == 20 and 1 or 20000000)) end)]],
		["send a file"] = "return sends_file(secure())",
		["say that nothing follows"] = [[
			local a, b = secure "pipe" -- which has room only when somebody reads: the kernel moves what TCP sends when it likes
			a:set("sndbuf", 30000)
			repeat until table.pack(a:with(0):write(('x'):rep(100000)))[4] == 0
			return { call = function(l) return a:close_write(l) end, feed = function() go(function() while b:read() do end end) end,
				got = { true }, close = function() a:close() end, deadline = function(t) a:set_write_deadline(t) end,
				done = function() a:close() end }]],
	},
	process = {
		["run"] = [[
			local mark = check.temp()
			local script = "until [ -e " .. mark .. " ]; do sleep 0.01; done"
			return { call = function(l) return run { "sh", "-c", script, limit = l } end, feed = function() vai.fs.write_file(mark, "") end,
				got = function(r) return r.code == 0 end, done = function() os.remove(mark) end }]],
		["read of the standard input"] = [[
			return { call = function(l) return vai.stdin:read("l", l) end, got = { "x" },
				deadline = function(t) vai.stdin:set_deadline(t) end,
				feed = function() vai.fs.write_file("/proc/self/fd/0", "x\n") end }]],
		["write to it"] = [[
			local p = spawn { "sleep", "1000", stdin = "pipe" }
			return { call = function(l) return p.stdin:with(l):write(("x"):rep(1000000)) end, feed = function() p:kill() end,
				got = { nil, "broken pipe", "EPIPE" }, close = function() p.stdin:close() end,
				deadline = function(t) p.stdin:set_deadline(t) end, done = function() p:close() end }]],
		["wait"] = [[
			local p = spawn { "cat", stdin = "pipe" }
			return { call = function(l) return p:wait(l) end, feed = function() p:kill() end, got = { nil, "signal", "SIGTERM" },
				close = function() p:close() end, over = { nil, "signal", "SIGKILL" }, done = function() p:close() end }]],
		["wait by select"] = [[
			local p = spawn { "cat", stdin = "pipe" }
			return { call = function(l) return select { p, timeout = l } end, feed = function() p:kill() end,
				got = { 1, nil, "signal", "SIGTERM" }, close = function() p:close() end, over = { 1, nil, "signal", "SIGKILL" },
				done = function() p:close() end }]],
		["read what it writes"] = [[
			local p = spawn { "cat", stdin = "pipe", stdout = "pipe" }
			return { call = function(l) return p.stdout:read("l", l) end, feed = function() p.stdin:write("x\n") end,
				got = { "x" }, close = function() p.stdout:close() end, deadline = function(t) p.stdout:set_deadline(t) end,
				done = function() p:close() end }]],
		["receive a signal"] = [[
			local ch = chan(1)
			vai.signal.notify(ch, "SIGUSR1")
			return { call = function(l) return ch:recv(l) end, got = { "SIGUSR1" }, close = function() ch:close() end,
				feed = function() vai.process.run { "kill", "-USR1", vai.fs.readlink("/proc/self") } end,
				done = function() vai.signal.reset() end }]],
	},
	fs = {
		["read of a named pipe"] = [[
			local f = assert(vai.fs.open(named_pipe(), "r+"))
			return { call = function() return f:read("l") end, limitless = true, got = { "x" }, close = function() f:close() end,
				feed = function() vai.fs.write_file(dir .. "/pipe" .. number, "x\n") end, done = function() f:close() end }]],
		["write into a named pipe"] = [[
			local name = named_pipe()
			local r, w = assert(vai.fs.open(name, "r+")), assert(vai.fs.open(name, "w"))
			return { call = function() return w:write(("x"):rep(200000)) end, limitless = true, got = tostring,
				close = function() w:close() end, one_waits = true,
				feed = function() go(function() while r:read(1000) do end end) end, done = function() w:close() r:close() end }]],
		["receive a change"] = [[
			local ch = vai.fs.watch(dir)
			return { call = function(l) return ch:recv(l) end, got = tostring, close = function() ch:close() end,
				feed = function() vai.fs.write_file(dir .. "/x", "x") end, done = function() pcall(ch.close, ch) end }]],
	},
	sync = {
		["send"] = [[
			local ch = chan(1)
			ch:send(0)
			return { call = function(l) return ch:send(1, l) end, feed = function() ch:recv() end, got = { true } }]],
		["send to nobody"] = [[
			local ch = chan()
			return { call = function(l) return ch:send(1, l) end, feed = function() go(ch.recv, ch) end, got = { true } }]],
		["receive"] = [[
			local ch = chan()
			return { call = function(l) return ch:recv(l) end, feed = function() go(ch.send, ch, 1) end, got = { 1 },
				close = function() ch:close() end }]],
		["select"] = [[
			local a, b = chan(1), chan()
			return { call = function(l) return select { a, { b, 1 }, timeout = l } end, feed = function() a:send(1) end,
				got = { 1, 1 }, close = function() a:close() end, over = { 1, nil, "closed" } }]],
		["join"] = [[
			local ch = chan()
			local task = vai.async(function() return (ch:recv()) end)
			return { call = function(l) return task:join(l) end, feed = function() ch:send(5) end, got = { true, 5 },
				close = function() task:cancel("x") end, over = { false, "x" }, done = function() task:cancel() end }]],
		["receive a task's end"] = [[
			local ch = chan()
			local task = vai.async(function() ch:recv() end)
			return { call = function(l) return task:done():recv(l) end, feed = function() ch:send(5) end, got = { nil, "closed" },
				close = function() task:cancel("x") end, done = function() task:cancel() end }]],
		["wait for a group of goroutines"] = [[
			local wg = waitgroup()
			wg:add()
			return { call = function(l) return wg:wait(l) end, feed = function() wg:done() end, got = { true } }]],
		["lock"] = [[
			local m = vai.mutex()
			m:lock()
			return { call = function(l) local ok, why = m:lock(l) if ok then m:unlock() end return ok, why end,
				feed = function() m:unlock() end, got = { true } }]],
		["guard"] = [[
			local m = vai.mutex()
			m:lock()
			return { call = function(l) local g <close>, why = m:guard(l) return g and true, why end,
				feed = function() m:unlock() end, got = { true } }]],
		["call with it locked"] = [[
			local m = vai.mutex()
			m:lock()
			return { call = function() return m:with(math.abs, -1) end, limitless = true,
				feed = function() m:unlock() end, got = { 1 } }]],
		["lock for writing"] = [[
			local m = vai.rwmutex()
			m:rlock()
			return { call = function(l) local ok, why = m:lock(l) if ok then m:unlock() end return ok, why end,
				feed = function() m:runlock() end, got = { true } }]],
		["lock for reading"] = [[
			local m = vai.rwmutex()
			m:lock()
			return { call = function(l) local ok, why = m:rlock(l) if ok then m:runlock() end return ok, why end,
				feed = function() m:unlock() end, got = { true } }]],
		["guard for writing"] = [[
			local m = vai.rwmutex()
			m:rlock()
			return { call = function(l) local g <close>, why = m:guard(l) return g and true, why end,
				feed = function() m:runlock() end, got = { true } }]],
		["guard for reading"] = [[
			local m = vai.rwmutex()
			m:lock()
			return { call = function(l) local g <close>, why = m:rguard(l) return g and true, why end,
				feed = function() m:unlock() end, got = { true } }]],
		["wait for a condition"] = [[
			local m = vai.mutex()
			local c, ready = vai.cond(m), vai.atomic()
			return { got = { true },
				call = function(l)
					local held <close> = m:guard()
					while ready:get() == 0 do
						local ok, why = c:wait(l)
						if not ok then return ok, why end
					end
					ready:add(-1)
					return true
				end,
				feed = function() m:with(function() ready:add(1) c:signal() end) end }]],
		["acquire"] = [[
			local s = vai.semaphore(3)
			s:acquire(2)
			return { call = function(l) return s:acquire(2, l) end, feed = function() s:release() end, got = { true } }]],
		["call once"] = [[
			local once, ch = vai.once(), chan()
			local first = vai.async(function() once:call(function() ch:recv() end) end)
			check.waiting(first)
			return { call = function() once:call(error) return true end, limitless = true, feed = function() ch:send(1) end,
				got = { true }, close = function() first:cancel() end, over = { true }, done = function() first:cancel() end }]],
		["call for one value"] = [[
			local ch = chan()
			local value = vai.once_value(function() return (ch:recv()) end)
			local first = vai.async(function() return value() end)
			check.waiting(first)
			return { call = function() return value() end, limitless = true, feed = function() ch:send(1) end,
				got = { 1 }, done = function() first:cancel() end }]],
		["sleep"] = [[
			local ms = vai.atomic(100000000)
			return { call = function() vai.sleep(ms:get() / 1000) return true end, limitless = true, one_waits = true,
				feed = function() ms:set(1) end, got = { true } }]],
		["wait for a group"] = [[
			local g, ch = vai.group(), chan()
			g:go(function() ch:recv() end)
			return { call = function(l) return g:wait(l) end, feed = function() ch:close() end, got = { true },
				done = function() pcall(ch.close, ch) end }]],
		["wait for a place in a group"] = [[
			local g, ch = vai.group(), chan()
			g:limit(1)
			g:go(function() ch:recv() end)
			return { call = function() return g:go(math.abs, 1):join() end, limitless = true, feed = function() ch:send(1) end,
				got = { true, 1 }, done = function() ch:close() g:wait() end }]],
		["wait for all of a list"] = [[
			local ch = chan()
			return { call = function()
					local g <close> = vai.group()
					return #g:map({ 1, 2 }, function() return (ch:recv()) == nil end)
				end, limitless = true, feed = function() ch:close() end, got = { 2 }, done = function() pcall(ch.close, ch) end }]],
		["wait for a supervisor"] = [[
			local s = vai.supervisor()
			s:child { start = vai.sleep, args = { 1000 } }
			return { call = function(l) return s:wait(l) end, feed = function() s:stop() end, got = { true },
				close = function() s:stop() end, over = { true }, done = function() s:stop() end }]],
		["receive a context's end"] = [[
			local ctx, cancel = vai.context():with_cancel()
			return { call = function(l) return ctx:done():recv(l) end, feed = function() cancel() end, got = { nil, "closed" },
				close = function() cancel() end }]],
		["receive a tick"] = [[
			local t = vai.ticker(1000)
			return { call = function(l) return t:chan():recv(l) end, feed = function() t:reset(0.001) end,
				got = tonumber, done = function() t:stop() end }]],
	},
}

local in_child = { ["read of the standard input"] = "function(make) in_child(require 'ways', make) end" }
local aliases = (os.getenv("VAI_SPEC_TMP") or "/tmp") .. "/waits.aliases"
local more = {
	names = { env = { HOSTALIASES = aliases, RES_OPTIONS = "timeout:1 attempts:1" } },
	tls = { needs = "vai.tls.core" },
}

for _, kind in ipairs { "net", "socket", "names", "tls", "process", "fs", "sync" } do
	describe("a wait of " .. kind, function()
		local names = {}
		for name in pairs(calls[kind]) do
			names[#names + 1] = name
		end
		table.sort(names)
		for _, name in ipairs(names) do
			local source = heads[kind] .. "\n(" .. (in_child[name] or "require 'ways'") .. ") (function()\n"
				.. calls[kind][name] .. "\nend)"
			local opts = { sample = 1 }
			for k, v in pairs(more[kind] or {}) do
				opts[k] = v
			end
			program.test(name, source, opts)
		end
	end)
end

-- SPDX-License-Identifier: MIT
-- vai.net.serve: a goroutine for a connection only while there is something to do.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local test = program.tester [[
	local net = vai.net
	local function server(f)
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		return net.serve(l, f), l:addr(), l
	end
]]

describe("a server", function()
	test("starts a goroutine once a connection has sent its first bytes", [[
		local seen = chan(10)
		local s, address = server(function(c)
			seen:send("began")
			c:write((c:read("l")), "!\n")
		end)
		local c = assert(net.dial("tcp", address))
		check.until_true(function() return s:count() == 1 end)
		check.eq(vai.count(), 2)
		check.returns(table.pack(seen:recv(0.02)), nil, "timeout")
		c:write("a")
		check.eq(seen:recv(), "began")
		c:write("b\n")
		check.eq(c:read("l"), "ab!")
		check.returns(table.pack(c:read()), nil)
		check.until_true(function() return s:count() == 0 end)
		check.eq(s:shutdown(), true)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("takes connections back, again and again, with what they have in their buffer", [[
		local s, address = server(function(c)
			local line = c:read("l")
			if not line then return end
			c:write(vai.id(), " ", line, "\n")
			assert(c:idle())
		end)
		local c = assert(net.dial("tcp", address))
		local ids, n = {}, check.scaled(200)
		for i = 1, n do
			c:write(i, "\n")
			local id, line = c:read("l"):match("(%d+) (%d+)")
			check.eq(line, tostring(i))
			ids[id] = true
		end
		local some = 0
		for _ in pairs(ids) do some = some + 1 end
		check.eq(some, n)
		c:write("x\ny\nz\n")
		for _, want in ipairs { "x", "y", "z" } do check.eq(c:read("l"):match(" (.)$"), want) end
		check.eq(s:count(), 1)
		c:close()
		check.until_true(function() return s:count() == 0 end)
		s:close()
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("goroutines take one connection after another", [[
		local s, address = server(function(c)
			while c do
				local k = c:read("l")
				c:write(vai.id(), " ", k, "\n")
				if k % 3 == 0 then c:close() else c:idle() end
				c = c:next()
			end
		end)
		local ids, conns, n = {}, {}, 60
		for i = 1, n do
			if i % 10 == 0 then net.dial("tcp", address):close() end
			local c = i % 3 == 0 and conns[i - 1] or net.dial("tcp", address)
			conns[i] = c
			c:write(i, "\n")
			local id, k = c:read("l"):match("(%d+) (%d+)")
			ids[id] = true
			check.eq(k, tostring(i))
		end
		local some = 0
		for _ in pairs(ids) do some = some + 1 end
		check.eq(some < n / 2, true) -- a new one where the one before was not yet back
		check.eq(s:shutdown(), true)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("starts more of them for connections that would have to wait", [[
		local go_on, ids = vai.chan(), vai.chan(100)
		local s, address = server(function(c)
			while c do
				c:read("l")
				ids:send(vai.id())
				go_on:recv()
				c:idle()
				c = c:next()
			end
		end)
		local conns, seen = {}, {}
		for i = 1, 50 do
			conns[i] = net.dial("tcp", address)
			conns[i]:write("x\n")
		end
		for _ = 1, 50 do
			local id = ids:recv()
			check.eq(seen[id], nil)
			seen[id] = true
		end
		for _ = 1, 50 do go_on:send(1) end
		for i = 1, 50 do conns[i]:write("x\n") end
		for _ = 1, 50 do
			ids:recv()
			go_on:send(1)
		end
		s:close()
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("starts no goroutine for a part of a head, where it is to wait for whole ones", [[
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		local heads = vai.chan(100)
		local s = net.serve(l, function(c)
			while c do
				heads:send(c:read(nil, 0))
				c:write("seen\n")
				c:idle()
				c = c:next()
			end
		end, { head = 100 })
		local head, conns = "A\r\nB: c\r\n\r\n", {}
		for i = 1, 20 do conns[i] = assert(net.dial("tcp", l:addr())) end
		for k = 1, #head - 1 do
			for _, c in ipairs(conns) do c:write(head:sub(k, k)) end
			vai.sleep(0.001)
		end
		check.until_true(function() return s:count() == #conns end)
		check.eq(vai.count(), 2)
		check.eq(#heads, 0)
		for _, c in ipairs(conns) do
			c:write("\n")
			check.eq(heads:recv(), head)
			check.eq(c:read("l"), "seen")
		end
		conns[1]:write(head, "A")
		check.eq(heads:recv(), head .. "A")
		local function hands_over(text)
			local c = assert(net.dial("tcp", l:addr()))
			c:write(text)
			check.eq(heads:recv(), text)
			c:close()
		end
		hands_over "A\n"
		hands_over "\r\n"
		hands_over(("x"):rep(101))
		conns[2]:write("A")
		conns[3]:write(head:sub(1, -2))
		conns[2]:close()
		conns[3]:close_write()
		check.eq(conns[3]:read("a"), "")
		for _, c in ipairs(conns) do c:close() end
		check.until_true(function() return s:count() == 0 end)
		check.eq(#heads, 0)
		s:close()
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("hands over a head that takes too long, and takes a part of one back", [[
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		local news = vai.chan(10)
		local s = net.serve(l, function(c)
			while c do
				local text = c:read(nil, 0)
				local rest = text:match("\r\n\r\n(.*)$") or text
				c:unread(rest)
				news:send(table.pack(text, c:idle()))
				c = c:next()
			end
		end, { head = 100, head_limit = 0.05 })
		local c = assert(net.dial("tcp", l:addr()))
		vai.sleep(0.06) -- it has not begun
		c:write("A")
		check.returns(news:recv(), "A", nil, "timeout")
		c = assert(net.dial("tcp", l:addr()))
		c:write("A\r\n\r\nB")
		check.returns(news:recv(), "A\r\n\r\nB", true)
		check.returns(news:recv(), "B", nil, "timeout")
		s:close()
		for _, bad in ipairs { { head = 0 }, { head = "1" }, { head_limit = 0, head = 1 }, { head_limit = 1 }, { x = 1 } } do
			check.raises("bad argument #3 to 'serve'", net.serve, l, print, bad)
		end
	]])

	test("that is shut down lets a head that has begun come to its end", [[
		local pause, said = 0.005, nil
		repeat -- again, where the server had not looked at the begin of the head before it was shut down
			pause = 2 * pause
			local l = assert(net.listen("tcp", "127.0.0.1:0"))
			local s = net.serve(l, function(c)
				c:write("seen ", (c:read("l")), "\n")
				c:read("l")
				if not c:idle() then c:close() end
			end, { head = 100, head_limit = 20 })
			local idle, slow = assert(net.dial("tcp", l:addr())), assert(net.dial("tcp", l:addr()))
			for _, c in ipairs { slow, idle } do
				c:write("B\r\n\r\n")
				check.eq(c:read("l"), "seen B\r")
			end
			check.until_true(function() return vai.count() == 2 end)
			slow:write("A")
			vai.sleep(pause)
			local task = vai.async(function() return s:shutdown(20) end)
			check.eq(idle:read(), nil)
			vai.sleep(1.1) -- longer than those have that have not begun
			slow:write("\r\n\r\n")
			said = slow:read("l")
			check.returns(table.pack(task:join()), true, true)
			check.eq(slow:read(), nil)
		until said
		check.eq(said, "seen A\r")
	]])

	test("next says why there is none", [[
		local why = vai.chan(4)
		local s, address = server(function(c)
			c:read("l")
			why:send(table.pack(c:next(0)))
			why:send(table.pack(c:next(0.001)))
			c:idle()
			why:send("idle")
			why:send(table.pack(c:next()))
		end)
		local c = net.dial("tcp", address)
		c:write("x\n")
		check.returns(why:recv(), nil, "timeout")
		check.returns(why:recv(), nil, "timeout")
		why:recv()
		s:close()
		check.returns(why:recv(), nil, "closed")
		check.raises("calling 'next' on a connection that is no server's", c.next, c)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("hears the end of a connection that ended with its request", [[
		local s, address = server(function(c)
			while c do
				c:write((c:read("l")), "\n")
				c:idle()
				c = c:next()
			end
		end)
		for i = 1, check.scaled(300) do
			local c = net.dial("tcp", address)
			c:write(i, "\n")
			if i % 2 == 0 then c:close_write() end
			check.eq(c:read("l"), tostring(i))
			if i % 2 == 0 then check.eq(c:read(), nil) else c:close() end
		end
		check.until_true(function() return s:count() == 0 end)
		s:close()
	]])

	test("closes a connection that ends without a word, with no goroutine for it", [[
		local began = vai.chan(10)
		local s, address = server(function(c) began:send(1) end)
		for _ = 1, 5 do assert(net.dial("tcp", address)):close() end
		local c = net.dial("tcp", address)
		c:write("one")
		began:recv()
		check.until_true(function() return s:count() == 0 end)
		check.eq(#began, 0)
		s:close()
	]])

	test("shuts down in order: those that wait are closed, those that work are waited for", [[
		local go_on, working = vai.chan(), vai.chan()
		local s, address, l = server(function(c)
			local line = c:read("l")
			working:send(line)
			go_on:recv()
			c:write("done\n")
			c:close()
		end)
		local idle, busy = net.dial("tcp", address), net.dial("tcp", address)
		busy:write("work\n")
		check.eq(working:recv(), "work")
		check.until_true(function() return s:count() == 2 end)
		check.returns(table.pack(s:shutdown(0)), nil, "timeout")
		check.returns(table.pack(s:shutdown(0.02)), nil, "timeout")
		check.returns(table.pack(idle:read()), nil)
		check.eq(s:count(), 1)
		check.returns(table.pack(l:accept()), nil, "closed")
		local _, _, code = net.dial("tcp", address)
		check.eq(code, "ECONNREFUSED")
		local task = vai.async(function() return s:shutdown() end)
		check.waiting(task)
		go_on:send(1)
		check.eq(busy:read("l"), "done")
		check.returns(table.pack(task:join()), true, true)
		check.returns(table.pack(s:shutdown()), true)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("close ends those that work, too", [[
		local why = vai.chan()
		local s, address = server(function(c)
			c:read(3)
			why:send(select { timeout = 0 } == nil and table.pack(c:read())[2])
		end)
		local c = net.dial("tcp", address)
		c:write("abc")
		check.until_true(function() return vai.count() == 3 end)
		local waiting = net.dial("tcp", address)
		check.until_true(function() return s:count() == 2 end)
		s:close()
		s:close()
		check.eq(why:recv(), "closed")
		check.returns(table.pack(c:read()), nil)
		check.returns(table.pack(waiting:read()), nil)
		check.eq(s:count(), 0)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("goes on with its connections when its listener is closed", [[
		local s, address, l = server(function(c) c:write((c:read("l")), "\n") c:idle() end)
		local c = net.dial("tcp", address)
		c:write("one\n")
		check.eq(c:read("l"), "one")
		l:close()
		c:write("two\n")
		check.eq(c:read("l"), "two")
		check.eq(s:shutdown(), true)
	]])

	test("many at once come and go", [[
		local s, address = server(function(c)
			local line = c:read("l")
			if line == "bye" then return c:close() end
			c:write(line, "\n")
			c:idle()
		end)
		local wg = waitgroup()
		for i = 1, 20 do
			wg:go(function()
				for round = 1, check.scaled(20) do
					local c <close> = assert(net.dial("tcp", address))
					for k = 1, 5 do
						c:write(i * k, "\n")
						check.eq(c:read("l"), tostring(i * k))
					end
					if round % 2 == 0 then
						c:write("bye\n")
						check.returns(table.pack(c:read()), nil)
					end
				end
			end)
		end
		wg:wait()
		check.eq(s:shutdown(10), true)
		check.eq(s:count(), 0)
		check.until_true(function() return vai.count() == 1 end)
	]])

	test("tells what is wrong", [[
		local a = net.pipe()
		check.raises("connection that is no server's", a.idle, a)
		check.raises("bad argument #1 to 'serve' %(listener expected, got no value%)", net.serve)
		local l = net.listen("tcp", "127.0.0.1:0")
		check.raises("bad argument #2 to 'serve'", net.serve, l, 1)
		local s = net.serve(l, print)
		check.raises("bad argument #1 to 'shutdown'", s.shutdown, s, "x")
		assert(tostring(s):find("^server: "))
		s:close()
	]])

	test("goes on when its function fails or the peer does, and tells that", [[
		local s, address = server(function(c)
			for line in c:max(8):lines() do
				if line == "fail" then error("broken: " .. line) end
				c:write("+", line, "\n")
			end
			c:close()
		end)
		local function ask(text)
			local c <close> = assert(net.dial("tcp", address))
			c:write(text, "\n")
			return c:read("l")
		end
		check.eq(ask "fail", nil)
		check.eq(ask "much too long a line", nil)
		local reset <close> = assert(net.dial("tcp", address))
		reset:write("one\n")
		check.eq(reset:read(1), "+")
		reset:write("two\n")
		reset:close()
		check.eq(ask "three", "+three")
		check.eq(s:shutdown(5), true)
		print "over"
	]], { out = "over\n", err = { "vai: goroutine %d+ %[.-program.lua:%d+%]: [^\n]*program.lua:%d+: broken: fail\nstack traceback:",
		"program.lua:%d+: too long", "created at .*program.lua" } })

	test("hands errors to on_error, with the connection, and tells those of it", [[
		local told, seen = chan(10), {}
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		local s = net.serve(l, function(c) error({ text = c:read("l") }) end, { on_error = function(err, c)
			if err.text == "twice" then error("in on_error") end
			c:write("sorry for ", err.text, "\n")
			told:send(err.text)
		end })
		for _, text in ipairs { "one", "twice", "three" } do
			local c <close> = assert(net.dial("tcp", l:addr()))
			c:write(text, "\n")
			check.eq(c:read("l"), text ~= "twice" and "sorry for " .. text or nil)
			check.eq(c:read("l"), nil)
		end
		check.eq(told:recv(), "one")
		check.eq(told:recv(), "three")
		check.eq(s:shutdown(5), true)
		check.raises("program.lua:%d+: .*option 'on_error': function expected, got boolean", function()
			net.serve(l, print, { on_error = true })
		end)
		check.raises("bad argument #2 to 'serve' %(function expected, got nil", net.serve, l, nil, { on_error = print })
		local co = coroutine.create(print)
		check.raises("argument 2: upvalue 'co'", net.serve, l, function() return co end, { on_error = print })
	]], { err = { "goroutine %d+.*program.lua:%d+: in on_error" }, err_not = "sorry" })

	test("hands errors to vai.on_panic's function where there is one", [[
		local s, address = server(function(c) error("broken", 0) end)
		local told = vai.chan(1)
		vai.on_panic(function(err) told:send(err) end)
		local c = assert(net.dial("tcp", address))
		c:write("x")
		check.eq(told:recv(), "broken")
		s:close()
	]])

	test("warns of writes into captured tables, also those of on_error", [[
		local l = assert(net.listen("tcp", "127.0.0.1:0"))
		local hits, errors = {}, {}
		net.serve(l, function(c) hits[1] = c end, { on_error = function(err) errors[1] = err end }):close()
	]], { err = { "captured table 'hits'", "captured table 'errors'" } })

	program.test("ends with the program, whatever its connections do", [[
		local l = vai.net.listen("tcp", "127.0.0.1:0")
		vai.net.serve(l, function(c) c:read("l") c:idle() vai.sleep(100) end)
		local held = {}
		for i = 1, 20 do
			held[i] = vai.net.dial("tcp", l:addr())
			if i % 2 == 0 then held[i]:write("x\n") end
		end
		vai.sleep(0.05)
		print "over"
	]], { out = "over\n" })

	test("that is shut down serves whom it has connected, and leaves others to who shares its address", [[
		local function echo(name)
			return function(c)
				c:write(name, (c:read("l")), "\n")
			end
		end
		local old = assert(net.listen("tcp", "127.0.0.1:0", { reuseport = true }))
		local address = old:addr()
		local first = net.serve(old, echo "first ")
		local silent = {}
		for i = 1, 8 do silent[i] = assert(net.dial("tcp", address)) end
		check.until_true(function() return first:count() == 8 end)
		local second = net.serve(assert(net.listen("tcp", address, { reuseport = true })), echo "second ")
		local task = vai.async(function() return first:shutdown() end)
		check.waiting(task)
		for i = 1, 8 do silent[i]:write(i, "\n") end
		for i = 1, 8 do check.eq(silent[i]:read("l"), "first " .. i) end
		local wg, answers = vai.waitgroup(), vai.map()
		for i = 1, 32 do
			wg:go(function()
				local c = assert(net.dial("tcp", address))
				c:write(i, "\n")
				answers:add((assert(c:read("l")):match("^%a+")), 1)
				c:close()
			end)
		end
		wg:wait()
		check.eq((answers:get("first") or 0) + (answers:get("second") or 0), 32)
		check.returns(table.pack(task:join()), true, true)
		local c = net.dial("tcp", address)
		c:write("x\n")
		check.eq(c:read("l"), "second x")
		second:close()
	]])
end)

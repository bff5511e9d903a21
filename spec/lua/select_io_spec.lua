-- SPDX-License-Identifier: MIT
-- Connections, listeners, packet sockets and processes as cases of select.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local test = program.tester [[
	local net, select_ = vai.net, vai.select
	local function listener() return assert(net.listen("tcp", "127.0.0.1:0")) end
	local function later(f, ...) return vai.timer(0.005, f, ...) end
]]

describe("select", function()
	test("reads from connections, accepts, receives datagrams, waits for processes", [[
		local never = chan()
		local a, b = net.pipe()
		b:write("there")
		check.returns(table.pack(select_ { never, a }), 2, "there")
		later(function() b:write("later") end)
		check.returns(table.pack(select_ { never, data = a }), "data", "later")
		local l = listener()
		later(function() net.dial("tcp", l:addr()):write("hello") end)
		local i, c = select_ { never, l }
		check.eq(i, 2)
		check.eq(c:read(), "hello")
		local u, v = net.packet("udp", "127.0.0.1:0"), net.packet("udp", "127.0.0.1:0")
		later(function() v:send_to("datagram", u:local_addr()) end)
		check.returns(table.pack(select_ { u, never }), 1, "datagram", v:local_addr(), false)
		local p = assert(vai.process.spawn { "sh", "-c", "read x; exit 7", stdin = "pipe" })
		later(function() p.stdin:close() end)
		check.returns(table.pack(select_ { p, never }), 1, 7)
		check.returns(table.pack(select_ { never, code = p }), "code", 7)
		p = assert(vai.process.spawn { "sleep", "60" })
		later(function() p:kill() end)
		check.returns(table.pack(select_ { p }), 1, nil, "signal", "SIGTERM")
	]])

	test("tells ends, errors, closed objects and deadlines as the calls do", [[
		local never = chan()
		local a, b = net.pipe()
		check.returns(table.pack(select_ { a, default = true }), nil, "default")
		check.returns(table.pack(select_ { a, never, timeout = 0.005 }), nil, "timeout")
		check.returns(table.pack(select_ { a, timeout = vai.context():with_timeout(0.005) }), nil, "deadline exceeded")
		check.returns(table.pack(select_ { never, a:with(0.005) }), 2, nil, "timeout")
		a:set_read_deadline(vai.now() - 1)
		check.returns(table.pack(select_ { never, a }), 2, nil, "timeout")
		b:write("data wins")
		check.returns(table.pack(select_ { never, a }), 2, "data wins")
		a:set_read_deadline()
		later(function() a:set_read_deadline(vai.now()) end)
		check.returns(table.pack(select_ { never, a }), 2, nil, "timeout")
		a:set_read_deadline()
		later(function() b:close() end)
		check.returns(table.pack(select_ { never, a }), 2, nil)
		later(function() a:close() end)
		local l = listener()
		local c = net.dial("tcp", l:addr())
		local s = l:accept()
		later(function() s:close() end)
		check.returns(table.pack(select_ { never, s }), 2, nil, "closed")
		later(function() l:close() end)
		check.returns(table.pack(select_ { l, never }), 1, nil, "closed")
		check.returns(table.pack(select_ { l, never }), 1, nil, "closed")
		local l2 = listener()
		local reset = net.dial("tcp", l2:addr())
		local other = l2:accept()
		later(function() other:set("linger", 0) other:close() end)
		local i, data, _, code = select_ { never, reset }
		assert(i == 2 and data == nil and code == "ECONNRESET", code)
	]])

	test("sends, receives and switches off beside them; what was not chosen stays", [[
		local a, b = net.pipe()
		local ch = chan(100)
		check.returns(table.pack(select_ { a, { ch, "v" }, false }), 2, true)
		check.returns(table.pack(select_ { a, ch, { false, 1 } }), 2, "v")
		local reader = vai.async(function()
			local list = {}
			for _ = 1, 40 do
				local i, v = select_ { a, ch }
				list[#list + 1] = v
			end
			return table.concat(list)
		end)
		local letters = {}
		for k = 1, 20 do
			b:write("x")
			ch:send("y")
			if k % 5 == 0 then vai.sleep(0.001) end
		end
		for _ = 1, 20 do ch:send("y") end
		local _, got = reader:join()
		got = got .. (a:read(nil, 0) or "")
		while ch:try_recv() do got = got .. "y" end
		check.eq(#got:gsub("y", ""), 20)
		check.eq(#got:gsub("x", ""), 40)
	]])

	test("chooses at random among those that are ready", [[
		local a, b = net.pipe()
		local ch, l = chan(400), listener()
		local seen = { 0, 0, 0 }
		for _ = 1, 30 do
			assert(net.dial("tcp", l:addr()))
			b:write("x")
			ch:send(1)
		end
		for _ = 1, 30 do
			local i = select_ { a, ch, l }
			seen[i] = seen[i] + 1
			if i == 1 then b:write("x") end
		end
		for i = 1, 3 do assert(seen[i] > 0, i .. " of 3 never") end
	]])

	test("stands in the queue of an object with all that use it, and leaves nothing there", [[
		local l, quit, out = listener(), chan(), chan(1000)
		local n, workers = check.scaled(60), {}
		for w = 1, 4 do
			workers[w] = vai.async(function()
				while true do
					local i, c = select_ { l, quit }
					if i == 2 then return w end
					out:send(c:read())
					c:close()
				end
			end)
		end
		local plain = vai.async(function()
			for c in l do
				out:send(c:read())
				c:close()
			end
		end)
		for i = 1, n do
			local c = assert(net.dial("tcp", l:addr()))
			c:write("m", i)
		end
		local sum = 0
		for _ = 1, n do sum = sum + tonumber(out:recv():sub(2)) end
		check.eq(sum, n * (n + 1) // 2)
		workers[1]:cancel()
		check.eq(workers[1]:join(), false)
		quit:close()
		for w = 2, 4 do check.returns(table.pack(workers[w]:join()), true, w) end
		assert(net.dial("tcp", l:addr())):write("last")
		check.eq(out:recv(), "last")
		local address = l:addr()
		l:close()
		plain:join()
		net.listen("tcp", address):close()
	]])

	test("takes turns with readers of the same connection: every byte comes once", [[
		local a, b = net.pipe()
		local tick, n = chan(), check.scaled(300)
		local sum, wg = vai.atomic(), waitgroup()
		local function count(s)
			for _ in (s or ""):gmatch("x") do sum:add(1) end
			return s
		end
		for _ = 1, 2 do
			wg:go(function() while count(a:read(1)) do end end)
			wg:go(function()
				while true do
					local i, s, err = select_ { tick, a }
					if i == 2 and not count(s) then return end
				end
			end)
			wg:go(function()
				while true do
					local i, s = select_ { a, timeout = 0.0005 }
					if i == 1 and not count(s) then return end
				end
			end)
		end
		local stop = vai.atomic()
		local ticker = vai.go(function()
			while stop:get() == 0 do select_ { { tick, 1 }, timeout = 0.001 } end
		end)
		for k = 1, n do
			b:write(("x"):rep(k % 3 + 1))
			if k % 7 == 0 then vai.sleep(0.0002) end
		end
		local want = 0
		for k = 1, n do want = want + k % 3 + 1 end
		b:close()
		wg:wait()
		stop:set(1)
		ticker:join()
		check.eq(sum:get(), want)
	]])

	test("names such cases in dumps, and they are no deadlock", [[
		local l, quit = listener(), chan()
		local a, b = net.pipe()
		local p = assert(vai.process.spawn { "sleep", "60" })
		local task = vai.async(function() return select_ { l, quit, a, p } end)
		check.waiting(task)
		vai.dump(arg[0] .. ".dump")
		local text = io.open(arg[0] .. ".dump"):read("a")
		os.remove(arg[0] .. ".dump")
		assert(text:find("case 1: accept from tcp 127%.0%.0%.1:%d+\n"), text)
		assert(text:find("case 2: receive from channel made at", 1, true), text)
		assert(text:find("case 3: read from unix ", 1, true), text)
		assert(text:find("case 4: end of process " .. p:pid() .. "\n", 1, true), text)
		later(function() b:write("x") end)
		check.returns(table.pack(task:join()), true, 3, "x")
		p:kill()
		p:wait()
	]])

	test("says what is wrong", [[
		local a = net.pipe()
		check.raises("case 1: channel to send to expected, got vai.connection", select_, { { a, 1 } })
		check.raises("'timeout'", select_, { a:with(vai.context()) })
		check.raises("case 1: channel expected, got number", select_, { x = a, 5 })
	]])
end)

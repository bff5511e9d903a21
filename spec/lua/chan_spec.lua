-- SPDX-License-Identifier: MIT
-- Channels.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a large message", function()
	if os.getenv("VAI_VARIANT") == "hard" then
		return -- there nothing stands first in the queue of a P
	end
	test("is received before the sender, on the same P, makes the next one", [[
		local ch, got = chan(128), vai.atomic(0)
		local receiver = go(function()
			for s in ch do got:add(#s) end
		end)
		check.waiting(receiver)
		local sender = vai.async(function()
			local half, lens = ("x"):rep(20000), {}
			for i = 1, 20 do
				ch:send(half .. half)
				lens[i] = #ch
			end
			ch:close()
			check.eq(table.concat(lens), ("0"):rep(20))
		end)
		check.returns(table.pack(sender:join()), true)
		receiver:join()
		check.eq(got:get(), 20 * 40000)
	]], { procs = 1, env = { VAI_PREEMPT = "off" } })
end)

describe("an unbuffered channel", function()
	test("hands a value over", [[
		local ch = chan()
		go(function() ch:send "hello" end)
		check.returns(table.pack(ch:recv()), "hello")
	]])

	test("hands a value to a receiver that waits", [[
		local ch, out = chan(), chan(1)
		local task = go(function() out:send(ch:recv()) end)
		check.waiting(task)
		check.returns(table.pack(ch:send(5)), true)
		check.eq(out:recv(), 5)
	]])

	test("makes the sender wait for a receiver", [[
		local ch = chan()
		local task = vai.async(function() return ch:send(1), "sent" end)
		check.waiting(task)
		check.returns(table.pack(task:join(0)), nil, "timeout")
		check.eq(ch:recv(), 1)
		check.returns(table.pack(task:join()), true, true, "sent")
	]])

	test("has capacity and length 0", [[
		local ch = chan()
		check.eq(ch:cap(), 0)
		check.eq(#ch, 0)
		local task = go(function() ch:send(1) end)
		check.waiting(task)
		check.eq(#ch, 0)
		ch:recv()
		check.eq(chan(0):cap(), 0)
	]])

	test("is used in both directions", [[
		local ch = chan()
		go(function()
			for _ = 1, 1000 do ch:send(ch:recv() + 1) end
		end)
		local n = 0
		for _ = 1, 1000 do
			ch:send(n)
			n = ch:recv()
		end
		check.eq(n, 1000)
	]])
end)

describe("a buffered channel", function()
	test("takes as much as its capacity without a receiver", [[
		local ch = chan(3)
		check.eq(ch:cap(), 3)
		for i = 1, 3 do
			check.eq(#ch, i - 1)
			check.returns(table.pack(ch:send(i)), true)
		end
		check.eq(#ch, 3)
		check.returns(table.pack(ch:try_send(4)), nil, "full")
		for i = 1, 3 do check.eq(ch:recv(), i) end
		check.eq(#ch, 0)
		check.returns(table.pack(ch:try_recv()), nil, "empty")
	]])

	test("keeps order round its ring", [[
		for _, cap in ipairs { 1, 2, 3, 7, 8, 64, 100 } do
			local ch = chan(cap)
			local put, got = 0, 0
			for round = 1, 200 do
				for _ = 1, round % (cap + 1) do
					if ch:try_send(put) then put = put + 1 end
				end
				for _ = 1, (round * 7) % (cap + 1) do
					local v = ch:try_recv()
					if v then
						check.eq(v, got)
						got = got + 1
					end
				end
				check.eq(#ch, put - got)
			end
		end
	]])

	test("makes the sender wait when full", [[
		local ch = chan(1)
		ch:send(1)
		local task = vai.async(function() return ch:send(2) end)
		check.waiting(task)
		check.eq(#ch, 1)
		check.eq(ch:recv(), 1)
		check.returns(table.pack(task:join()), true, true)
		check.eq(ch:recv(), 2)
	]])

	test("of a huge capacity costs nothing at first", [[
		local ch = chan(1000000000)
		check.eq(ch:cap(), 1000000000)
		for i = 1, 5000 do ch:send(i) end
		check.eq(#ch, 5000)
		for i = 1, 5000 do check.eq(ch:recv(), i) end
	]])

	test("keeps values after its makers are gone", [[
		local ch = chan(100)
		local wg = waitgroup()
		for i = 1, 100 do wg:go(function() ch:send { n = i, s = ("x"):rep(i) } end) end
		wg:wait()
		collectgarbage()
		local sum = 0
		for _ = 1, 100 do
			local t = ch:recv()
			check.eq(#t.s, t.n)
			sum = sum + t.n
		end
		check.eq(sum, 5050)
	]])

	test("dropped with messages inside", [[
		for i = 1, 300 do
			local ch = chan(10)
			for k = 1, 10 do ch:send { ("x"):rep(1000), k, chan(1) } end
			if i % 3 == 0 then ch:close() end
		end
		collectgarbage()
		collectgarbage()
	]])
end)

describe("send and recv", function()
	test("carry false", [[
		local ch = chan(2)
		ch:send(false)
		check.returns(table.pack(ch:recv()), false)
		ch:send(false)
		check.returns(table.pack(ch:try_recv()), false)
	]])

	test("refuse nil", [[
		local ch = chan(1)
		check.raises({ "nil" }, ch.send, ch, nil)
		check.raises({ "nil" }, function() ch:send(nil) end)
		check.raises({ "nil" }, function() ch:send() end)
		check.raises({ "nil" }, function() ch:try_send(nil) end)
		check.raises({ "nil" }, function() ch:try_send() end)
		check.raises({ "nil" }, function() ch:send(nil, 1) end)
		check.eq(#ch, 0)
	]])

	test("time out", [[
		local ch = chan()
		local t0 = vai.now()
		check.returns(table.pack(ch:recv(0.02)), nil, "timeout")
		assert(vai.now() - t0 >= 0.0199)
		t0 = vai.now()
		check.returns(table.pack(ch:send(1, 0.02)), nil, "timeout")
		assert(vai.now() - t0 >= 0.0199)
		check.returns(table.pack(ch:recv(0)), nil, "timeout")
		check.returns(table.pack(ch:send(1, 0)), nil, "timeout")
		check.returns(table.pack(ch:recv(0.001)), nil, "timeout")
	]])

	test("a timeout leaves no trace", [[
		local ch = chan()
		for _ = 1, 50 do
			ch:recv(0)
			ch:send("stale", 0)
			ch:recv(0.0005)
			ch:send("stale", 0.0005)
		end
		check.returns(table.pack(ch:try_recv()), nil, "empty")
		check.returns(table.pack(ch:try_send(1)), nil, "full")
		go(function() ch:send "fresh" end)
		check.eq(ch:recv(), "fresh")
	]])

	test("with a timeout long enough succeed", [[
		local ch = chan()
		go(function() vai.yield() ch:send(1, 100) end)
		check.returns(table.pack(ch:recv(100)), 1)
		go(function() vai.yield() ch:recv(math.huge) end)
		check.returns(table.pack(ch:send(1, math.huge)), true)
		local full = chan(1)
		check.returns(table.pack(full:send(1, 0)), true)
		check.returns(table.pack(full:recv(0)), 1)
	]])

	test("racing with timeouts neither lose nor double a value", [[
		local ch, results = chan(), chan(100)
		local n = check.scaled(2000)
		for k = 1, 4 do
			go(function()
				local sent = 0
				for i = 1, n do
					if ch:send(1, (i % 5) * 1e-5) then sent = sent + 1 end
				end
				results:send { sent = sent }
			end)
			go(function()
				local got = 0
				for i = 1, n do
					if ch:recv((i % 7) * 1e-5) then got = got + 1 end
				end
				results:send { got = got }
			end)
		end
		local sent, got = 0, 0
		for _ = 1, 8 do
			local r = results:recv()
			sent, got = sent + (r.sent or 0), got + (r.got or 0)
		end
		check.eq(got, sent)
	]])

	test("keep order from one sender to one receiver", [[
		local ch = chan(4)
		local n = check.scaled(20000)
		go(function() for i = 1, n do ch:send(i) end ch:close() end)
		local want = 0
		for v in ch do
			want = want + 1
			check.eq(v, want)
		end
		check.eq(want, n)
	]])

	test("lose nothing between many senders and many receivers", [[
		local ch, sums = chan(3), chan(8)
		local senders = waitgroup()
		local n = check.scaled(2000)
		for s = 1, 8 do
			senders:go(function() for i = 1, n do ch:send(s * 100000 + i) end end)
		end
		for _ = 1, 8 do
			go(function()
				local sum, last = 0, {}
				for v in ch do
					sum = sum + v
					local s, i = v // 100000, v % 100000
					assert(i > (last[s] or 0), "order of one sender broken")
					last[s] = i
				end
				sums:send(sum)
			end)
		end
		senders:wait()
		ch:close()
		local total, want = 0, 0
		for _ = 1, 8 do total = total + sums:recv() end
		for s = 1, 8 do want = want + n * s * 100000 + n * (n + 1) // 2 end
		check.eq(total, want)
	]])
end)

describe("waiters", function()
	test("receivers are served first come, first served", [[
		local ch, order = chan(), chan(10)
		for i = 1, 5 do
			check.waiting(go(function() order:send(i .. ch:recv()) end))
		end
		for i = 1, 5 do
			ch:send(tostring(i))
			check.eq(order:recv(), i .. tostring(i))
		end
	]])

	test("senders too", [[
		local ch = chan()
		for i = 1, 5 do check.waiting(go(function() ch:send(i) end)) end
		for i = 1, 5 do check.eq(ch:recv(), i) end
	]])

	test("senders on a full buffer come after what is in it", [[
		local ch = chan(2)
		ch:send(1)
		ch:send(2)
		for i = 3, 6 do check.waiting(go(function() ch:send(i) end)) end
		for i = 1, 6 do check.eq(ch:recv(), i) end
	]])

	test("one that timed out is skipped", [[
		local ch, order = chan(), chan(10)
		check.waiting(go(function() order:send("a" .. ch:recv()) end))
		local quitter = vai.async(function() return ch:recv(0.02) end)
		check.until_true(function() return quitter:status() == "waiting" or quitter:status() == "done" end)
		check.waiting(go(function() order:send("c" .. ch:recv()) end))
		check.returns(table.pack(quitter:join()), true, nil, "timeout")
		ch:send "1"
		check.eq(order:recv(), "a1")
		ch:send "2"
		check.eq(order:recv(), "c2")
	]])
end)

describe("try_send and try_recv", function()
	test("on an unbuffered channel need a partner that waits", [[
		local ch = chan()
		check.returns(table.pack(ch:try_send(1)), nil, "full")
		check.returns(table.pack(ch:try_recv()), nil, "empty")
		local task = vai.async(function() return ch:recv() end)
		check.waiting(task)
		check.returns(table.pack(ch:try_send(7)), true)
		check.returns(table.pack(task:join()), true, 7)
		task = vai.async(function() return ch:send(8) end)
		check.waiting(task)
		check.returns(table.pack(ch:try_recv()), 8)
		check.returns(table.pack(task:join()), true, true)
	]])

	test("on a closed channel", [[
		local ch = chan(1)
		ch:send(1)
		ch:close()
		check.raises("send on closed channel", ch.try_send, ch, 2)
		check.returns(table.pack(ch:try_recv()), 1)
		check.returns(table.pack(ch:try_recv()), nil, "closed")
	]])
end)

describe("close", function()
	test("lets receivers drain, then tells closed", [[
		local ch = chan(3)
		for i = 1, 3 do ch:send(i) end
		check.eq(ch:is_closed(), false)
		ch:close()
		check.eq(ch:is_closed(), true)
		check.eq(#ch, 3)
		for i = 1, 3 do check.returns(table.pack(ch:recv()), i) end
		for _ = 1, 3 do check.returns(table.pack(ch:recv()), nil, "closed") end
		check.returns(table.pack(ch:recv(1)), nil, "closed")
		check.returns(table.pack(ch:recv(0)), nil, "closed")
	]])

	test("twice raises", [[
		local ch = chan()
		ch:close()
		check.raises("close of closed channel", ch.close, ch)
		check.raises("close of closed channel", function() ch:close() end)
		check.eq(ch:is_closed(), true)
	]])

	test("makes sends raise", [[
		local ch = chan(5)
		ch:close()
		check.raises("send on closed channel", ch.send, ch, 1)
		check.raises("send on closed channel", function() ch:send(1, 1) end)
		check.raises("send on closed channel", function() ch:send(1, 0) end)
		check.eq(#ch, 0)
	]])

	test("wakes all receivers", [[
		local ch = chan()
		local tasks = {}
		for i = 1, 20 do
			tasks[i] = vai.async(function() return ch:recv() end)
			check.waiting(tasks[i])
		end
		ch:close()
		for i = 1, 20 do check.returns(table.pack(tasks[i]:join()), true, nil, "closed") end
	]])

	test("makes waiting senders raise", [[
		for _, cap in ipairs { 0, 2 } do
			local ch = chan(cap)
			for i = 1, cap do ch:send(i) end
			local tasks = {}
			for i = 1, 10 do
				tasks[i] = vai.async(function() return ch:send("never") end)
				check.waiting(tasks[i])
			end
			ch:close()
			for i = 1, 10 do
				local ok, err = tasks[i]:join()
				check.eq(ok, false)
				assert(err:find "send on closed channel", err)
			end
			for i = 1, cap do check.eq(ch:recv(), i) end
			check.returns(table.pack(ch:recv()), nil, "closed")
		end
	]])

	test("from another goroutine", [[
		local ch = chan()
		go(function() ch:close() end)
		check.returns(table.pack(ch:recv()), nil, "closed")
	]])

	test("races with receivers without loss", [[
		for _ = 1, check.scaled(300) do
			local ch = chan(2)
			local task = vai.async(function()
				local n = 0
				for _ in ch do n = n + 1 end
				return n
			end)
			ch:send(1)
			ch:send(2)
			ch:send(3)
			ch:close()
			check.returns(table.pack(task:join()), true, 3)
		end
	]])
end)

describe("for v in ch", function()
	test("receives until closed and drained", [[
		local ch = chan(2)
		go(function()
			for i = 1, 10 do ch:send(i) end
			ch:close()
		end)
		local sum, n = 0, 0
		for v in ch do sum, n = sum + v, n + 1 end
		check.eq(sum, 55)
		check.eq(n, 10)
		check.returns(table.pack(ch:recv()), nil, "closed")
	]])

	test("goes on past false", [[
		local ch = chan(3)
		ch:send(false)
		ch:send(1)
		ch:send(false)
		ch:close()
		local n = 0
		for _ in ch do n = n + 1 end
		check.eq(n, 3)
	]])

	test("can be left and taken up again", [[
		local ch = chan(4)
		for i = 1, 4 do ch:send(i) end
		ch:close()
		for v in ch do
			if v == 2 then break end
		end
		local rest = {}
		for v in ch do rest[#rest + 1] = v end
		check.eq(table.concat(rest, ","), "3,4")
		for _ in ch do error "not empty" end
	]])

	test("by several at once shares the values out", [[
		local ch, counts = chan(), chan(4)
		for _ = 1, 4 do
			go(function()
				local n = 0
				for _ in ch do n = n + 1 end
				counts:send(n)
			end)
		end
		for i = 1, 1000 do ch:send(i) end
		ch:close()
		local n = 0
		for _ = 1, 4 do n = n + counts:recv() end
		check.eq(n, 1000)
	]])
end)

describe("a channel", function()
	test("is told apart and compared by identity", [[
		local a, b = chan(), chan()
		assert(a == a and a ~= b)
		local t = { [a] = 1, [b] = 2 }
		local pipe = chan(4)
		pipe:send(a)
		pipe:send { b, a }
		check.eq(t[pipe:recv()], 1)
		local r = pipe:recv()
		check.eq(t[r[1] ], 2)
		check.eq(t[r[2] ], 1)
	]])

	test("has a printable name", [[
		assert(tostring(chan()):find "chan", tostring(chan()))
		check.eq(type(chan()), "userdata")
	]])

	test("can travel through itself", [[
		local ch = chan(1)
		ch:send(ch)
		local same = ch:recv()
		check.eq(same, ch)
		same:send "x"
		check.eq(ch:recv(), "x")
		ch:send(ch) -- left inside
	]])

	test("carries requests with their reply channel", [[
		local requests = chan()
		for _ = 1, 3 do
			go(function()
				for r in requests do r.reply:send(r.n * r.n) end
			end)
		end
		local wg = waitgroup()
		for i = 1, 50 do
			wg:go(function()
				local reply = chan()
				requests:send { n = i, reply = reply }
				assert(reply:recv() == i * i)
			end)
		end
		wg:wait()
		requests:close()
	]])

	test("carries channels of channels", [[
		local top = chan()
		go(function()
			local mid = chan()
			top:send(mid)
			local leaf = mid:recv()
			leaf:send "deep"
		end)
		local mid, leaf = top:recv(), chan()
		mid:send(leaf)
		check.eq(leaf:recv(), "deep")
	]])
end)

describe("capacity", function()
	test("that makes no sense is an error", [[
		for _, bad in ipairs { -1, math.mininteger, 1 << 60, math.maxinteger, 1.5, 0 / 0, math.huge, -math.huge,
			"x", true, {}, print } do
			check.raises({ "chan" }, chan, bad)
			check.raises({ "chan" }, function() return vai.chan(bad) end)
		end
		check.eq(chan(2.0):cap(), 2)
		check.eq(chan(nil):cap(), 0)
	]])
end)

describe("ping-pong", function()
	test("between goroutines", [[
		local a, b, done = chan(), chan(), chan()
		local n = check.scaled(20000)
		go(function() for v in a do b:send(v + 1) end b:close() end)
		go(function()
			local v = 0
			for _ = 1, n do
				a:send(v)
				v = b:recv()
			end
			a:close()
			done:send(v)
		end)
		check.eq(done:recv(), n)
	]])

	test("ring of 503", [[
		local first = chan()
		local ch = first
		for _ = 2, 503 do
			local nxt = chan()
			go(function() for v in ch do nxt:send(v - 1) end nxt:close() end)
			ch = nxt
		end
		local n = 503 * 4
		go(function() first:send(n) end)
		while true do
			local v = ch:recv()
			if v <= 0 then break end
			go(function() first:send(v - 1) end)
		end
	]])
end)

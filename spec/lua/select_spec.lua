-- SPDX-License-Identifier: MIT
-- select.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("select", function()
	test("finds the number of a case whatever the order in the table", [[
		local a, b, c = chan(1), chan(1), chan(1)
		local cases = {}
		for k, ch in pairs {[3] = c, [2] = b, [1] = a} do cases[k] = ch end
		for k, ch in ipairs {a, b, c} do
			ch:send(k)
			check.returns(table.pack(select(cases)), k, k)
			check.returns(table.pack(select {[3] = c, default = true, [1] = a, timeout = 1, [2] = b}), nil, "default")
		end
		cases["1"] = c
		c:send "named or third"
		local key = select(cases)
		assert(key == 3 or key == "1")
		check.returns(table.pack(select {a, setmetatable({b, "x"}, {}), {false, 1}, timeout = 1}), 2, true)
		check.returns(table.pack(select {a, {b, "y"}, timeout = 0}), nil, "timeout")
		check.returns(table.pack(select {b, a, timeout = 1}), 1, "x")
		check.returns(table.pack(select {a, {b, "y"}, timeout = 0, default = false}), 2, true)
	]])

	test("receives", [[
		local a, b = chan(1), chan(1)
		b:send "x"
		check.returns(table.pack(select { a, b }), 2, "x")
		a:send(false)
		check.returns(table.pack(select { a, b }), 1, false)
	]])

	test("sends", [[
		local a, b = chan(), chan(1)
		check.returns(table.pack(select { { a, 1 }, { b, 2 } }), 2, true)
		check.eq(b:recv(), 2)
		b:send(0)
		local task = vai.async(function() return a:recv() end)
		check.returns(table.pack(select { { a, "to a" }, { b, 3 } }), 1, true)
		check.returns(table.pack(task:join()), true, "to a")
	]])

	test("waits for the first that is ready", [[
		local a, b, out = chan(), chan(), chan()
		local task = go(function()
			local i, v = select { a, b, { out, "mine" } }
			out:send(i .. v)
		end)
		check.waiting(task)
		b:send "B"
		check.eq(out:recv(), "2B")
		task = vai.async(function() return select { a, { b, "given" } } end)
		check.waiting(task)
		check.eq(b:recv(), "given")
		check.returns(table.pack(task:join()), true, 2, true)
	]])

	test("of several ready ones takes any, each at times", [[
		local a, b, c = chan(1000), chan(1000), chan(1000)
		local hits = { 0, 0, 0 }
		for _ = 1, 1000 do a:send(1) b:send(2) end
		for _ = 1, 900 do
			local i, v = select { a, b, { c, 1 } }
			hits[i] = hits[i] + 1
			assert(i == 3 or v == i)
		end
		for i = 1, 3 do assert(hits[i] > 200, table.concat(hits, " ")) end
	]])

	test("tells a closed channel", [[
		local ch = chan(1)
		ch:send "last"
		ch:close()
		check.returns(table.pack(select { ch }), 1, "last")
		check.returns(table.pack(select { ch }), 1, nil, "closed")
		check.returns(table.pack(select { chan(), ch }), 2, nil, "closed")
		check.returns(table.pack(select { ch, default = true }), 1, nil, "closed")
	]])

	test("is woken by close", [[
		local a, b = chan(), chan()
		local task = vai.async(function() return select { a, b } end)
		check.waiting(task)
		b:close()
		check.returns(table.pack(task:join()), true, 2, nil, "closed")
	]])

	test("sending on a closed channel raises", [[
		local ch = chan()
		local task = vai.async(function() return select { chan(), { ch, 1 } } end)
		check.waiting(task)
		ch:close()
		local ok, err = task:join()
		check.eq(ok, false)
		assert(err:find "send on closed channel", err)
		check.raises("send on closed channel", select, { { ch, 1 } })
		check.raises("send on closed channel", select, { { ch, 1 }, default = true })
	]])

	test("takes default when none is ready", [[
		local a = chan(1)
		check.returns(table.pack(select { a, default = true }), nil, "default")
		a:send(1)
		check.returns(table.pack(select { { a, 2 }, default = true }), nil, "default")
		check.returns(table.pack(select { a, default = true }), 1, 1)
		check.returns(table.pack(select { default = true }), nil, "default")
		check.returns(table.pack(select { a, timeout = 100, default = true }), nil, "default")
	]])

	test("times out", [[
		local a = chan()
		local t0 = vai.now()
		check.returns(table.pack(select { a, { a, 1 }, timeout = 0.02 }), nil, "timeout")
		assert(vai.now() - t0 >= 0.0199)
		check.returns(table.pack(select { a, timeout = 0 }), nil, "timeout")
		check.returns(table.pack(select { timeout = 0.001 }), nil, "timeout")
		check.returns(table.pack(select { timeout = 0 }), nil, "timeout")
		go(function() a:send "in time" end)
		check.returns(table.pack(select { a, timeout = 100 }), 1, "in time")
	]])

	test("false is never ready", [[
		local a = chan(1)
		check.returns(table.pack(select { false, default = true }), nil, "default")
		check.returns(table.pack(select { false, false, timeout = 0.001 }), nil, "timeout")
		check.returns(table.pack(select { { false, 1 }, default = true }), nil, "default")
		for _ = 1, 50 do
			check.returns(table.pack(select { false, { a, 1 }, false }), 2, true)
			check.returns(table.pack(select { false, false, a }), 3, 1)
		end
	]])

	test("the list can be reused and changed", [[
		local a, b = chan(10), chan(10)
		local cases = { a, b }
		for i = 1, 10 do a:send(i) b:send(-i) end
		local seen = { {}, {} }
		for _ = 1, 20 do
			local i, v = select(cases)
			table.insert(seen[i], v)
		end
		for i = 1, 10 do
			check.eq(seen[1][i], i)
			check.eq(seen[2][i], -i)
		end
		assert(cases[1] == a and cases[2] == b and #cases == 2)
		local out = { b, 1 }
		cases[1] = out
		cases[2] = nil
		for i = 1, 5 do
			out[2] = i * 2
			check.returns(table.pack(select(cases)), 1, true)
		end
		for i = 1, 5 do check.eq(b:recv(), i * 2) end
	]])

	test("takes a channel twice", [[
		local ch = chan()
		for _ = 1, 20 do
			local task = vai.async(function() return select { ch, ch, { ch, "?" }, ch } end)
			check.waiting(task)
			ch:send(5)
			local ok, i, v = task:join()
			assert(ok and v == 5 and i ~= 3)
			check.returns(table.pack(ch:try_recv()), nil, "empty")
			check.returns(table.pack(ch:try_send(1)), nil, "full")
		end
	]])

	test("does not meet itself", [[
		local ch = chan()
		check.returns(table.pack(select { ch, { ch, 1 }, default = true }), nil, "default")
		check.returns(table.pack(select { ch, { ch, 1 }, timeout = 0.005 }), nil, "timeout")
		local buffered = chan(1)
		check.returns(table.pack(select { buffered, { buffered, 1 } }), 2, true)
		check.returns(table.pack(select { buffered, { buffered, 1 } }), 1, 1)
	]])

	test("two selects meet", [[
		local a, b = chan(), chan()
		local left = vai.async(function() return select { { a, "a" }, { b, "b" } } end)
		local right = vai.async(function() return select { b, a } end)
		local ok, i, sent = left:join()
		assert(ok and sent == true)
		local ok2, k, v = right:join()
		assert(ok2)
		check.eq(v, i == 1 and "a" or "b")
		check.eq(k, 3 - i)
	]])

	test("leaves losers as they were", [[
		local chans = {}
		for i = 1, 10 do chans[i] = chan() end
		for round = 1, 100 do
			local task = vai.async(function()
				return select { chans[1], chans[2], chans[3], { chans[4], 4 }, { chans[5], 5 } }
			end)
			if round % 2 == 0 then check.waiting(task) end
			chans[3]:send(round)
			check.returns(table.pack(task:join()), true, 3, round)
		end
		for i = 1, 10 do
			check.returns(table.pack(chans[i]:try_recv()), nil, "empty")
			check.returns(table.pack(chans[i]:try_send(1)), nil, "full")
		end
	]])

	test("keeps FIFO with plain waiters", [[
		local ch, other, order = chan(), chan(), chan(10)
		check.waiting(go(function() order:send("1:" .. ch:recv()) end))
		check.waiting(go(function()
			local _, v = select { other, ch }
			order:send("2:" .. v)
		end))
		check.waiting(go(function() order:send("3:" .. ch:recv()) end))
		for i = 1, 3 do
			ch:send(i)
			check.eq(order:recv(), i .. ":" .. i)
		end
	]])

	test("of many cases", [[
		local n = 1000
		local cases = {}
		for i = 1, n do cases[i] = chan() end
		for _, k in ipairs { 1, 17, 500, 999, 1000 } do
			local ch = cases[k]
			go(function() ch:send(k) end)
			check.returns(table.pack(select(cases)), k, k)
		end
		check.returns(table.pack(select { timeout = 0.001, table.unpack(cases, 1, 200) }), nil, "timeout")
	]])

	test("forwards in a loop with nil channels", [[
		local src, dst, got = chan(), chan(), chan()
		go(function()
			local queue, open = {}, true
			while open or #queue > 0 do
				local i, v, err = select { open and src, #queue > 0 and { dst, queue[1] } }
				if i == 2 then
					table.remove(queue, 1)
				elseif err == "closed" then
					open = false
				else
					queue[#queue + 1] = v
				end
			end
			dst:close()
		end)
		go(function()
			local n = 0
			for v in dst do
				n = n + 1
				assert(v == n)
			end
			got:send(n)
		end)
		for i = 1, 300 do src:send(i) end
		src:close()
		check.eq(got:recv(), 300)
	]])

	test("carries tables both ways", [[
		local a, b = chan(), chan()
		go(function()
			for _ = 1, 50 do
				local _, v = select { a, false }
				v.n = v.n + 1
				select { { b, v } }
			end
		end)
		for i = 1, 50 do
			select { { a, { n = i, list = { 1, 2 } } } }
			local _, v = select { b }
			check.eq(v.n, i + 1)
			check.eq(v.list[2], 2)
		end
	]])

	test("values of cases not chosen are not lost or changed", [[
		local a, b = chan(1), chan(1)
		b:send "full"
		local t = { name = "t" }
		for _ = 1, 20 do
			check.returns(table.pack(select { { b, t }, { a, t } }), 2, true)
			local got = a:recv()
			assert(got ~= t and got.name == "t")
		end
		check.eq(t.name, "t")
	]])

	test("raises on a value that cannot be sent, with its place", [[
		local a = chan(1)
		check.raises({ "select", "log", "FILE%*" }, select, { { a, { log = io.stdout } } })
		check.eq(#a, 0)
		check.raises({ "select", "nil" }, select, { { a } })
		check.raises({ "select", "nil" }, select, { { a, nil } })
	]])

	test("stress: all kinds at once", [[
		local c = { chan(), chan(), chan(2), chan(3) }
		local n = check.scaled(2000)
		local wg = waitgroup()
		for k = 1, 4 do
			wg:go(function() for _ = 1, n do c[k]:send(0) end end)
			wg:go(function() for _ = 1, n do c[k]:recv() end end)
		end
		wg:go(function()
			local left = { n, n, n, n }
			local cases = {}
			for i = 1, 4 do cases[i] = { c[i], 0 } end
			for _ = 1, 4 * n do
				local i = select(cases)
				left[i] = left[i] - 1
				if left[i] == 0 then cases[i] = false end
			end
		end)
		wg:go(function()
			local left = { n, n, n, n }
			local cases = { c[4], c[3], c[2], c[1] }
			for _ = 1, 4 * n do
				local i = select(cases)
				left[i] = left[i] - 1
				if left[i] == 0 then cases[i] = false end
			end
		end)
		wg:wait()
	]])
end)

describe("select with names", function()
	test("gives the name of the case", [[
		local a, b = chan(1), chan(1)
		a:send(5)
		check.returns(table.pack(select { recv = a, quit = b, timeout = 1 }), "recv", 5)
		check.returns(table.pack(select { recv = a, quit = b, default = true }), nil, "default")
		check.returns(table.pack(select { recv = a, quit = b, timeout = 0.001 }), nil, "timeout")
		check.returns(table.pack(select { put = { a, { 1, 2 } }, quit = b }), "put", true)
		check.same(a:recv(), { 1, 2 })
		b:close()
		check.returns(table.pack(select { off = false, recv = a, quit = b, none = { false, 1 } }), "quit", nil, "closed")
	]])

	test("stands beside a list, however the table was built", [=[
		local chans, names = {}, {}
		for i = 1, 30 do chans[i] = chan(1) names[i] = "case" .. i end
		for round = 1, 60 do
			local t = {}
			local place = {}
			for _, i in ipairs(round % 2 == 0 and { 3, 1, 2 } or { 1, 2, 3 }) do
				if round % 3 == 0 then t[names[i]] = chans[3 + i] end
				t[i] = chans[i]
				place[i] = i
			end
			for i = 4, 30 do t[names[i]] = chans[i] place[i] = names[i] end
			for _, i in ipairs { 1, 2, 3, 4, 17, 30 } do
				if not (round % 3 == 0 and i > 3 and i < 7) then
					chans[i]:send(i)
					check.returns(table.pack(select(t)), place[i], i)
				end
			end
		end
	]=])

	test("waits, and keeps what it needs of a table that changes", [[
		local a, b = chan(), chan()
		local t = { first = a, second = b }
		go(function() check.until_true(function() return vai.count() >= 2 end) b:send "x" end)
		local co = coroutine.wrap(function() return select(t) end)
		check.returns(table.pack(co()), "second", "x")
	]])

	test("keeps the cases of one among many apart from those of another that it calls", [[
		local function many(last) local t = {} for i = 1, 12 do t[i] = chan(1) end t[13] = last return t end
		local inner, box, calls = many(), chan(1), 0
		for i = 1, 12 do inner[i] = chan(2) inner[i]:send "inner" inner[i]:send "inner" end
		box:send "outer"
		local object = setmetatable({}, { __vai_channel = function()
			calls = calls + 1
			check.eq(table.pack(select(inner))[2], "inner")
			return box
		end })
		check.returns(table.pack(select(many(object))), 13, "outer")
		check.eq(calls, 1)
		for _ = 1, 3 do
			check.raises("case 13: channel expected, got number", select, many(5))
			box:send "again"
			check.returns(table.pack(select(many(box))), 13, "again")
		end
	]])

	test("refuses odd cases, and says what helps", [[
		local a = chan(1)
		local function refuses(pattern, t) check.raises(pattern, select, t) end
		refuses("case 'recv': channel expected, got function %(what to do follows", { recv = print })
		refuses("case 2: channel expected, got function %(what to do follows", { a, print })
		refuses("case 2: channel expected, got vai.task %(task:done%(%) is a channel%)", { a, vai.async(print) })
		refuses("case 'tick': channel expected, got vai.ticker %(ticker:chan%(%) is one%)", { tick = vai.ticker(60) })
		refuses("case 1: channel expected, got number %(channel to receive, {channel, value} to send%)", { 5 })
		refuses("case 'c': channel to send to expected, got function", { c = { print, a } })
		refuses("case 'c': nil cannot be sent", { c = { a } })
		refuses("select: case 'c': thread cannot be sent", { c = { a, coroutine.create(print) } })
		refuses("unknown option 'tiemout'", { a, tiemout = 3 })
		refuses("unknown option 'deflaut'", { a, deflaut = true })
		refuses("timeout: number or context expected, got vai.channel", { timeout = a })
	]])
end)

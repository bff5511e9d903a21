-- SPDX-License-Identifier: MIT
-- What ends with a block: channels, tasks, timers, tickers and deferred calls in to-be-closed variables. And
-- task:done, which tells select of the end of a goroutine.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a to-be-closed channel", function()
	test("is closed at the end of its block", [[
		local out
		do
			local ch <close> = chan(1)
			ch:send "left"
			out = ch
		end
		check.eq(out:is_closed(), true)
		check.returns(table.pack(out:recv()), "left")
		check.returns(table.pack(out:recv()), nil, "closed")
	]])

	test("may have been closed before", [[
		do
			local ch <close> = chan()
			ch:close()
		end
		check.raises("close of closed channel", function() local ch = chan() ch:close() ch:close() end)
	]])

	test("lets receivers go where the block fails", [[
		local n = 0
		local task
		check.raises("broken", function()
			local ch <close> = chan()
			task = vai.async(function() local n = 0 for v in ch do n = n + v end return n end)
			ch:send(1) ch:send(2)
			error "broken"
		end)
		check.returns(table.pack(task:join()), true, 3)
	]])
end)

describe("a to-be-closed task", function()
	test("has ended when the block has, also where who leaves that is canceled meanwhile", [[
		vai.test.run(1, function()
			local left, up = chan(1), chan()
			local owner = vai.async(function()
				local child
				pcall(function()
					local task <close> = vai.go(function()
						local slow <close> = vai.defer(vai.sleep, 5)
						up:send(true)
						vai.sleep(60)
					end)
					child = task
					up:recv()
				end)
				left:send(child:status())
			end)
			vai.sleep(1)
			owner:cancel()
			check.eq(left:recv(), "failed")
			check.eq(vai.now(), 6.0)
		end)
	]])

	test("has ended, with its closers, when the block has", [[
		local begun, notes = chan(), chan(1)
		local kept
		do
			local task <close> = vai.go(function()
				local note <close> = vai.defer(function() vai.sleep(0.01) notes:send "closed" end)
				begun:send(true)
				vai.sleep(600)
			end)
			kept = task
			begun:recv()
		end
		check.eq(kept:status(), "failed")
		check.returns(table.pack(notes:try_recv()), "closed")
		check.failed(table.pack(kept:join()), "canceled")
	]])

	test("that has ended leaves its results alone", [[
		local kept
		do
			local task <close> = vai.async(function() return 1, 2 end)
			task:join()
			kept = task
		end
		check.returns(table.pack(kept:join()), true, 1, 2)
	]])

	program.test("whose own error nobody has seen is reported", [[
		do
			local task <close> = vai.async(error, "its own", 0)
			check.until_true(function() return task:status() == "failed" end)
		end
		collectgarbage() collectgarbage()
		io.write "on\n"
	]], { err = "failed and nobody joined it: its own", out = "on\n" })

	test("may be the goroutine itself", [[
		local handle = chan(1)
		local task = vai.async(function()
			local me <close> = handle:recv()
			return "through"
		end)
		handle:send(task)
		check.returns(table.pack(task:join()), true, "through")
	]])

	test("is canceled where its owner is", [[
		local inner, begun = chan(1), chan()
		local outer = vai.async(function()
			local task <close> = vai.async(function() begun:send(true) vai.sleep(600) end)
			inner:send(task)
			vai.sleep(600)
		end)
		begun:recv()
		outer:cancel()
		check.failed(table.pack(outer:join()), "canceled")
		check.failed(table.pack(inner:recv():join()), "canceled")
	]])
end)

describe("to-be-closed timers and tickers", function()
	test("are stopped", [[
		local fired = chan(1)
		local timer, ticker
		do
			local a <close> = vai.timer(600, function() fired:send(true) end)
			local b <close> = vai.ticker(600)
			timer, ticker = a, b
		end
		check.eq(timer:stop(), false)
		check.eq(ticker:stop(), false)
		do
			local a <close> = vai.timer(600, print)
			check.eq(a:stop(), true)
		end
	]])
end)

describe("defer", function()
	test("calls with its arguments at the end, the last first", [[
		local list = {}
		local function note(...) list[#list + 1] = table.concat({ ... }, " ") end
		do
			local a <close> = vai.defer(note, "a", 1)
			local b <close> = vai.defer(note, "b")
			note "body"
		end
		check.eq(table.concat(list, ","), "body,b,a 1")
	]])

	test("passes nils and many arguments on", [[
		local got
		do local d <close> = vai.defer(function(...) got = table.pack(...) end, nil, 2, nil) end
		check.returns(got, nil, 2, nil)
		local many = {}
		for i = 1, 200 do many[i] = i end
		do local d <close> = vai.defer(function(...) got = table.pack(...) end, table.unpack(many)) end
		check.eq(got.n, 200)
		check.eq(got[200], 200)
	]])

	test("is called when the block is left by an error, break or return, in goroutines and coroutines", [[
		local function run()
			local list = {}
			local function add(v) list[#list + 1] = v end
			pcall(function() local d <close> = vai.defer(add, "error") error "x" end)
			for _ = 1, 2 do local d <close> = vai.defer(add, "break") break end
			local function f() local d <close> = vai.defer(add, "return") return #list end
			add(f())
			local co = coroutine.wrap(function() local d <close> = vai.defer(add, "coroutine") coroutine.yield() end)
			co() co()
			local closed = coroutine.create(function() local d <close> = vai.defer(add, "close") coroutine.yield() end)
			coroutine.resume(closed) coroutine.close(closed)
			return table.concat(list, " ")
		end
		local want = "error break return 2 coroutine close"
		check.eq(run(), want)
		check.returns(table.pack(vai.async(run):join()), true, want)
	]])

	test("may wait, and its error is the block's", [[
		local ch = chan()
		go(function() ch:send "woken" end)
		local got
		do local d <close> = vai.defer(function() got = ch:recv() end) end
		check.eq(got, "woken")
		check.raises("in the end", function() local d <close> = vai.defer(error, "in the end") end)
	]])

	test("is called once, and refuses what is no function", [[
		local n = 0
		local d = vai.defer(function() n = n + 1 end)
		do local a <close> = d end
		do local a <close> = d end
		check.eq(n, 1)
		check.raises("bad argument #1 to 'defer' %(function expected, got no value%)", vai.defer)
		check.raises("bad argument #1 to 'defer' %(function expected, got string%)", vai.defer, "f")
		check.raises("cannot be sent", go, function() return d end)
	]])
end)

describe("task:done", function()
	test("is closed when the goroutine has ended, however it ended", [[
		local gate = chan()
		for i, body in ipairs { function() gate:recv() end, function() gate:recv() error "x" end } do
			local task = vai.async(body)
			local done = task:done()
			check.eq(done:is_closed(), false)
			check.returns(table.pack(select { done, timeout = 0.001 }), nil, "timeout")
			gate:send(true)
			check.returns(table.pack(select { done }), 1, nil, "closed")
			assert(task:status() == "done" or task:status() == "failed")
			check.eq(task:done() == done, true)
			check.raises("close on the channel of a context or task", done.close, done)
			check.raises("close on the channel of a context or task", function() local over <close> = done end)
			check.raises("send on the channel of a context or task", done.send, done, 1)
			check.raises("send on the channel of a context or task", select, { { done, 1 } })
			task:join()
		end
		local task = vai.async(vai.sleep, 600)
		local done = task:done()
		task:cancel()
		check.returns(table.pack(done:recv()), nil, "closed")
	]])

	test("of one that had ended is closed", [[
		local task = vai.async(function() end)
		task:join()
		check.eq(task:done():is_closed(), true)
	]])

	test("is the same channel for all, while many ask at the end", [[
		for _ = 1, check.scaled(300) do
			local task = vai.async(function() vai.yield() end)
			local askers = {}
			for i = 1, 4 do askers[i] = vai.async(function() local d = task:done() d:recv() return d end) end
			local _, first = askers[1]:join()
			for i = 2, 4 do
				local ok, d = askers[i]:join()
				check.eq(ok, true)
				check.eq(d == first, true)
			end
		end
	]])
end)

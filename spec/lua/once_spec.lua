-- SPDX-License-Identifier: MIT
-- once and once_value: what Go's tests of sync.Once and sync.OnceValue ask for.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a once", function()
	test("runs one function, once; the others wait", [[
		local once, n, wg = vai.once(), chan(100), waitgroup()
		local ran = chan(100)
		for i = 1, 20 do
			wg:go(function()
				ran:send(once:call(function(a) vai.sleep(0.005) n:send(a) end, i))
				assert(#n == 1)
			end)
		end
		wg:wait()
		local first = 0
		for _ = 1, 20 do if ran:recv() then first = first + 1 end end
		check.eq(first, 1)
		check.eq(once:call(error), false)
		check.raises("function expected", once.call, vai.once(), 1)
		check.eq(tostring(once):match("^once: ") ~= nil, true)
	]])

	test("is done even where the function raised: the first caller gets the error", [[
		local once = vai.once()
		local gate = chan()
		local first = vai.async(function() once:call(function() gate:recv() error("broken", 0) end) end)
		check.waiting(first)
		local waiter = vai.async(function() return once:call(print) end)
		check.waiting(waiter)
		gate:close()
		check.failed(table.pack(first:join()), "broken")
		check.returns(table.pack(waiter:join()), true, false)
		check.eq(once:call(print), false)
	]])

	test("is done where its goroutine is canceled", [[
		local once = vai.once()
		local first = vai.async(function() once:call(function() chan():recv(vai.context():with_timeout(60)) end) end)
		check.waiting(first)
		local waiter = vai.async(function() return once:call(print) end)
		check.waiting(waiter)
		local gone = vai.async(function() return once:call(print) end)
		check.waiting(gone)
		gone:cancel("no")
		check.failed(table.pack(gone:join()), "no")
		first:cancel()
		check.returns(table.pack(waiter:join(10)), true, false)
	]])

	test("called from within raises", [[
		local once = vai.once()
		check.raises("once called from within its own function", function()
			once:call(function() once:call(print) end)
		end)
		check.eq(once:call(print), false)
		local other = vai.once()
		local inner
		check.eq(other:call(function() inner = vai.once():call(function() end) end), true)
		check.eq(inner, true)
	]])

	test("lets its function yield, and stands in dumps", [[
		local once = vai.once()
		local co = coroutine.wrap(function() return once:call(coroutine.yield, 5) end)
		check.eq(co(), 5)
		check.eq(co(), true)
		once = vai.once()
		local task = go(function() once:call(function() chan():recv() end) end)
		check.waiting(task)
		local ok, err = pcall(once.call, once, print)
		assert(err:find("once]:\n\ton once made at [^\n]*:5 %(run by goroutine %d+%)"), err)
	]])
end)

describe("once_value", function()
	test("gives every caller the results", [[
		local calls = 0
		local f = vai.once_value(function() calls = calls + 1 return calls, nil, "x" end)
		check.eq(type(f), "function")
		check.returns(table.pack(f()), 1, nil, "x")
		check.returns(table.pack(f(7)), 1, nil, "x")
		check.eq(calls, 1)
		check.returns(table.pack(vai.once_value(function() end)()))
	]])

	test("runs once in all goroutines together", [[
		local runs, wg = chan(100), waitgroup()
		local f = vai.once_value(function() runs:send(1) vai.sleep(0.005) return { id = vai.id() } end)
		local ids = chan(50)
		for _ = 1, 50 do
			wg:go(function()
				local t = f()
				assert(t == f())
				ids:send(t.id)
			end)
		end
		wg:wait()
		check.eq(#runs, 1)
		local id = ids:recv()
		for _ = 2, 50 do check.eq(ids:recv(), id) end
		check.eq(f().id, id)
	]])

	test("gives every caller the error, too", [[
		local f = vai.once_value(function() error({ code = 5 }) end)
		for _ = 1, 2 do
			local ok, err = pcall(f)
			check.eq(ok, false)
			check.eq(err.code, 5)
		end
		local ok, err = vai.async(function() f() end):join()
		check.eq(ok, false)
		check.eq(err.code, 5)
		check.raises("from within", function() local g g = vai.once_value(function() return g() end) g() end)
		check.raises("function expected", vai.once_value, 1)
	]])

	test("results that cannot be sent stay where they are", [[
		local f = vai.once_value(function() return io.stdout end)
		check.eq(f(), io.stdout)
		local ok, err = vai.async(function() return f() end):join()
		check.eq(ok, false)
		assert(err:find("FILE"), err)
		check.eq(f(), io.stdout)
	]])
end)

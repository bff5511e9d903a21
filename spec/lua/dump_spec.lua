-- SPDX-License-Identifier: MIT
-- What reports say about goroutines: the report of a deadlock, vai.dump, SIGQUIT.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- The file's name and the numbers of goroutines are as they come.
local prelude = [[
local function plain(report)
	return (report:gsub("[^%s<']*program%.lua", "p"):gsub("goroutine %d+", "goroutine N"):gsub(", %d+ seconds?%]", ", T]"))
end
]]
prelude = prelude:gsub("\n", " ")

local function test(name, source, opts)
	program.test(name, prelude .. source, opts)
end

describe("the report of a deadlock", function()
	test("tells what each waits for, how long, where it was made, and where it stands", [[
		local b = chan(2)
		local c = chan()
		local wg = waitgroup()
		local after = vai.after(0)
		wg:add(1)
		b:send(1)
		b:send(2)
		go(function() b:send(3) end)
		go(function() select { c, false, { b, 4 } } end)
		go(function() select { false } end)
		go(function() wg:wait() end)
		local task = vai.async(function() c:recv() end)
		go(function() task:join() end)
		go(function() for _ in c do error() end end)
		go(function()
			coroutine.wrap(function()
				table.sort({ 2, 1 }, function() return c:recv() end)
			end)()
		end)
		go(function()
			local t = setmetatable({}, { __index = function() local v = c:recv() return v end })
			return t.x
		end)
		go(function() after:recv() after:recv() end)
		vai.sleep(1.3)
		local ok, err = coroutine.wrap(function() return pcall(c.recv, c) end)()
		assert(not ok)
		check.eq(plain(err), [==[
all goroutines are asleep - deadlock!

goroutine N [chan receive]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in ?
	[C]: in function 'pcall'
	p:26: in function <p:26>
	in a coroutine of:
	[C]: in ?
	p:26: in main chunk
	[C]: in ?

goroutine N [chan send, T]:
	on channel made at p:1 (len 2, cap 2)
	[C]: in method 'send'
	p:8: in function <p:8>
	created at p:8

goroutine N [select, T]:
	case 1: receive from channel made at p:2 (len 0, cap 0)
	case 3: send to channel made at p:1 (len 2, cap 2)
	[C]: in upvalue 'select'
	p:9: in function <p:9>
	created at p:9

goroutine N [select (no cases), T]:
	[C]: in upvalue 'select'
	p:10: in function <p:10>
	created at p:10

goroutine N [waitgroup wait, T]:
	on waitgroup made at p:3 (count 1)
	[C]: in method 'wait'
	p:11: in function <p:11>
	created at p:11

goroutine N [chan receive, T]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in method 'recv'
	p:12: in function <p:12>
	created at p:12

goroutine N [task join, T]:
	on goroutine N
	[C]: in method 'join'
	p:13: in function <p:13>
	created at p:13

goroutine N [chan receive, T]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in for iterator 'for iterator'
	p:14: in function <p:14>
	created at p:14

goroutine N [chan receive, T]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in method 'recv'
	p:17: in function <p:17>
	[C]: in field 'sort'
	p:17: in function <p:16>
	in a coroutine of:
	[C]: in ?
	p:16: in function <p:15>
	created at p:15

goroutine N [chan receive, T]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in method 'recv'
	p:21: in metamethod 'index'
	p:22: in function <p:20>
	created at p:20

goroutine N [chan receive, T]:
	on channel made at p:4 (len 0, cap 1)
	[C]: in method 'recv'
	p:24: in function <p:24>
	created at p:24]==])
	]])

	test("leaves out the middle of deep stacks, and tail calls", [[
		local c = chan()
		local function deep(n)
			if n > 0 then deep(n - 1) else c:recv() end
			return n
		end
		go(function() return deep(100) end)
		local ok, err = pcall(c.recv, c)
		assert(not ok)
		local line = "\tp:3: in upvalue 'deep'\n"
		local stack = "\t[C]: in method 'recv'\n" .. line:rep(9) .. "\t...\t(skipping 81 levels)\n" .. line:rep(10)
			.. "\tp:3: in function <p:2>\n\t(...tail calls...)\n\tcreated at p:6"
		assert(plain(err):find(stack, 1, true), err)
	]])

	test("lists a thousand, and how many more", [[
		local c = chan()
		for _ = 1, 1500 do go(function() c:recv() end) end
		local ok, err = pcall(c.recv, c)
		assert(not ok)
		local _, n = err:gsub("\ngoroutine %d+ %[chan receive%]:\n", "")
		check.eq(n, 1000)
		assert(err:find("\n\nand 501 more goroutines$"), err:sub(-200))
	]])

	test("of a handler of errors that waits, on main's thread", [[
		local c, d = chan(), chan()
		vai.on_panic(function()
			local v = d:recv()
			error(v)
		end)
		go(error, "x")
		coroutine.wrap(function()
			local ok, err = pcall(c.recv, c)
			assert(not ok)
			err = plain(err)
			assert(err:find("goroutine N [chan receive]:\n\ton channel made at p:1 ", 1, true), err)
			assert(err:find("\n\t[C]: in method 'recv'\n\tp:3: in function <p:2>\n\t[C]: in ?", 1, true), err)
		end)()
		d:send("y")
		c:recv()
	]], { status = 2, err = { "program%.lua:4: y", "x" } })
end)

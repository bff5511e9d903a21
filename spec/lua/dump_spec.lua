-- SPDX-License-Identifier: MIT
-- What reports say about goroutines: the report of a deadlock, vai.dump, SIGQUIT.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- The file's name and the numbers of goroutines are as they come.
local test = program.tester [[
local function plain(report)
	return (report:gsub("[^%s<']*program%.lua", "p"):gsub("goroutine %d+", "goroutine N"):gsub(", %d+ seconds?(%p)", "%1"))
end
]]

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
			local sort = coroutine.wrap(function()
				table.sort({ 2, 1 }, function() return c:recv() end) end)
			sort()
		end)
		go(function()
			local t = setmetatable({}, { __index = function() local v = c:recv() return v end })
			return t.x
		end)
		go(function() after:recv() after:recv() end)
		vai.sleep(1.3)
		local ok, err = coroutine.wrap(function() return pcall(c.recv, c) end)()
		assert(not ok)
		assert(err:find("\ngoroutine %d+ %[waitgroup wait, %d+ seconds?%]:\n"), err)
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

goroutine N [chan send]:
	on channel made at p:1 (len 2, cap 2)
	[C]: in method 'send'
	p:8: in function <p:8>
	created at p:8

goroutine N [select]:
	case 1: receive from channel made at p:2 (len 0, cap 0)
	case 3: send to channel made at p:1 (len 2, cap 2)
	[C]: in upvalue 'select'
	p:9: in function <p:9>
	created at p:9

goroutine N [select (no cases)]:
	[C]: in upvalue 'select'
	p:10: in function <p:10>
	created at p:10

goroutine N [waitgroup wait]:
	on waitgroup made at p:3 (count 1)
	[C]: in method 'wait'
	p:11: in function <p:11>
	created at p:11

goroutine N [chan receive]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in method 'recv'
	p:12: in function <p:12>
	created at p:12

goroutine N [task join]:
	on goroutine N
	[C]: in method 'join'
	p:13: in function <p:13>
	created at p:13

goroutine N [chan receive]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in for iterator 'for iterator'
	p:14: in function <p:14>
	created at p:14

goroutine N [chan receive]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in method 'recv'
	p:17: in function <p:17>
	[C]: in field 'sort'
	p:17: in function <p:16>
	in a coroutine of:
	[C]: in local 'sort'
	p:18: in function <p:15>
	created at p:15

goroutine N [chan receive]:
	on channel made at p:2 (len 0, cap 0)
	[C]: in method 'recv'
	p:21: in metamethod 'index'
	p:22: in function <p:20>
	created at p:20

goroutine N [chan receive]:
	on channel made at p:4 (len 0, cap 1)
	[C]: in method 'recv'
	p:24: in function <p:24>
	created at p:24]==])
	]])

	test("names goroutines, those with a thread of their own, and each coroutine", [[
		local c = chan()
		local t = vai.spawn({ name = "number nine" }, function()
			vai.lock_thread()
			local run = coroutine.wrap(function()
				local co = coroutine.create(function() c:recv() end)
				coroutine.resume(co) end)
			run()
		end)
		go(function() t:join() end)
		local ok, err = pcall(c.recv, c)
		assert(not ok)
		assert(plain(err):find("\n\ngoroutine N (number nine) [chan receive, locked to thread]:\n" ..
			"\ton channel made at p:1 (len 0, cap 0)\n\t[C]: in method 'recv'\n\tp:5: in function <p:5>\n" ..
			"\tin a coroutine of:\n\t[C]: in field 'resume'\n\tp:6: in function <p:4>\n" ..
			"\tin a coroutine of:\n\t[C]: in local 'run'\n\tp:7: in function <p:2>\n\tcreated at p:2\n", 1, true), err)
		assert(plain(err):find("\n\ngoroutine N [task join]:\n\ton goroutine N (number nine)\n", 1, true), err)
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

	test("tells places apart that have the same line, or one of the same remainder, whatever their sources are called", [[
		local c = chan()
		local names = { "a", "b", "c:7", ("n"):rep(40), ("n"):rep(59), ("n"):rep(58) .. "m" }
		for round = 1, 3 do
			for _, name in ipairs(names) do
				for _, line in ipairs { 1, 65, 12345 } do
					load(("\n"):rep(line - 1) .. "local go, c = ... go(function() c:recv() end)", "=" .. name)(go, c)
				end
			end
		end
		local ok, err = pcall(c.recv, c)
		assert(not ok)
		for _, name in ipairs(names) do
			for _, line in ipairs { 1, 65, 12345 } do
				local place = ("created at %s:%d\n"):format(name:sub(1, 62 - #tostring(line)), line)
				assert(err:find("\n\t" .. place .. "\tthey are %d+, %d+, %d+\n"), place .. err)
			end
		end
	]])

	test("tells what is alike once, with the longest wait, the odd ones first", [[
		local c, d = chan(), chan(1)
		local wg = waitgroup()
		for i = 1, 500 do
			wg:go(function() c:recv() end)
			if i == 250 then wg:go(function() vai.select { c, d } end) end
			if i % 250 == 0 then vai.spawn({ name = "named" }, function() c:recv() end) end
			if i == 1 then vai.sleep(1.1) end
		end
		local other = vai.async(function() d:recv() end)
		local ok, err = pcall(wg.wait, wg)
		assert(not ok)
		local _, lines = err:gsub("\n", "")
		assert(lines < 35, err)
		err = err:gsub("/[^%s]*program%.lua:", "p:")
		local main, choice = err:find "goroutine 1 %[waitgroup wait[^\n]-%]:", err:find "goroutine %d+ %[select[^\n]-%]:"
		local two = err:find "\n2 goroutines %(named%) %[chan receive[^\n]-%]:\n\ton channel made at p:1"
		local many = err:find("\n500 goroutines %[chan receive, [1-9] seconds?%]:\n\ton channel made at p:1 %(len 0, cap 0%)\n.*"
			.. "\n\tcreated at p:4\n\tthey are %d+, %d+, %d+, %d+, %d+, %.%.%.$")
		assert(two and many and main and choice and main < two and choice < two and two < many, err)
	]])

	test("lists a thousand kinds, and how many more goroutines", [[
		local c = chan()
		for i = 1, 1500 do vai.spawn({ name = "n" .. i % 1200 }, c.recv, c) end
		local ok, err = pcall(c.recv, c)
		assert(not ok)
		local _, n = err:gsub("\n%d* ?goroutines? ?%d* ?%(?[n%d]*%)? %[chan receive[^\n]*%]:\n", "")
		check.eq(n, 1000)
		assert(err:find("\n\nand 201 more goroutines$"), err:sub(-200))
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

-- The dump as a string, and as a table of goroutines' paragraphs by id; ids in them are replaced.
local with_dump = [[
local function dump()
	local name = arg[1] .. "/dump"
	check.eq(vai.dump(name), true)
	local f = assert(io.open(name))
	local text = f:read("a")
	f:close()
	return text
end
local function paragraphs(text)
	local t, order = {}, {}
	for p in (text .. "\n"):gmatch("(.-\n)\n") do
		local id = tonumber(p:match("^goroutine (%d+) %["))
		assert(id and not t[id], p)
		t[id] = plain(p)
		order[#order + 1] = id
	end
	return t, order
end
local function parked(task) check.until_true(function() return task:status() == "waiting" end) end
]]
with_dump = with_dump:gsub("\n", " ")

local function dump_test(name, source, opts)
	test(name, with_dump .. source, opts)
end

describe("vai.dump", function()
	dump_test("has the caller first, then main, then the others by age", [[
		local c = chan()
		local function worker()
			local v = c:recv()
			return v
		end
		local a, b = vai.async(worker), vai.async(worker)
		parked(a) parked(b)
		local me = vai.async(function() return vai.id(), dump() end)
		local _, id, text = me:join()
		local t, order = paragraphs(text)
		check.eq(#order, 4)
		check.eq(order[1], id)
		check.eq(order[2], 1)
		assert(order[3] < order[4])
		assert(t[id]:find("^goroutine N %[running%]:\n\t%[C%]: in field 'dump'\n\tp:1: in upvalue 'dump'\n\tp:8: in function <p:8>\n"
			.. "\tcreated at p:8\n$"), t[id])
		check.eq(t[1], "goroutine N [task join]:\n\ton goroutine N\n\t[C]: in method 'join'\n\tp:9: in main chunk\n\t[C]: in ?\n")
		check.eq(t[a:id()], "goroutine N [chan receive]:\n\ton channel made at p:1 (len 0, cap 0)\n\t[C]: in method 'recv'\n"
			.. "\tp:3: in function <p:2>\n\tcreated at p:6\n")
	]])

	dump_test("shows those that run, in Lua and in C, and those that have not begun", [[
		local stop, c = chan(1), chan()
		local function spin()
			while #stop == 0 do end
		end
		local spinner = vai.async(spin)
		local command = vai.async(function() os.execute("while ! test -e " .. arg[1] .. "/end; do sleep 0.01; done") end)
		local pipe = vai.async(function(dir)
			local p = io.popen("while ! test -e " .. dir .. "/end; do sleep 0.01; done; echo x")
			c:send(1)
			return p:read("l")
		end, arg[1])
		c:recv()
		vai.sleep(0.05)
		local fresh = vai.async(function() end)
		local t
		check.until_true(function() -- on a loaded machine the spinner may not answer in time
			local text = dump()
			t = not text:find("^vai: goroutines could not be stopped") and paragraphs(text)
			return t and t[spinner:id()]:find("\n\tp:")
		end)
		assert(t[spinner:id()]:find("^goroutine N %[run%a+%]:\n\t.*p:[23]: in function <p:2>\n\tcreated at p:5\n$"), t[spinner:id()])
		assert(t[command:id()]:find("^goroutine N %[in a C call[^\n]*%]:\n\t%[C%]: in field 'execute'\n"
			.. "\tp:6: in function <p:6>\n\tcreated at p:6\n$"), t[command:id()])
		assert(t[pipe:id()]:find("^goroutine N %[in a C call[^\n]*%]:\n.*\tcreated at p:7\n$"), t[pipe:id()])
		io.open(arg[1] .. "/end", "w"):close()
		stop:send(1)
		for _, task in ipairs { spinner, command, pipe, fresh } do assert(task:join()) end
	]], { procs = 2 })

	dump_test("goes to a file handle, or by default to stderr", [[
		local f = io.tmpfile()
		check.eq(vai.dump(f), true)
		f:seek("set")
		assert(f:read("a"):find("^goroutine 1 %[running%]:\n\t%[C%]: in field 'dump'\n"))
		check.eq(vai.dump(io.stdout), true)
		check.eq(vai.dump(), true)
		check.eq(vai.dump(nil), true)
	]], { match = "^goroutine 1 %[running%]:\n", err = "^goroutine 1 %[running%]:\n.*goroutine 1 %[running%]:\n" })

	dump_test("is told where it fails", [[
		check.returns(table.pack(vai.dump(arg[1] .. "/no/file")), nil, arg[1] .. "/no/file: No such file or directory", 2)
		check.returns(table.pack(vai.dump(io.open("/dev/full", "w"))), nil, "No space left on device", 28)
		local f = io.tmpfile()
		f:close()
		check.raises("bad argument #1 to 'dump' %(attempt to use a closed file%)", vai.dump, f)
		check.raises("bad argument #1 to 'dump' %(file handle or file name expected, got table%)", vai.dump, {})
		check.raises("bad argument #1 to 'dump' %(file handle or file name expected, got number%)", vai.dump, 1)
		check.raises("file handle or file name expected, got vai.channel", vai.dump, chan())
	]])

	dump_test("is made by many at once, while others work", [[
		local wg, stop = waitgroup(), chan(1)
		local c = chan()
		for _ = 1, 4 do wg:go(function() while #stop == 0 do c:send({ 1, 2 }, 0.001) end end) end
		for _ = 1, 4 do wg:go(function() while #stop == 0 do c:recv(0.001) end end) end
		for _ = 1, 4 do wg:go(function()
			while #stop == 0 do
				local t = vai.async(function(n) local s = {} for i = 1, n do s[i] = { tostring(i) } end return s end, 100)
				coroutine.wrap(function() t:join() end)()
			end
		end) end
		local dumpers = {}
		for i = 1, 4 do
			dumpers[i] = vai.async(function()
				for _ = 1, check.scaled(40) do assert(vai.dump("/dev/null")) end
			end)
		end
		for i = 1, 4 do
			local ok, err = dumpers[i]:join()
			assert(ok, err)
		end
		stop:send(1)
		wg:wait()
	]], { timeout = 60 })

	dump_test("of very many", [[
		local n, c = check.slowness > 1 and 5000 or check.whole and 100000 or 10000, chan() -- TSan has 8128 at most
		local function wait() c:recv() end
		for _ = 1, n do go(wait) end
		check.until_true(function() return vai.stats().parks >= n end)
		local _, count = dump():gsub("\n\ngoroutine %d+ %[chan receive[^\n]*%]:\n\ton channel made at [^\n]*:1 %(len 0, cap 0%)\n", "")
		check.eq(count, n)
		c:close()
		check.until_true(function() return vai.count() == 1 end)
	]], { procs = 2, timeout = 60 })
end)

-- A program that gets the signal once it has written "ready" and has then been asleep, or at work, for a while.
local function quit_test(name, source, opts)
	test(name, ([[
		local pid = io.open("/proc/self/stat"):read("n")
		killer = io.popen(([=[
			while ! grep -q ready %s/ready 2>/dev/null; do sleep 0.01; done;
			settled=0; first=;
			while [ $settled -lt 3 ]; do
				sleep 0.1;
				read -r _ _ state _ _ _ _ _ _ _ _ _ _ user system _ </proc/%d/stat || exit 1;
				: ${first:=$((user + system))};
				if [ "$state" = S ] || [ $((user + system)) -ge $((first + 20)) ]; then
					settled=$((settled + 1));
				else
					settled=0;
				fi;
			done;
			kill -QUIT %d]=]):format(arg[1], pid, pid))
		local function ready() local f = io.open(arg[1] .. "/ready", "w") f:write("ready") f:close() end
		local c = chan()
		local parked = vai.async(function() c:recv() end)
		check.waiting(parked)
		io.write("buffered")
	]]):gsub("\n", " ") .. source, opts)
end

describe("SIGQUIT", function()
	if os.getenv("VAI_VARIANT") == "tsan" then
		program.skip("writes a dump and ends the process", "TSan keeps signals back from threads that sleep in futexes")
		return
	end
	local form = { "^SIGQUIT: quit\n\ngoroutine 1 %[", "\n\ngoroutine %d+ %[chan receive[^\n]*%]:\n\ton channel made at [^\n]*:1 %(" }
	local function ends(name, source)
		quit_test(name, source, { status = 2, err = form, out = "buffered" })
	end
	ends("when main waits", "go(function() vai.sleep(1000) end) ready() c:recv()")
	ends("when main computes", "ready() while true do end")
	local function ends_in_c(name, source, call)
		local list = table.pack(table.unpack(form))
		list[#list + 1] =
			"\n\ngoroutine 1 %[in a C call[^\n]*%]:\n\t%[C%]: in [^\n]*'" .. call .. "'\n\t[^\n]*:1: in main chunk\n"
		quit_test(name, source, { status = 2, err = list, out = "buffered" })
	end
	ends_in_c("when main is in a call of C", [[local s, p = ("a"):rep(1000), ("a*"):rep(40) .. "b" ready() s:find(p)]], "find")
	ends_in_c("when main reads a pipe", [[local p = io.popen("sleep 20; echo") ready(); p.read(p, "l")]], "read")
	ends_in_c("when main reads a file", [[os.execute("mkfifo " .. arg[1] .. "/fifo") ready(); io.open(arg[1] .. "/fifo")]], "open")
	ends("when all compute", "ready() for _ = 1, 3 do go(function() while true do end end) end while true do end")
	ends("when main computes in a coroutine", "ready() coroutine.wrap(function() while true do end end)()")
	ends("when all sleep", "ready() vai.sleep(1000)")

	quit_test("is not ours where VAI_SIGQUIT is off", "ready() vai.sleep(1000)",
		{ status = 131, env = { VAI_SIGQUIT = "off" }, any_err = true, err_not = "goroutine" })

	program.test("is not ours where it was ignored", [[
		local pid = io.open("/proc/self/stat"):read("n")
		os.execute("kill -QUIT " .. pid)
		vai.sleep(0.1)
		print "alive"
	]], { out = "alive\n", ignore_quit = true })
end)

describe("VAI_DEBUG", function()
	local line = "SCHED %d+ms: gomaxprocs=2 idleprocs=%d+ threads=%d+ spinningthreads=%d+ idlethreads=%d+ runqueue=%d+ "
		.. "%[%d+ %d+%] iowait=%d+\n"
	local opts = { procs = 2, env = { VAI_DEBUG = "schedtrace=20" }, err = { line .. line }, err_not = "VAI_DEBUG" }
	-- Until so many lines of its trace are there that have both processors, of which the second comes a little later than the
	-- first: stderr is a file.
	local traced = [[
		local function traced(lines)
			local f <close> = io.open "/proc/self/fd/2"
			return _G.select(2, f:read "a":gsub("gomaxprocs=2.-\n", "")) >= lines
		end
	]]
	program.test("traces the scheduler while it works", traced .. "while not traced(3) do end", opts)
	program.test("traces the scheduler while it sleeps", traced .. "while not traced(3) do vai.sleep(0.1) end", opts)
	program.test("has details", traced .. [[
		local c = chan()
		check.waiting(vai.async(function() c:recv() end))
		local before = 0
		while traced(before + 1) do before = before + 1 end
		while not traced(before + 20) do vai.sleep(0.05) end
	]], { procs = 2, env = { VAI_DEBUG = "schedtrace=20,scheddetail=1" }, err = { line
		.. "  P0: schedtick=%d+ runqsize=%d+ timerslen=%d+\n  P1: schedtick=%d+ [^\n]*\n  M0: p=%-?%d+ running=%a+ blocked=%a+ lockedg=false\n",
		"\n  G1: status=%a+%([%a ]*%)\n  G%d+: status=waiting%(chan receive%)\n" } })
	program.test("is told what it does not know", "", { procs = 2, env = { VAI_DEBUG = "foo,schedtrace=x,scheddetail=2" },
		err = { "^vai: VAI_DEBUG: 'foo' is [^\n]*\nvai: VAI_DEBUG: 'schedtrace=x' [^\n]*\nvai: VAI_DEBUG: 'scheddetail=2' [^\n]*\n$" } })
end)

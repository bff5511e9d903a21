-- SPDX-License-Identifier: MIT
-- What the test programs use: comparisons with readable messages. A module, so that goroutines
-- which capture it require it for themselves.
local check = {}

-- Programs may take globals away.
local math, table = math, table
local io, tonumber, require = io, tonumber, require
local type, tostring, error, pcall, next, rawget = type, tostring, error, pcall, next, rawget

-- Slow builds (sanitizers and the like) say how slow, so that programs can do less.
check.slowness = tonumber(os.getenv("VAI_SPEC_SLOWNESS") or "1")

function check.scaled(n)
	return math.max(1, n // check.slowness)
end

-- Whether this is a run with the whole of what is cut down otherwise.
check.whole = os.getenv("VAI_SPEC_WHOLE") == "1"

-- Whether an error in __close takes the place of the one before it. Up to Lua 5.4.2 it is a warning, and closers of
-- coroutines that have failed get no error.
local _, raised = pcall(function()
	local _ <close> = setmetatable({}, { __close = function() error("closer", 0) end })
	error("body", 0)
end)
check.closers_replace = raised == "closer"

-- Resident memory of the process, kB.
function check.rss()
	for line in io.lines "/proc/self/status" do
		local kb = line:match "^VmRSS:%s+(%d+)"
		if kb then return tonumber(kb) end
	end
end

-- The name for a file or folder of the program's own: there is none of that name yet, and it is removed with the folder
-- that the program was given (program.run). For main alone, which has `arg`.
local temps = 0
function check.temp()
	temps = temps + 1
	return ("%s/temp%d"):format(arg[1], temps)
end

-- Descriptors that the process has open, and one of the listing.
function check.fds()
	local n = 0
	for _ in require "vai".fs.scandir("/proc/self/fd") do n = n + 1 end
	return n
end

-- Opens files until the process has no descriptors left; returns them.
function check.all_files()
	local held = {}
	while true do
		local f = io.open "/dev/null"
		if not f then return held end
		held[#held + 1] = f
	end
end

local function show(v)
	if type(v) == "string" then
		return #v > 200 and ("%q... (%d bytes)"):format(v:sub(1, 200), #v) or ("%q"):format(v)
	end
	if math.type(v) then
		return tostring(v) .. " (" .. math.type(v) .. ")"
	end
	return tostring(v)
end

-- Equal, and of the same kind of number.
function check.eq(got, want, what)
	if got ~= want or math.type(got) ~= math.type(want) then
		error(("%sgot %s, want %s"):format(what and what .. ": " or "", show(got), show(want)), 2)
	end
end

-- Lists of results, nils included: check.list({ f() }, n, ...).
function check.returns(results, ...)
	local want = table.pack(...)
	if results.n ~= want.n then
		error(("got %d results, want %d"):format(results.n, want.n), 2)
	end
	for i = 1, want.n do
		if results[i] ~= want[i] or math.type(results[i]) ~= math.type(want[i]) then
			error(("result %d: got %s, want %s"):format(i, show(results[i]), show(want[i])), 2)
		end
	end
end

-- What join gave of a goroutine that failed: false, the error, and the traceback of an error that was raised there.
function check.failed(results, err)
	if results[1] ~= false or results[2] ~= err or math.type(results[2]) ~= math.type(err) then
		error(("got %s, %s, want false, %s"):format(show(results[1]), show(results[2]), show(err)), 2)
	end
	if results.n > 3 or results.n < 2 or results.n == 3 and type(results[3]) ~= "string" then
		error(("got %d results, the third %s"):format(results.n, show(results[3])), 2)
	end
end

-- f(...) raises, and the message matches every pattern of the list (or the one pattern).
function check.raises(patterns, f, ...)
	local ok, err = pcall(f, ...)
	if ok then
		error("did not raise", 2)
	end
	for _, p in ipairs(type(patterns) == "table" and patterns or { patterns }) do
		if not tostring(err):find(p) then
			error(("raised %s, which does not match %q"):format(show(err), p), 2)
		end
	end
	return err
end

-- Equal in structure: shared parts and cycles in the same places.
function check.same(a, b)
	local seen, back = {}, {}
	local function walk(x, y, path)
		if math.type(x) ~= math.type(y) or type(x) ~= type(y) then
			error(("%s: %s and %s"):format(path, show(x), show(y)), 0)
		end
		if type(x) ~= "table" then
			if x ~= y and (x == x or y == y) then
				error(("%s: %s and %s"):format(path, show(x), show(y)), 0)
			end
			return
		end
		if seen[x] or back[y] then
			if seen[x] ~= y or back[y] ~= x then
				error(path .. ": not shared in the same way", 0)
			end
			return
		end
		seen[x], back[y] = y, x
		for k, v in next, x do
			if type(k) ~= "table" then
				walk(v, rawget(y, k), path .. "[" .. tostring(k) .. "]")
			end
		end
		for k in next, y do
			if type(k) ~= "table" and rawget(x, k) == nil then
				error(path .. ": extra key " .. tostring(k), 0)
			end
		end
	end
	walk(a, b, "value")
end

-- Lets others run until f() holds. The time limit of the process ends a wait in vain.
function check.until_true(f, ...)
	local vai = require("vai")
	local n = 0
	while not f(...) do
		n = n + 1
		if n < 100 then
			vai.yield()
		else
			vai.sleep(0.001)
		end
	end
end

-- A port of 127.0.0.1 that nobody listens at, as a number. It is below those that the system gives to connections, as
-- one of these could get it before the caller does.
function check.free_port()
	while true do
		local port = math.random(15000, 32000)
		local l = require("vai").net.listen("tcp", "127.0.0.1:" .. port)
		if l then
			l:close()
			return port
		end
	end
end

-- Until the task waits for something.
function check.waiting(task)
	check.until_true(function()
		return task:status() == "waiting"
	end)
end

-- The value after each way that there is from one goroutine to another: { { name, copy }, ... }.
function check.copies(v)
	local vai = require("vai")
	local list = {}
	local function add(name, copy)
		list[#list + 1] = { name, copy }
	end
	local ch = vai.chan(1)
	ch:send(v)
	add("a buffered channel", ch:recv())
	local there, back = vai.chan(), vai.chan()
	vai.go(function()
		back:send(there:recv())
	end)
	there:send(v)
	add("an unbuffered channel and back", back:recv())
	vai.go(function()
		local _, got = vai.select({ there })
		vai.select({ { back, got } })
	end)
	vai.select({ { there, v } })
	add("select and back", select(2, vai.select({ back })))
	local ok, copy = vai.async(function(a)
		return a
	end, v):join()
	assert(ok, copy)
	add("an argument and a result", copy)
	ok, copy = vai.async(function()
		return v
	end):join()
	assert(ok, copy)
	add("an upvalue and a result", copy)
	return list
end

-- f(copy) for each of them; an error names the way.
function check.each_copy(v, f)
	for _, c in ipairs(check.copies(v)) do
		local ok, err = pcall(f, c[2])
		if not ok then
			error(("through %s: %s"):format(c[1], tostring(err)), 2)
		end
	end
end

return check

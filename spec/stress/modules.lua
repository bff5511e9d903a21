-- SPDX-License-Identifier: MIT
-- spec/stress/modules.lua: C modules as Debian has them (cjson, lpeg, lfs, socket, luasql.sqlite3), required
-- and used by 64 goroutines at once for VAI_STRESS_SECONDS. None of them knows of goroutines: calls that wait
-- (accept, receive) wait in C. What each of them says is compared; nothing may fault.
local vai = require "vai"

local seconds = tonumber(os.getenv "VAI_STRESS_SECONDS" or 5)
local n = tonumber(os.getenv "VAI_STRESS_GOROUTINES" or 64)
local base = io.popen("mktemp -d"):read("l")

local function check(got, want, what)
	if got ~= want then
		error(("%s: got %s, want %s"):format(what, tostring(got), tostring(want)), 2)
	end
end

local function json(id, round)
	local cjson = require "cjson"
	local text = cjson.encode { id = id, list = { round, round + 0.5, "x", { deep = true } }, null = cjson.null }
	local t = cjson.decode(text)
	check(t.id, id, "cjson id")
	check(t.list[1] + t.list[2], 2 * round + 0.5, "cjson list")
	check(t.list[4].deep and t.null == cjson.null, true, "cjson null")
	check(pcall(cjson.decode, "{"), false, "cjson error")
end

local function grammar(id, round)
	local lpeg = require "lpeg"
	local digits = lpeg.R "09" ^ 1 / tonumber
	local V = lpeg.V
	local calc = lpeg.P {
		"sum",
		sum = lpeg.Cf(V "term" * lpeg.Cg(lpeg.C(lpeg.S "+-") * V "term") ^ 0, function(a, op, b)
			return op == "+" and a + b or a - b
		end),
		term = digits + "(" * V "sum" * ")",
	}
	check(calc:match(("%d+(%d-(7+1))"):format(id, round)), id + round - 8, "lpeg")
	check(lpeg.match(lpeg.C(lpeg.P "a" ^ -3), ("a"):rep(round % 5)), ("a"):rep(math.min(3, round % 5)), "lpeg repeat")
end

local function files(id, round)
	local lfs = require "lfs"
	local dir = ("%s/%d"):format(base, id)
	assert(lfs.mkdir(dir))
	local count = round % 4 + 1
	for i = 1, count do
		local f = assert(io.open(dir .. "/" .. i, "w"))
		f:write(("z"):rep(i))
		f:close()
		check(lfs.attributes(dir .. "/" .. i, "size"), i, "lfs size")
	end
	local seen = 0
	for name in lfs.dir(dir) do
		if name ~= "." and name ~= ".." then
			seen = seen + tonumber(name)
			assert(os.remove(dir .. "/" .. name))
		end
	end
	check(seen, count * (count + 1) // 2, "lfs dir")
	assert(lfs.rmdir(dir))
	check(lfs.attributes(dir), nil, "lfs gone")
end

-- One goroutine accepts and echoes; both wait in C.
local function sockets(id, round)
	local socket = require "socket"
	local port = vai.chan(1)
	local server = vai.async(function()
		local listener = assert(require "socket".bind("127.0.0.1", 0))
		port:send((select(2, listener:getsockname())))
		local peer = assert(listener:accept())
		local lines = 0
		while true do
			local line = peer:receive "*l"
			if not line then
				break
			end
			lines = lines + 1
			assert(peer:send(line:upper() .. "\n"))
		end
		peer:close()
		listener:close()
		return lines
	end)
	local client = assert(socket.connect("127.0.0.1", port:recv()))
	for i = 1, 3 do
		assert(client:send(("line %d of %d, %d\n"):format(i, id, round)))
		check(client:receive "*l", ("LINE %d OF %d, %d"):format(i, id, round), "socket")
	end
	client:close()
	local ok, lines = server:join()
	check(ok and lines, 3, "socket lines")
end

local function database(id, round)
	local env = assert(require "luasql.sqlite3".sqlite3())
	local name = round % 2 == 0 and ":memory:" or ("%s/%d.db"):format(base, id)
	local db = assert(env:connect(name))
	assert(db:execute "create table t (a integer, b text)")
	assert(db:setautocommit(false))
	for i = 1, 20 do
		check(db:execute(("insert into t values (%d, 'row %d of %d')"):format(i * round, i, id)), 1, "sqlite insert")
	end
	assert(db:commit())
	local cursor = assert(db:execute "select sum(a), count(*), max(b) from t")
	local sum, count, last = cursor:fetch()
	check(math.tointeger(tonumber(sum)), 210 * round, "sqlite sum")
	check(math.tointeger(tonumber(count)), 20, "sqlite count")
	check(last, ("row 9 of %d"):format(id), "sqlite max")
	cursor:close()
	check(db:execute "select nothing from nowhere", nil, "sqlite error")
	db:close()
	env:close()
	os.remove(name)
end

local works = { json, grammar, files, sockets, database }

local function soak(id, until_)
	local rounds = 0
	repeat
		rounds = rounds + 1
		works[(id + rounds) % #works + 1](id, rounds)
		if rounds % 3 == 0 then
			vai.yield()
		end
	until rounds >= #works and vai.now() >= until_
	return rounds
end

local tasks, total = {}, 0
for i = 1, n do
	tasks[i] = vai.async(soak, i, vai.now() + seconds)
end
local failures = {}
for i = 1, n do
	local ok, rounds = tasks[i]:join()
	if ok then
		total = total + rounds
	else
		failures[#failures + 1] = tostring(rounds)
	end
end
os.execute("rm -rf " .. base)
if #failures > 0 then
	io.stderr:write(("%d of %d failed: %s\n"):format(#failures, n, failures[1]))
	os.exit(1)
end
print(("%d goroutines did %d rounds"):format(n, total))

-- SPDX-License-Identifier: MIT
-- spec/stress/net.lua: many goroutines that dial, read, write, time out, are canceled and close at random on this
-- machine, for VAI_STRESS_SECONDS. Each line that comes back is the caller's own, all that calm callers asked is
-- answered, and in the end no goroutine and no descriptor is left and memory is as it was. VAI_STRESS_GOROUTINES: how
-- many at a time, those of the servers included.
local vai = require "vai"
local level = require "level"
local net = vai.net

local seed = math.tointeger(tonumber(os.getenv "VAI_STRESS_SEED" or 1))
local seconds = tonumber(os.getenv "VAI_STRESS_SECONDS" or 10)
local many = math.tointeger(tonumber(os.getenv "VAI_STRESS_GOROUTINES" or
	seconds < 60 and 400 or os.getenv "VAI_VARIANT" == "tsan" and 2000 or 20000))
local rand = math.random
math.randomseed(seed)

-- ---- servers ----

-- What a caller's line asks for: f(connection, number). It returns true when the connection is no longer the server's.
local orders = {
	echo = function() end,
	stall = function(_, n)
		vai.sleep(n / 10000)
	end,
	reset = function(c)
		c:set("linger", 0)
		c:close()
	end,
	pour = function(c, n)
		c:write(("p"):rep(n), "\n")
	end,
	swallow = function(c, n)
		while n > 0 do
			local data = c:read()
			if not data then
				return
			end
			n = n - #data
			vai.yield()
		end
	end,
	idle = function(c)
		return pcall(c.idle, c) -- which raises where it is no connection of vai.net.serve's
	end,
}

local function answer(c)
	while true do
		local line = c:read "l"
		if not line then
			break
		end
		local order, n = line:match "^(%w+) (%d+)"
		c:write(line, "\n")
		if orders[order](c, tonumber(n)) then
			return
		end
	end
	c:close()
end

local function listen(i)
	if i % 4 == 0 then
		return assert(net.listen("unix", ("@vai-stress-%d"):format(rand(1 << 40))))
	end
	return assert(net.listen("tcp", ("127.0.0.%d:0"):format(i), { backlog = 4096 }))
end

-- Half of them accept by themselves, the others are vai.net.serve's.
local function servers(n)
	local list = { network = {}, address = {} }
	for i = 1, n do
		local l = listen(i)
		list.network[i], list.address[i] = i % 4 == 0 and "unix" or "tcp", l:addr()
		if i % 2 == 0 then
			list[i] = net.serve(l, answer)
		else
			list[i] = l
			vai.go(function()
				for c in l do
					vai.go(answer, c)
				end
			end)
		end
	end
	return list
end

local function stop(list)
	for i = 1, #list do
		if i % 2 == 0 then
			assert(list[i]:shutdown(60))
			assert(list[i]:count() == 0)
		end
		list[i]:close()
	end
end

-- ---- callers ----

local ends = { timeout = true, closed = true, canceled = true, ["deadline exceeded"] = true, ECONNRESET = true,
	EPIPE = true }

-- What a call gave in place of a result is one of the ends that are meant here.
local function ended(why, code)
	assert(why == nil or ends[why] or ends[code], why)
end

local function limit()
	local dice = rand(5)
	if dice == 1 then
		return 0
	elseif dice == 2 then
		return rand() / 100
	elseif dice == 3 then
		return (vai.context():with_timeout(rand() / 100))
	end
end

local function dial(s, l)
	local i = rand(#s.address)
	local c, why, code = net.dial(s.network[i], s.address[i], l)
	if not c then
		ended(why, code)
	end
	return c
end

local function order()
	local dice = rand(6)
	return dice == 1 and "stall" or dice == 2 and "idle" or "echo"
end

-- Sends an order and reads until it comes back: true, or nil when that ended before.
local function ask(c, what, n, l)
	local line = ("%s %d %x"):format(what, n, rand(1 << 60))
	local ok, why, code = c:write(line, "\n")
	if not ok then
		return ended(why, code)
	end
	local got
	got, why, code = c:read("l", l)
	if not got then
		return ended(why, code)
	end
	assert(got == line, "somebody else's line")
	return true
end

-- Asks, or writes much, until the connection ends.
local function use(c, l)
	local got, why, code
	if rand(3) == 1 then
		got, why, code = c:write "swallow 1000000\n"
		while got and rand(30) > 1 do
			got, why, code = c:write(("x"):rep(rand(100000)))
		end
		ended(why, code)
	else
		while rand(100) > 1 and ask(c, order(), rand(20), l) do end
	end
end

local work = {
	calm = function(s)
		local c <close> = assert(dial(s))
		for _ = 1, rand(10) do
			s.asked:add(1)
			s.answered:add(ask(c, order(), rand(20)) and 1 or 0)
		end
		assert(c:close_write())
		assert(c:read "a" == "")
	end,
	hasty = function(s)
		local c <close> = dial(s, limit())
		while c and ask(c, "stall", rand(100), limit()) do end
	end,
	context = function(s)
		local ctx, cancel = vai.context():with_timeout(rand() / 20)
		local c <close> = dial(s, ctx)
		if c then
			vai.go(function()
				vai.sleep(rand() / 20)
				cancel()
			end)
			use(c:with(ctx))
		end
	end,
	moved = function(s)
		local c <close> = dial(s)
		vai.go(function()
			for _ = 1, rand(5) do
				c[rand(2) == 1 and "set_deadline" or "set_read_deadline"](c, rand(3) > 1 and vai.now() + rand() / 50 or nil)
				vai.sleep(rand() / 200)
			end
			c:set_deadline(vai.now() - 1)
		end)
		use(c)
	end,
	closed = function(s)
		local c <close> = dial(s)
		for _ = 1, rand(3) do
			vai.go(function()
				vai.sleep(rand() / 50)
				c:close()
			end)
		end
		use(c)
	end,
	crowd = function(s)
		local c <close> = dial(s)
		for _ = 1, rand(4) do
			vai.go(function()
				local got, why, code
				repeat
					got, why, code = c:read("L", limit())
				until not got
				ended(why, code)
			end)
		end
		ended(select(2, c:write("pour ", rand(100000), "\n")))
		vai.sleep(rand() / 50)
	end,
	handed = function(s)
		local ch <close> = vai.chan(rand(2) - 1)
		vai.go(function()
			local c <close> = ch:recv()
			if c then
				use(c, rand() / 50)
			end
		end)
		ch:send((dial(s)))
	end,
	select = function(s)
		local c, quit = dial(s), vai.after(rand() / 50)
		while true do
			ended(select(2, c:write("echo 1 x\n")))
			local i, data, why = vai.select { c, quit, timeout = rand(3) == 1 and rand() / 100 or nil }
			if i == 2 or i == 1 and not data then
				ended(why ~= "closed" and why or nil)
				break
			end
		end
		if rand(2) == 1 then -- otherwise it is left to the collector
			c:close()
		end
	end,
	reset = function(s)
		local c <close> = dial(s)
		ended(select(2, c:write("reset 1\n")))
		repeat
			local data, why, code = c:read(nil, limit())
			ended(why, code)
		until not data
	end,
	accept = function()
		local l <close> = listen(rand(8))
		local address, network = l:addr(), l:addr():find "^@" and "unix" or "tcp"
		for _ = 1, rand(3) do
			vai.go(function()
				local c, why, code = net.dial(network, address, limit())
				assert(c or ends[why] or ends[code] or code == "ECONNREFUSED", why)
			end)
		end
		if rand(2) == 1 then
			vai.go(function()
				vai.sleep(rand() / 100)
				l:close()
			end)
		end
		for _ = 1, rand(3) do
			local c, why = l:accept(rand() / 50)
			if not c then
				ended(why)
			end
		end
	end,
	packets = function()
		local a <close> = assert(net.packet("udp", "127.0.0.1:0"))
		local b <close> = assert(net.packet("udp", "127.0.0.1:0"))
		local to = b:local_addr()
		vai.go(function()
			for _ = 1, rand(10) do
				a:send_to("datagram", to)
				vai.sleep(rand() / 200)
			end
			if rand(2) == 1 then
				b:close()
			end
		end)
		local data, why, code
		repeat
			data, why, code = b:recv_from(rand() / 50)
		until not data
		ended(why, code)
	end,
}
local kinds = {}
for kind in pairs(work) do
	kinds[#kinds + 1] = kind
end
table.sort(kinds)

local function one(s, its_seed, victim)
	math.randomseed(its_seed)
	for _ = 1, rand(3) do
		local kind = kinds[rand(#kinds)]
		if not (victim and kind == "calm") then
			work[kind](s)
		end
	end
end

-- Each caller has a goroutine of a server's, and one in four another one besides.
local round = level.watch()
local rounds
local until_ = vai.now() + seconds
local fds = level.fds()
repeat
	local list, tasks = servers(8), {}
	local s = { network = list.network, address = list.address, asked = vai.atomic(), answered = vai.atomic() }
	for i = 1, many * 4 // 10 do
		tasks[i] = vai.async(one, s, rand(1 << 40), i % 8 == 0)
		if i % 16 == 0 then
			tasks[rand(i // 8) * 8]:cancel()
		end
	end
	for i = 1, #tasks do
		local ok, err, trace = tasks[i]:join(300)
		if err == "timeout" then io.stderr:write(vai.dump()) end
		assert(ok or err == "canceled", trace or err)
	end
	assert(s.asked:get() == s.answered:get(), "what calm callers asked was not answered")
	stop(list)
	level.alone()
	rounds = round()
	assert(level.fds() == fds, level.fds() - fds .. " descriptors are left")
until vai.now() > until_
io.write(rounds, " rounds of ", many)

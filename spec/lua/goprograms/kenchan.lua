-- SPDX-License-Identifier: BSD-3-Clause
-- After test/ken/chan.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Communication of direct and select sends and receives in every combination.
local vai = require("vai")
local END = 10000

-- Each end of a channel counts for itself: a sender's copy of c has its sv, a receiver's its rv.
local cval = 0
local function mkchan(cap, n)
	local ca = {}
	for i = 1, n do
		cval = cval + 100
		local ch = vai.chan(cap)
		ca[i] = { sc = ch, rc = ch, sv = cval, rv = cval }
	end
	return ca
end
local nc = { sc = false, rc = false }

local function expect(v, v0)
	assert(v == v0, "got " .. v .. " expected " .. v0)
	if v % 100 == 75 then
		return END
	end
	return v + 1
end

local function sent(c)
	c.sv = expect(c.sv, c.sv)
	if c.sv == END then
		c.sc = false
	end
	return not c.sc
end

local function received(c, v)
	c.rv = expect(c.rv, v)
	if c.rv == END then
		c.rc = false
	end
	return not c.rc
end

-- Each returns how many it sent and received.
local function send(c)
	local n = 0
	repeat
		for _ = 0, math.random(0, 9) do
			vai.yield()
		end
		c.sc:send(c.sv)
		n = n + 1
	until sent(c)
	return n, 0
end

local function recv(c)
	local n = 0
	repeat
		for _ = 0, math.random(0, 9) do
			vai.yield()
		end
		n = n + 1
	until received(c, (c.rc:recv()))
	return 0, n
end

local function sel(r, s)
	local ns, nr, running = 0, 0, 0
	for i = 1, 4 do
		running = running + (r[i].rc and 1 or 0) + (s[i].sc and 1 or 0)
	end
	while running > 0 do
		for _ = 0, math.random(0, 4) do
			vai.yield()
		end
		local cases = {}
		for i = 1, 4 do
			cases[i] = r[i].rc
			cases[i + 4] = s[i].sc and { s[i].sc, s[i].sv }
		end
		local i, v = vai.select(cases)
		local over
		if i <= 4 then
			nr = nr + 1
			over = received(r[i], v)
		else
			ns = ns + 1
			over = sent(s[i - 4])
		end
		if over then
			running = running - 1
		end
	end
	return ns, nr
end

local tots, totr = 0, 0
local tasks = {}
local function start(f, ...)
	tasks[#tasks + 1] = vai.async(f, ...)
end

local function wait()
	for _, task in ipairs(tasks) do
		local ok, s, r = task:join()
		assert(ok, s)
		tots, totr = tots + s, totr + r
	end
	tasks = {}
end

local none = { nc, nc, nc, nc }
local function part(ca, first)
	return { ca[first], ca[first + 1], ca[first + 2], ca[first + 3] }
end

-- All tests with a buffer size.
local function tests(cap)
	local ca = mkchan(cap, 4)
	for i = 1, 4 do -- direct send to direct recv
		start(send, ca[i])
		start(recv, ca[i])
	end
	wait()

	ca = mkchan(cap, 4)
	for i = 1, 4 do -- direct send to select recv
		start(send, ca[i])
	end
	start(sel, ca, none)
	wait()

	ca = mkchan(cap, 4)
	for i = 1, 4 do -- select send to direct recv
		start(recv, ca[i])
	end
	start(sel, none, ca)
	wait()

	ca = mkchan(cap, 4) -- select send to select recv
	start(sel, none, ca)
	start(sel, ca, none)
	wait()

	ca = mkchan(cap, 8)
	start(sel, part(ca, 5), part(ca, 1))
	start(sel, part(ca, 1), part(ca, 5))
	wait()

	ca = mkchan(cap, 12)
	for i = 5, 8 do
		start(send, ca[i])
	end
	for i = 9, 12 do
		start(recv, ca[i])
	end
	start(sel, part(ca, 5), part(ca, 1))
	start(sel, part(ca, 1), part(ca, 9))
	wait()
end

tests(0)
tests(1)
tests(10)
tests(100)

-- Buffer sizes, times channels of tests 1 to 4, of test 5 and test 6, times messages on a channel.
local t = 4 * (4 * 4 + 8 + 12) * 76
assert(tots == t and totr == t, ("tots=%d totr=%d sb=%d"):format(tots, totr, t))

-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/select.go, select2.go, select4.go, select6.go, select7.go, select8.go and sendstmt.go of
-- the Go distribution. Copyright 2009-2019 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Simple selects.
local vai = require("vai")
local chan, select, go = vai.chan, vai.select, vai.go

do -- select.go: every case is evaluated, each channel takes one value
	local counter, shift = 0, 0
	local function value()
		counter = counter + 1
		return 1 << shift
	end
	local function send(a, b)
		local i = 0
		while true do
			local k = select({ { a, value() }, { b, value() }, default = true })
			if not k then
				return i
			end
			i = i + 1
			if k == 1 then
				a = false
			else
				b = false
			end
			shift = shift + 1
		end
	end
	local a, b = chan(1), chan(1)
	assert(send(a, b) == 2)
	assert(a:recv() | b:recv() == 3)
	assert(send(a, false) == 1)
	assert(counter == 10, counter)
end

do -- select2.go: selects do not use up memory
	local function sender(c, n)
		for _ = 1, n do
			c:send(1)
		end
	end
	local function receiver(c, dummy, n)
		for _ = 1, n do
			assert(select({ c, dummy }) == 1)
		end
	end
	local function resident()
		collectgarbage()
		for line in io.lines("/proc/self/status") do
			local kb = line:match("^VmRSS:%s+(%d+)")
			if kb then
				return tonumber(kb)
			end
		end
	end
	local n = tonumber(arg and arg[1]) or 20000
	local c, dummy = chan(), chan()
	go(sender, c, n)
	receiver(c, dummy, n)
	local before = resident()
	go(sender, c, n)
	receiver(c, dummy, n)
	local grown = resident() - before
	-- A sanitizer keeps records of its own of every switch.
	local plain = (os.getenv("VAI_VARIANT") or "release") == "release"
	assert(not plain or grown < 2048, grown .. " kB for " .. n .. " selects")
end

do -- select4.go: a select goes on when a value is ready
	local c, c1 = chan(1), chan()
	c:send(42)
	local i, v = select({ c1, c })
	assert(i == 2 and v == 42)
end

do -- select6.go: a select that is last in a queue of several waiters leaves them intact
	local c1, c2, c3 = chan(), chan(), chan()
	go(function()
		c1:recv()
	end)
	go(function()
		local i = select({ c1, c2 })
		assert(i == 2, "dummy")
		c3:send(true)
		c1:recv()
	end)
	go(function()
		c2:send(true)
	end)
	c3:recv()
	c1:send(true)
	c1:send(true)
end

do -- select7.go: select when discarding a value
	local recvs = {
		function(c)
			c:recv()
		end,
		function(c)
			select({ c })
		end,
		function(c)
			local c2 = chan()
			select({ c, c2 })
		end,
	}
	local sends = {
		function(c)
			c:send(1)
		end,
		function(c)
			select({ { c, 1 } })
		end,
		function(c)
			local c2 = chan()
			select({ { c, 1 }, { c2, 1 } })
		end,
	}
	for _, recv in ipairs(recvs) do
		for _, send in ipairs(sends) do
			local c = chan()
			go(recv, c)
			vai.yield()
			send(c)
		end
	end
end

do -- select8.go: one, two and three cases against an endless sender
	local ch = chan()
	go(function()
		while true do
			ch:send(5)
		end
	end)
	local i, v = select({ ch })
	assert(i == 1 and v == 5)
	assert(select({ default = true }) == nil)
	select({ ch, default = true })
	i = select({ ch, { ch, 10 }, default = true })
	assert(i ~= 2)
end

do -- sendstmt.go: a channel out of a channel, used at once
	local cc, c = chan(1), chan(1)
	cc:send(c)
	assert(select({ { cc:recv(), 2 }, default = true }) == 1)
	assert(c:recv() == 2)
end

-- SPDX-License-Identifier: BSD-3-Clause
-- After src/runtime/chan_test.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- The other tests of channels that need no view into the runtime.
local vai = require("vai")
local chan, select, go, waitgroup = vai.chan, vai.select, vai.go, vai.waitgroup
local slow = tonumber(os.getenv("VAI_SPEC_SLOWNESS") or "1")

local function test_chan(cap)
	do -- receive from an empty channel blocks, a receive that may not block does not
		local c, got = chan(cap), chan(2)
		for _ = 1, 2 do
			go(function()
				got:send(c:recv())
			end)
		end
		vai.sleep(0.001)
		assert(#got == 0, "receive from empty chan")
		assert(c:try_recv() == nil, "receive from empty chan")
		c:send(0)
		c:send(0)
		got:recv()
		got:recv()
	end
	do -- send to a full channel blocks
		local c, sent = chan(cap), chan(1)
		for i = 1, cap do
			c:send(i)
		end
		go(function()
			c:send(0)
			sent:send(true)
		end)
		vai.sleep(0.001)
		assert(#sent == 0, "send to full chan")
		assert(c:try_send(0) == nil, "send to full chan")
		c:recv()
		sent:recv()
	end
	do -- what is left in a closed channel comes in order, then its end
		local c = chan(cap)
		for i = 1, cap do
			c:send(i)
		end
		c:close()
		for i = 1, cap do
			assert(c:recv() == i)
		end
		local v, err = c:recv()
		assert(v == nil and err == "closed")
	end
	do -- close unblocks receive
		local c, done = chan(cap), chan()
		go(function()
			local v, err = c:recv()
			done:send(v == nil and err == "closed")
		end)
		vai.sleep(0.001)
		c:close()
		assert(done:recv())
	end
	do -- 100 integers in FIFO order, then 1,000 of each of four goroutines to four others
		local c = chan(cap)
		go(function()
			for i = 1, 100 do
				c:send(i)
			end
		end)
		for i = 1, 100 do
			assert(c:recv() == i)
		end
		local P, L = 4, 1000 // slow
		for _ = 1, P do
			go(function()
				for i = 1, L do
					c:send(i)
				end
			end)
		end
		local done = chan()
		for _ = 1, P do
			go(function()
				local recv = {}
				for _ = 1, L do
					local v = c:recv()
					recv[v] = (recv[v] or 0) + 1
				end
				done:send(recv)
			end)
		end
		local recv = {}
		for _ = 1, P do
			for k, v in pairs(done:recv()) do
				recv[k] = (recv[k] or 0) + v
			end
		end
		for i = 1, L do
			assert(recv[i] == P, i)
		end
	end
end
for _, cap in ipairs({ 0, 1, 2, 3, 5, 10, 100 }) do
	test_chan(cap)
end

-- TestNonblockRecvRace: what is in a channel stays ready while it is closed.
for _ = 1, 1000 // slow do
	local c, failed = chan(1), chan(1)
	c:send(1)
	go(function()
		local i, what = select({ c, default = true })
		if not i then
			failed:send(what)
		end
	end)
	c:close()
	c:recv()
	assert(#failed == 0, "chan is not ready")
end

-- TestNonblockSelectRace: select acts on the state of the channels at one moment. From the time the
-- second goroutine is created, c1 or c2 is always ready, so it never sees the default case.
local done = chan(1)
for k = 1, 2 do
	for _ = 1, 5000 // slow do
		local c1, c2 = chan(1), chan(k == 1 and 1 or 0)
		c1:send(1)
		go(function()
			done:send(select({ c1, c2, default = true }) ~= nil)
		end)
		if k == 1 then
			c2:send(1)
		else
			c2:close()
		end
		c1:try_recv()
		assert(done:recv(), "no chan is ready")
	end
end

-- TestSelfSelect: send and receive on the same channel in one select neither crash nor meet.
for _, cap in ipairs({ 0, 10 }) do
	local wg, c = waitgroup(), chan(cap)
	for p = 0, 1 do
		wg:go(function()
			for i = 1, 1000 do
				local k, v
				if p == 0 or i % 2 == 0 then
					k, v = select({ { c, p }, c })
					assert(not (k == 2 and cap == 0 and v == p), "self receive")
				else
					k, v = select({ c, { c, p } })
					assert(not (k == 1 and cap == 0 and v == p), "self receive")
				end
			end
		end)
	end
	wg:wait()
end

-- TestPseudoRandomSend.
local n = 100
for _, cap in ipairs({ 0, n }) do
	local c = chan(cap)
	local task = vai.async(function()
		local ones = 0
		for _ = 1, n do
			vai.yield()
			ones = ones + c:recv()
		end
		return ones
	end)
	for _ = 1, n do
		select({ { c, 1 }, { c, 0 } })
	end
	local _, ones = task:join()
	assert(ones > n // 10 and n - ones > n // 10, "want pseudorandom, got " .. ones)
end

-- TestMultiConsumer.
do
	local nwork, niter = 23, 27182 // slow
	local pn = { 2, 3, 7, 11, 13, 17, 19, 23, 27, 31 }
	local q, r, wg = chan(nwork * 3), chan(nwork * 3), waitgroup()
	for w = 0, nwork - 1 do
		wg:go(function()
			for v in q do
				-- mess with the fifo-ish nature of range
				if pn[w % #pn + 1] == v then
					vai.yield()
				end
				r:send(v)
			end
		end)
	end
	go(function()
		for i = 0, niter - 1 do
			q:send(pn[i % #pn + 1])
		end
		q:close() -- no more work
		wg:wait() -- workers done
		r:close() -- ... so there can be no more results
	end)
	local count, sum, expect = 0, 0, 0
	for v in r do
		count = count + 1
		sum = sum + v
	end
	for i = 0, niter - 1 do
		expect = expect + pn[i % #pn + 1]
	end
	assert(count == niter and sum == expect, ("expected sum %d (got %d) of %d (saw %d)"):format(expect, sum, niter, count))
end

-- TestSelectDuplicateChannel: one goroutine can be queued on the same channel several times.
do
	local c, d, e = chan(), chan(), chan()
	local a = go(function()
		select({ c, c, d })
		e:send(9)
	end)
	while a:status() ~= "waiting" do
		vai.yield()
	end
	local b = vai.async(function()
		return c:recv()
	end)
	while b:status() ~= "waiting" do
		vai.yield()
	end
	d:send(7) -- wakes a, it dequeues itself from c
	e:recv()
	c:send(8) -- wakes b
	local _, v = b:join()
	assert(v == 8)
end

-- TestShrinkStackDuringBlockedSend: deep recursion and collections between channel operations.
do
	local c, over = chan(), chan()
	go(function()
		local function grow(k)
			return k == 0 and 0 or 1 + grow(k - 1)
		end
		for i = 0, 9 do
			c:send(i)
			assert(grow(20000) == 20000)
			collectgarbage()
		end
		over:send(true)
	end)
	for i = 0, 9 do
		assert(c:recv() == i)
		vai.sleep(0.001)
		collectgarbage()
	end
	over:recv()
end

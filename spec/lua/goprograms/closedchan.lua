-- SPDX-License-Identifier: BSD-3-Clause
-- After test/closedchan.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- close(c), receive of a closed channel, in every form of send and receive.
local vai = require("vai")
local chan, select = vai.chan, vai.select
local dummy = chan()

-- Direct operations.
local direct = {
	send = function(c, x)
		return c:send(x)
	end,
	nbsend = function(c, x)
		return c:try_send(x)
	end,
	recv = function(c)
		return c:recv()
	end,
	nbrecv = function(c)
		return c:try_recv()
	end,
}

-- Indirect operations via select.
local function received(i, v, err)
	if not i then
		return nil, v
	end
	return v, err
end
local selected = {
	send = function(c, x)
		select({ { c, x } })
	end,
	nbsend = function(c, x)
		return select({ { c, x }, default = true }) == 1
	end,
	recv = function(c)
		return received(select({ c }))
	end,
	nbrecv = function(c)
		return received(select({ c, default = true }))
	end,
}

-- Via larger selects.
local larger = {
	send = function(c, x)
		select({ { c, x }, dummy })
	end,
	nbsend = function(c, x)
		return select({ { c, x }, dummy, default = true }) == 1
	end,
	recv = function(c)
		return received(select({ c, dummy }))
	end,
	nbrecv = function(c)
		return received(select({ c, dummy, default = true }))
	end,
}

local function should_raise(want, f, ...)
	local ok, err = pcall(f, ...)
	assert(not ok, "did not raise")
	assert(err:find(want, 1, true), err)
end

local function test_closed(c, op)
	for _ = 1, 3 do
		local v, err = op.recv(c)
		assert(v == nil and err == "closed", "recv on closed")
		v, err = op.nbrecv(c)
		assert(v == nil and err == "closed", "nbrecv on closed")
	end
	should_raise("send on closed channel", op.nbsend, c, 1)
	assert(op.recv(c) == nil, "value kept after send on closed")
	should_raise("send on closed channel", op.send, c, 2)
	assert(op.recv(c) == nil, "value kept after send on closed")
end

local function closed_sync()
	local c = chan()
	c:close()
	return c
end

local function closed_async()
	local c = chan(2)
	c:send(1)
	c:close()
	return c
end

for _, op in ipairs({ direct, selected, larger }) do
	test_closed(closed_sync(), op)
	for _, how in ipairs({ "recv", "nbrecv" }) do
		local c = closed_async()
		local v, err = op[how](c)
		assert(v == 1 and err == nil, how)
		test_closed(c, op)
	end
end

local ch = chan()
ch:close()
should_raise("close of closed channel", ch.close, ch)

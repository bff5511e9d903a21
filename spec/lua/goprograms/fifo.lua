-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/fifo.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Unbuffered channels act as pure fifos.
local vai = require("vai")
local N = 10

local function asynch_fifo()
	local ch = vai.chan(N)
	for i = 0, N - 1 do
		ch:send(i)
	end
	for i = 0, N - 1 do
		assert(ch:recv() == i, "bad receive")
	end
end

local function chain(ch, val, inp, out)
	inp:recv()
	assert(ch:recv() == val, val)
	out:send(1)
end

-- Threads together a daisy chain to read the elements in sequence.
local function synch_fifo()
	local ch, inp = vai.chan(), vai.chan()
	local start = inp
	for i = 0, N - 1 do
		local out = vai.chan()
		vai.go(chain, ch, i, inp, out)
		inp = out
	end
	start:send(0)
	for i = 0, N - 1 do
		ch:send(i)
	end
	inp:recv()
end

asynch_fifo()
synch_fifo()

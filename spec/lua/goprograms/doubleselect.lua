-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/doubleselect.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Two cases of a select must not both end up running.
local vai = require("vai")
local iterations = tonumber(arg and arg[1]) or 20000

-- Sends a counter to one of four channels. If two cases both end up running in the same
-- iteration, the same value will be sent to two different channels.
local function sender(n, c1, c2, c3, c4)
	for i = 0, n - 1 do
		vai.select({ { c1, i }, { c2, i }, { c3, i }, { c4, i } })
	end
	c1:close()
	c2:close()
	c3:close()
	c4:close()
end

-- Forwards the values from sender onto another channel.
local function mux(out, inp, done)
	for v in inp do
		out:send(v)
	end
	done:send(true)
end

-- Gets a stream of values from the four muxes and checks for duplicates.
local function recver(inp)
	local seen, n = {}, 0
	for v in inp do
		assert(not seen[v], "got duplicate value")
		seen[v] = true
		n = n + 1
	end
	assert(n == iterations, n)
end

local c1, c2, c3, c4 = vai.chan(), vai.chan(), vai.chan(), vai.chan()
local done, cmux = vai.chan(), vai.chan()
vai.go(sender, iterations, c1, c2, c3, c4)
vai.go(mux, cmux, c1, done)
vai.go(mux, cmux, c2, done)
vai.go(mux, cmux, c3, done)
vai.go(mux, cmux, c4, done)
vai.go(function()
	for _ = 1, 4 do
		done:recv()
	end
	cmux:close()
end)
recver(cmux)

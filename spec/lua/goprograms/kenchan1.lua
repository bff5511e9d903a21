-- SPDX-License-Identifier: BSD-3-Clause
-- After test/ken/chan1.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Communication with many goroutines at once: every message arrives exactly once.
local vai = require("vai")
local N, M, W = 1000, 10, 2 -- messages, receiving goroutines, channel buffering

local function r(c, marks)
	while true do
		local _, n = vai.select({ c })
		marks:send(n)
	end
end

local c, marks = vai.chan(W), vai.chan(N)
for _ = 1, M do
	vai.go(r, c, marks)
	vai.yield()
end
vai.yield()
vai.yield()
for n = 0, N - 1 do
	c:send(n)
end
local h = {}
for _ = 1, N do
	local n = marks:recv()
	assert(not h[n], n)
	h[n] = true
end
for n = 0, N - 1 do
	assert(h[n], n)
end
assert(marks:try_recv() == nil)

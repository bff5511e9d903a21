-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/goroutines.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Torture test: makes a lot of goroutines, threaded together, and tears them down cleanly.
local vai = require("vai")
local n = tonumber(arg and arg[1]) or 10000

local function f(left, right)
	left:send(right:recv())
end

local leftmost = vai.chan()
local right, left = leftmost, leftmost
for _ = 1, n do
	right = vai.chan()
	vai.go(f, left, right)
	left = right
end
vai.go(function(c)
	c:send(1)
end, right)
assert(leftmost:recv() == 1)

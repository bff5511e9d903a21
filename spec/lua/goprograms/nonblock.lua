-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/nonblock.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Channel operations that test for blocking, with several types of values.
local vai = require("vai")
local chan, select, go = vai.chan, vai.select, vai.go

local function receiver(c, strobe, want)
	assert(c:recv() == want, "value")
	strobe:send(true)
end

local function sender(c, strobe, value)
	c:send(value)
	strobe:send(true)
end

local function pause(try)
	vai.yield()
	if try > 100 then
		vai.sleep(1e-5)
	end
end

local values = { 123, 123456789012345, 1.5, true, false, "hello", ("long"):rep(100) }
local sync = chan()
for buffer = 0, 1 do
	for _, value in ipairs(values) do
		local c = chan(buffer)
		assert(select({ c, default = true }) == nil, "blocked sender")

		go(receiver, c, sync, value)
		local try = 0
		while not select({ { c, value }, default = true }) do
			try = try + 1
			pause(try)
		end
		sync:recv()

		go(sender, c, sync, value)
		if buffer > 0 then
			sync:recv()
		end
		try = 0
		while true do
			local i, v = select({ c, default = true })
			if i then
				assert(v == value, "sender value")
				break
			end
			try = try + 1
			pause(try)
		end
		if buffer == 0 then
			sync:recv()
		end
	end
end

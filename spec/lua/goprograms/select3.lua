-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/select3.go of the Go distribution. Copyright 2010 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- The semantics of select for basic empty and non-empty cases.
local vai = require("vai")
local chan, select, go = vai.chan, vai.select, vai.go

local ALWAYS, NEVER = "function did not", "function did"

-- Calls f and verifies that f always or never raises.
local function test_panic(signal, f)
	local ok = pcall(f)
	assert((ok and NEVER or ALWAYS) == signal, signal .. " panic")
end

-- Calls f and empirically verifies that f always or never blocks.
local function test_block(signal, f)
	local c = chan()
	go(function()
		f()
		c:send(NEVER) -- f did not block
	end)
	go(function()
		-- A long time so as not to miss the window on a slow machine; a short one for what blocks.
		vai.sleep(signal == NEVER and 10 or 0.01)
		c:send(ALWAYS) -- f blocked always
	end)
	assert(c:recv() == signal, signal .. " block")
end

local function unreachable()
	error("control flow shouldn't reach here")
end

local async = 1
local nilch = false
local closedch = chan()
closedch:close()

-- A nil channel inside a select is never selected.
test_panic(NEVER, function()
	if select({ { nilch, 7 }, default = true }) then
		unreachable()
	end
end)
test_panic(NEVER, function()
	if select({ nilch, default = true }) then
		unreachable()
	end
end)

-- Sending to a buffered channel with free space never blocks.
test_block(NEVER, function()
	local ch = chan(async)
	ch:send(7)
end)

-- Receiving from a closed channel never blocks.
test_block(NEVER, function()
	for _ = 1, 10 do
		local v, err = closedch:recv()
		assert(v == nil and err == "closed")
	end
end)

-- Sending to a closed channel raises.
test_panic(ALWAYS, function()
	closedch:send(7)
end)

-- Receiving from a channel that is not ready always blocks.
test_block(ALWAYS, function()
	local ch = chan()
	ch:recv()
end)

-- Empty selects always block, and those with only nil channels.
test_block(ALWAYS, function()
	select({})
end)
test_block(ALWAYS, function()
	select({ nilch })
	unreachable()
end)
test_block(ALWAYS, function()
	select({ { nilch, 7 } })
	unreachable()
end)
test_block(ALWAYS, function()
	select({ nilch, { nilch, 7 } })
	unreachable()
end)

-- Selects with channels that are not ready always block.
test_block(ALWAYS, function()
	local ch = chan()
	select({ ch })
	unreachable()
end)

-- Selects with default cases don't block.
test_block(NEVER, function()
	select({ default = true })
end)
test_block(NEVER, function()
	assert(select({ nilch, default = true }) == nil)
end)
test_block(NEVER, function()
	assert(select({ { nilch, 7 }, default = true }) == nil)
end)

-- Selects with ready channels don't block.
test_block(NEVER, function()
	local ch = chan(async)
	assert(select({ { ch, 7 }, default = true }) == 1)
end)
test_block(NEVER, function()
	local ch = chan(async)
	ch:send(7)
	assert(select({ ch, default = true }) == 1)
end)

-- Selects with closed channels behave like ordinary operations.
test_block(NEVER, function()
	local i, v, err = select({ closedch })
	assert(i == 1 and v == nil and err == "closed")
end)
test_panic(ALWAYS, function()
	select({ { closedch, 7 } })
end)

-- Select should not get confused if it sees itself.
test_block(ALWAYS, function()
	local c = chan()
	select({ { c, 1 }, c })
end)

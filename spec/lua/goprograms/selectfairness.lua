-- SPDX-License-Identifier: BSD-3-Clause
-- After src/runtime/chan_test.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- TestSelectFairness.
local vai = require("vai")
local chan, select = vai.chan, vai.select

local trials = 10000
local c1, c2 = chan(trials + 1), chan(trials + 1)
for _ = 1, trials + 1 do
	c1:send(1)
	c2:send(2)
end
local c3, c4, out, done = chan(), chan(), chan(), chan()
local wg = vai.waitgroup()
wg:add(1)
vai.go(function()
	local cases = { c3, c4, c1, c2 }
	while true do
		local _, b = select(cases)
		if select({ { out, b }, done }) == 2 then
			break
		end
	end
	wg:done()
end)
local cnt = { 0, 0 }
for _ = 1, trials do
	local b = out:recv()
	cnt[b] = cnt[b] + 1
end
-- If the select in the goroutine is fair, both counts should be about the same. With 10,000 trials,
-- the expected margin of error at a confidence level of six nines is 4.891676 / (2 * sqrt(10000)).
local e = math.abs(cnt[1] / trials - 0.5)
assert(e <= 4.891676 / (2 * math.sqrt(trials)), ("unfair select: %d, %d"):format(cnt[1], cnt[2]))
done:close()
wg:wait()

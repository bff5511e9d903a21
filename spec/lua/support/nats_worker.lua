-- SPDX-License-Identifier: MIT
-- nats_worker.lua ROLE URL N: a process of the tests of vai.nats. "stream" receives and acknowledges, and prints "got V"
-- and, once the server knows, "ack V"; "chan" prints "heard" at the first of the numbers up to N, and "end", how many
-- came, and what was lost.
local vai, nats = require "vai", require "vai.nats"
local role, url, n = arg[1], arg[2], tonumber(arg[3])
local nc = assert(nats.connect(url, { reconnect_wait = 0.02 }))
local out = vai.stdout
vai.go(function() -- ends with the test
	vai.stdin:read("a")
	os.exit(1)
end)
if role == "stream" then
	local st = assert(nc:stream("N", { durable = "w", ack_wait = 4, batch = 8 }))
	local wg = vai.waitgroup()
	for _ = 1, 8 do
		wg:go(function()
			while true do
				local m = st:recv()
				if not m then break end
				out:write(("got %d\n"):format(m.value))
				if m:ack(60) then out:write(("ack %d\n"):format(m.value)) end
			end
		end)
	end
	wg:wait()
else
	local ch = nc:chan("numbers", { capacity = n })
	assert(ch:listen(10))
	nc:serve("here", function(v) return v end)
	out:write("ready\n")
	local got, last = 0, 0
	while last < n do
		last = assert(ch:recv())
		got = got + 1
		if got == 1 then out:write("heard\n") end
	end
	local lost, by = ch:lost()
	out:write(("end %d %d %d %d\n"):format(got, lost, by.gap, by.breaks))
end

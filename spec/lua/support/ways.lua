-- SPDX-License-Identifier: MIT
-- Each way in which a wait ends before what it waits for has come, for waits_spec.lua. A program gives a function that
-- makes a wait, a table of:
--   call(limit)  waits in vain for at most so long, and returns what the call under test returned
--   feed()       what one waiting call, or the next, needs to succeed
--   got          what that returns: a list, or a function that looks at the results
--   close()      ends it for everybody; over: what a call gives then ({ nil, "closed" } unless it says so)
--   deadline(t)  sets the object's own, where it has one
--   limitless    the call takes no limit: it is ended by cancel and close alone
--   done()       for the end, where something is to be stopped
local vai, check = require "vai", require "check"

local function first_are(results, want, what)
	for i = 1, #want > 0 and #want or 2 do
		check.eq(results[i], want[i], what)
	end
end

local function gives(o, results)
	if type(o.got) == "function" then
		assert(o.got(table.unpack(results, 1, results.n)))
	else
		first_are(results, o.got, "after it was fed")
	end
end

-- A task that waits, or one with a short limit that has waited by the time somebody looks; and how it ended.
local function waiting(o, limit)
	local call = o.call
	local task = vai.async(function()
		return call(limit)
	end)
	check.until_true(function()
		local status = task:status()
		return status == "waiting" or status == "done" or status == "failed"
	end)
	return task
end

local function ended(task, ...)
	local results = table.pack(task:join())
	check.eq(results[1], true, tostring(results[2]))
	first_are(table.pack(table.unpack(results, 2, results.n)), table.pack(...))
end

local function fed(o)
	o.feed()
	gives(o, table.pack(o.call(not o.limitless and 20 or nil)))
end

local ways = {}

function ways.limit(o)
	first_are(table.pack(o.call(0)), { nil, "timeout" })
	first_are(table.pack(o.call(0.002)), { nil, "timeout" })
	fed(o)
end

function ways.context(o)
	local ctx, cancel = vai.context():with_cancel()
	local task = waiting(o, ctx)
	cancel()
	ended(task, nil, "canceled")
	first_are(table.pack(o.call(ctx)), { nil, "canceled" })
	first_are(table.pack(o.call((vai.context():with_timeout(0.002)))), { nil, "deadline exceeded" })
	fed(o)
end

function ways.deadline(o)
	o.deadline(vai.now() + 0.002)
	first_are(table.pack(o.call()), { nil, "timeout" })
	first_are(table.pack(o.call()), { nil, "timeout" })
	o.deadline(vai.now() + 100)
	local task = waiting(o)
	o.deadline(vai.now() - 1)
	ended(task, nil, "timeout")
	o.deadline(nil)
	fed(o)
end

function ways.cancel(o)
	local task = waiting(o)
	task:cancel("enough")
	check.failed(table.pack(task:join()), "enough")
	fed(o)
end

function ways.close(o)
	local task, other = waiting(o), o.one_waits or waiting(o, not o.limitless and 20 or nil)
	local closer = vai.async(o.close)
	local over = o.over or { nil, "closed" }
	ended(task, table.unpack(over, 1, 2))
	if not o.one_waits then
		ended(other, table.unpack(over, 1, 2))
	end
	check.eq(closer:join(), true)
	first_are(table.pack(o.call()), over)
end

-- Who has given up, in whatever way, is passed over: what comes is for the one who still waits.
function ways.queue(o)
	if o.one_waits then
		return
	end
	local ctx, cancel = vai.context():with_cancel()
	local canceled = waiting(o)
	local short = not o.limitless and waiting(o, 0.02)
	local other = not o.limitless and waiting(o, ctx)
	local patient = waiting(o)
	canceled:cancel("enough")
	check.failed(table.pack(canceled:join()), "enough")
	cancel()
	if short then
		ended(other, nil, "canceled")
		ended(short, nil, "timeout")
	end
	o.feed()
	local results = table.pack(patient:join())
	check.eq(results[1], true, tostring(results[2]))
	gives(o, table.pack(table.unpack(results, 2, results.n)))
end

local function all(make)
	for _, way in ipairs { "limit", "context", "deadline", "cancel", "queue", "close" } do
		local o = make()
		if (way == "cancel" or way == "queue" or o[way]) or not o.limitless and (way == "limit" or way == "context") then
			local ok, err = xpcall(ways[way], debug.traceback, o)
			if not ok then
				error(way .. ": " .. err, 0)
			end
		end
		if o.done then
			o.done()
		end
	end
end

-- All ways, and nothing is left: then once more, with one that still waits when the program ends.
return function(make)
	all(make)
	collectgarbage()
	check.until_true(function() return vai.count() == 1 end)
	local fds = check.fds()
	all(make)
	collectgarbage()
	check.until_true(function() return vai.count() == 1 end)
	local looks = 0 -- a lookup that was given up keeps its descriptors until the system has answered
	check.until_true(function() looks = looks + 1 return looks > 5000 or check.fds() <= fds end)
	assert(check.fds() <= fds, "descriptors are left")
	waiting(make())
end

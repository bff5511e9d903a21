-- SPDX-License-Identifier: MIT
-- spec/stress/locks.lua: many goroutines that lock, wait with limits, are canceled and fail, at random, for
-- VAI_STRESS_SECONDS. What they count under a lock, and what atomics and a map count, is the same in the end; no lock
-- and no permit is lost, no goroutine is left, and memory stays as it was. VAI_STRESS_GOROUTINES: how many at a time.
local vai = require "vai"
local level = require "level"

local seed = math.tointeger(tonumber(os.getenv "VAI_STRESS_SEED" or 1))
local seconds = tonumber(os.getenv "VAI_STRESS_SECONDS" or 10)
-- ThreadSanitizer counts goroutines as threads, and knows no more than 8,000. The hostile build preempts them anywhere,
-- and takes its time.
local variant = os.getenv "VAI_VARIANT"
local usual = ({ tsan = 2000, hard = 1000 })[variant] or 10000
local many = math.tointeger(tonumber(os.getenv "VAI_STRESS_GOROUTINES" or usual))
math.randomseed(seed)

-- What all share. `plain` is counted under the lock only, by a load and a store: a lock that lets two in shows there.
local function shared()
	return { mutex = vai.mutex(), rwmutex = vai.rwmutex(), permits = vai.semaphore(7), inside = vai.atomic(),
		plain = vai.buffer(16), counted = vai.atomic(), map = vai.map() }
end

local function count(s)
	local n = s.plain:unpack(1, "j")
	if math.random(8) == 1 then
		vai.yield()
	end
	s.plain:pack(1, "j", n + 1)
	s.counted:add(1)
	s.map:add("counted", 1)
end

local function limit()
	local dice = math.random(6)
	if dice == 1 then
		return 0
	elseif dice == 2 then
		return math.random() / 100
	elseif dice == 3 then
		return (vai.context():with_timeout(math.random() / 100))
	end
end

-- A victim may be canceled between any two instructions: so it counts nothing, and has what it holds by guards only.
local work = {
	function(s, victim)
		if not victim and s.mutex:lock(limit()) then
			count(s)
			s.mutex:unlock()
		end
	end,
	function(s, victim)
		local guard <close> = s.mutex:guard()
		assert(guard)
		if victim then
			vai.yield()
		else
			count(s)
		end
		if math.random(4) == 1 then
			error("failed under a guard", 0)
		end
	end,
	function(s, victim)
		local guard <close> = s.rwmutex:guard(limit())
		if guard and not victim then
			assert(s.inside:add(1000) == 1000, "a writer beside others")
			vai.yield()
			s.inside:add(-1000)
		end
	end,
	function(s, victim)
		local guard <close> = s.rwmutex:rguard(limit())
		if guard and not victim then
			assert(s.inside:add(1) < 1000, "a reader beside a writer")
			vai.yield()
			s.inside:add(-1)
		end
	end,
	function(s, victim)
		local k = math.random(7)
		if not victim and s.permits:acquire(k, limit()) then
			vai.yield()
			s.permits:release(k)
		end
	end,
}

-- They begin when all are there, so that each round needs as much memory.
local function one(s, gate, its_seed, victim)
	math.randomseed(its_seed)
	gate:recv()
	for _ = 1, math.random(4) do
		work[math.random(#work)](s, victim)
	end
end

local expected = { ["failed under a guard"] = true, canceled = true }
local round = level.watch()
local rounds
local until_ = vai.now() + seconds
repeat
	local s, gate, tasks, victims = shared(), vai.chan(), {}, {}
	for i = 1, many do
		tasks[i] = vai.async(one, s, gate, math.random(1 << 40), i % 8 == 0)
		if i % 16 == 0 then
			victims[#victims + 1] = tasks[math.random(i // 8) * 8]
		end
	end
	gate:close()
	for _, task in ipairs(victims) do
		task:cancel()
	end
	for i = 1, many do
		local ok, err = tasks[i]:join(60)
		assert(ok or expected[err], err)
	end
	local n = s.counted:get()
	assert(n == s.map:get "counted" and n == s.plain:unpack(1, "j"), "counts differ")
	assert(s.mutex:try_lock() and s.rwmutex:try_lock() and s.permits:try_acquire(7), "something is still locked")
	assert(s.inside:get() == 0, "somebody is still inside")
	level.alone()
	rounds = round()
until vai.now() > until_
io.write(rounds, " rounds of ", many)

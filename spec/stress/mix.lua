-- SPDX-License-Identifier: MIT
-- spec/stress/mix.lua: jobs of all kinds at once, for VAI_STRESS_SECONDS, with maxprocs changing under them and
-- now and then a dump. VAI_STRESS_SEED decides which jobs run and what each of them does; the first that goes
-- wrong is named with the seed of its own. VAI_STRESS_JOB="kind seed" runs that one alone, again and again.
local vai = require "vai"
local jobs = require "jobs"

local seed = math.tointeger(tonumber(os.getenv "VAI_STRESS_SEED" or 1))
local seconds = tonumber(os.getenv "VAI_STRESS_SECONDS" or 10)
local only, only_seed = (os.getenv "VAI_STRESS_JOB" or ""):match "^(%w+) (%d+)$"
local rand = jobs.random(seed)
local at_once = rand(30)
local procs = vai.maxprocs()
local until_ = vai.now() + seconds
local running, started, ended = {}, 0, 0
local counts = {}

local function run(kind, job_seed)
	return require("jobs")[kind](job_seed)
end

local function start()
	local kind, job_seed = only or jobs.kinds[rand(#jobs.kinds)], only and tonumber(only_seed) or rand(1 << 30)
	running[#running + 1] = { kind = kind, seed = job_seed, task = vai.async(run, kind, job_seed) }
	started = started + 1
	counts[kind] = (counts[kind] or 0) + 1
end

local function finish(job)
	local ok, err = job.task:join(60)
	if not ok then
		io.stderr:write(("job %s %d: %s\n%s"):format(job.kind, job.seed, tostring(err),
			err == "timeout" and vai.dump() or ""))
		os.exit(1)
	end
	ended = ended + 1
end

while vai.now() < until_ do
	while #running < at_once do
		start()
	end
	finish(table.remove(running, rand(#running)))
	if rand(20) == 1 then
		vai.maxprocs(rand(8))
	end
	if rand(50) == 1 then
		collectgarbage()
	end
	if rand(200) == 1 then
		assert(vai.dump("/dev/null"))
	end
end
for _, job in ipairs(running) do
	finish(job)
end
vai.maxprocs(procs)
-- Goroutines that jobs left behind end by themselves.
for _ = 1, 10000 do
	if vai.count() == 1 then
		break
	end
	vai.sleep(0.001)
end
assert(vai.count() == 1, vai.count() .. " goroutines are left")
assert(started == ended)
local list = {}
for kind, n in pairs(counts) do
	list[#list + 1] = ("%s %d"):format(kind, n)
end
table.sort(list)
print(("%d jobs, %d at once: %s"):format(ended, at_once, table.concat(list, ", ")))

-- SPDX-License-Identifier: MIT
-- A pool of workers: jobs go in through one channel, results come out through another. A job that
-- fails is a result too.
local vai = require("vai")

local function collatz(n)
	if n <= 0 then
		error("not a positive number: " .. n, 0)
	end
	local steps = 0
	while n ~= 1 do
		n = n % 2 == 0 and n // 2 or 3 * n + 1
		steps = steps + 1
	end
	return steps
end

local jobs, results = vai.chan(8), vai.chan(8)
local workers = vai.waitgroup()
for _ = 1, vai.maxprocs() * 2 do
	workers:go(function()
		for job in jobs do
			local ok, v = pcall(collatz, job)
			results:send({ job = job, steps = ok and v, err = not ok and v })
		end
	end)
end

vai.go(function()
	for n = -1, 30 do
		jobs:send(n)
	end
	jobs:close()
	workers:wait()
	results:close()
end)

local by_job, failed = {}, 0
for r in results do
	by_job[r.job] = r.steps or r.err
	failed = failed + (r.err and 1 or 0)
end
for n = -1, 30 do
	print(n, by_job[n])
end
print(failed .. " failed")

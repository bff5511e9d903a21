-- SPDX-License-Identifier: MIT
-- What the stress programs measure at the end of their rounds: goroutines, descriptors, memory.
local vai = require "vai"

local level = {}

-- Resident memory of the process, MB.
function level.memory()
	for line in io.lines "/proc/self/status" do
		local kb = line:match "^VmRSS:%s*(%d+)"
		if kb then
			return tonumber(kb) / 1024
		end
	end
end

-- Open descriptors, the one of the listing included.
function level.fds()
	local n = 0
	for _ in vai.fs.scandir "/proc/self/fd" do
		n = n + 1
	end
	return n
end

-- All goroutines but main have ended: an outcome is there a moment before its goroutine is gone.
function level.alone()
	for _ = 1, 1000 do
		if vai.count() == 1 then
			return
		end
		vai.sleep(0.01)
	end
	vai.dump()
	error "goroutines are left"
end

-- For the end of each round: memory may grow in the first three, and stays level from then on.
function level.watch()
	local rounds, before = 0, nil
	return function()
		collectgarbage()
		rounds = rounds + 1
		local now = level.memory()
		before = before or rounds == 3 and now
		assert(not before or now < before * 1.5 + 50, ("memory grew from %.0f to %.0f MB"):format(before or 0, now))
		return rounds
	end
end

return level

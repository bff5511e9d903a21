-- SPDX-License-Identifier: MIT
-- A pipeline of processes, as a shell makes one, with goroutines at both ends. Each process gets the pipe of the one
-- before it; whichever fails is told by name.
local vai = require "vai"

-- Starts the commands, each reading what the one before writes. The first one's stdin, the last one's stdout, and a
-- function that waits for all: true; or nil and who failed.
local function pipeline(commands)
	local processes, input = {}, "pipe"
	for i, command in ipairs(commands) do
		command.stdin, command.stdout, command.group = input, "pipe", true
		processes[i] = assert(vai.process.spawn(command))
		if i > 1 then
			input:close() -- it is the process's now
		end
		input = processes[i].stdout
	end
	return processes[1].stdin, input, function(limit)
		for i, p in ipairs(processes) do
			local code, why, signal = p:wait(limit)
			if code ~= 0 then
				return nil, ("%s: %s"):format(commands[i][1], code or signal or why)
			end
		end
		return true
	end
end

local into, out, wait = pipeline({ { "tr", "a-z", "A-Z" }, { "grep", "0$" }, { "sort", "-r" } })
vai.go(function()
	for i = 1, 10000 do
		into:write("line ", i, "\n")
	end
	into:close()
end)
local n, first, last = 0, nil, nil
for line in out:lines() do
	n, first, last = n + 1, first or line, line
end
print(n, first, last)
print("all well", wait(10))

into, out, wait = pipeline({ { "cat" }, { "sh", "-c", "exit 3" } })
into:close()
print(out:read("a") == "", wait(10))

-- SPDX-License-Identifier: MIT
-- tail -F of many files: `lua5.4 tail.lua FILE...` prints what is added to them, with the file's name, also when
-- one is replaced, emptied, or made later. A goroutine a file waits for changes; one prints. Without files it makes
-- some itself.
local vai = require "vai"

-- Sends { name, line } for what comes into the file from now on, until `stop` is closed.
local function follow(path, lines, stop, ready)
	local changes = assert(vai.fs.watch(path))
	local file, inode, at
	local function open(from_end)
		file = vai.fs.open(path)
		inode, at = file and file:stat().ino, 0
		if file and from_end then
			at = file:seek("end")
		end
	end
	-- Whole lines; what has no end yet is read again when there is more.
	local function read()
		while file do
			local line = file:read("L")
			if not line or line:sub(-1) ~= "\n" then
				file:seek("set", at)
				return
			end
			at = at + #line
			lines:send({ path, line })
		end
	end
	local function look()
		if file and file:stat().size < at then
			at = file:seek("set") -- emptied
		end
		read()
		local now = vai.fs.stat(path)
		if now and now.ino ~= inode then
			read() -- what came into the old one before it was replaced
			open() -- replaced, or made
			read()
		end
	end
	open(true)
	ready:done()
	repeat
		look()
	until vai.select({ changes, stop }) == 2
	look()
	changes:close()
end

local lines, stop, ready, running = vai.chan(100), vai.chan(), vai.waitgroup(), vai.waitgroup()
local function follow_all(paths)
	ready:add(#paths)
	for _, path in ipairs(paths) do
		running:go(follow, path, lines, stop, ready)
	end
	ready:wait()
end

if arg[1] then
	follow_all(arg)
	for line in lines do
		io.write(line[1], ": ", line[2])
		io.flush()
	end
end

local dir = os.tmpname()
assert(vai.fs.remove(dir) and vai.fs.mkdir(dir))
local paths = {}
for i = 1, 20 do
	paths[i] = ("%s/log%02d"):format(dir, i)
	assert(vai.fs.write_file(paths[i], "old\n"))
end
vai.fs.remove(paths[19]) -- one that is made later; it is not replaced before it is met
follow_all(paths)

local writers = vai.waitgroup()
for i, path in ipairs(paths) do
	writers:go(function()
		for n = 1, 10 do
			if n == 5 and i % 2 == 0 then
				vai.fs.rename(path, path .. ".1") -- as logrotate does
			end
			local f <close> = assert(vai.fs.open(path, "a"))
			f:write("line ", n, "\n")
			vai.sleep(0.002)
		end
	end)
end
vai.go(function()
	writers:wait()
	stop:close()
	running:wait()
	lines:close()
end)

local counts, order = {}, true
for line in lines do
	local n = tonumber(line[2]:match("%d+"))
	counts[line[1]] = (counts[line[1]] or 0) + 1
	order = order and n == counts[line[1]]
end
local files, sum = 0, 0
for _, n in pairs(counts) do
	files, sum = files + 1, sum + n
end
print(files .. " files, " .. sum .. " lines, in order: " .. tostring(order))
vai.fs.remove_all(dir)

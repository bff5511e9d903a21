-- SPDX-License-Identifier: MIT
-- lua5.4 mk/demo.lua N [PATH...]: counts the words of real files three ways, sequentially, with
-- goroutines on one processor and on N, and shows that all agree and what the processors gain. Each way takes the
-- best of three times; and as that depends on what else the machine does, it tells how much of the processors was
-- free between them.
local procs = math.max(1, math.tointeger(tonumber(arg[1])) or 1)
local build = os.getenv("VAI_BUILD") or "build"

local function quote(s)
	return "'" .. s:gsub("'", "'\\''") .. "'"
end

-- Bytes below a folder, or nil.
local function size(path)
	local pipe = assert(io.popen("du -sbL " .. path .. " 2>/dev/null"))
	local n = pipe:read("n")
	pipe:close()
	return n
end

-- Text that this machine has, as much as a second or two are enough for.
local ENOUGH = 24000000
local paths = { table.unpack(arg, 2) }
if #paths == 0 then
	local left = ENOUGH
	local usual = "src spec doc /usr/share/common-licenses /usr/include/linux /usr/include/c++ /usr/share/perl "
		.. "/usr/include"
	for path in usual:gmatch("%S+") do
		local n = size(path)
		if n and n <= left then
			paths[#paths + 1], left = path, left - n
		end
	end
end
local shown = table.concat(paths, " ")
for i, path in ipairs(paths) do
	paths[i] = quote(path)
end

local prefix = ("env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 LUA_PATH='lua/?.lua;;' LUA_CPATH=%s %s %s "):format(
	quote(build .. "/?.so;;"), arg[-1] or "lua5.4", "examples/wordcount.lua")

-- What it prints without the time, and the time.
local function wordcount(options)
	local pipe = assert(io.popen(prefix .. options .. " " .. table.concat(paths, " ")))
	local text = pipe:read("a")
	local seconds = tonumber(text:match("wall time ([%d.]+)"))
	if not pipe:close() or not seconds then
		io.stderr:write("demo: examples/wordcount.lua ", options, " failed\n")
		os.exit(1)
	end
	return text:gsub("wall time [^\n]*\n", ""), seconds
end

-- How long the processors have been idle since the start of the machine, and how long they have been, both in the
-- kernel's ticks; and how many there are.
local function ticks()
	local idle, sum, number = 0, 0, 0
	for line in io.lines("/proc/stat") do
		local rest = line:match("^cpu +(.*)")
		number = number + (line:find("^cpu%d") and 1 or 0)
		local i = 0
		for n in (rest or ""):gmatch("%d+") do
			i = i + 1
			sum = sum + (i <= 8 and n or 0)
			idle = idle + ((i == 4 or i == 5) and n or 0)
		end
	end
	return idle, sum, number
end

-- The processors that nobody uses, while this program sleeps; nil where the system does not say.
local function free()
	local ok, idle, sum, number = pcall(ticks)
	os.execute("sleep 0.3")
	if ok then
		local idle_now, sum_now = ticks()
		return sum_now > sum and (idle_now - idle) / (sum_now - sum) * number or nil, number
	end
end

-- The lines of the script that make the difference.
local script = assert(io.open("examples/wordcount.lua")):read("a")
print("examples/wordcount.lua, in its midst:\n")
print((script:match("(local function counter.-)\n\tlocal batch"):gsub("\t", "    "):gsub("%f[^\n%z]", "    ")))
print("words of all text files under " .. shown)
-- So that all find the files in memory.
os.execute(("find %s -type f -exec cat {} + >/dev/null 2>&1"):format(table.concat(paths, " ")))
local runs = {
	{ "sequentially", "--sequential" },
	{ "goroutines, 1 processor", "--procs 1" },
	{ ("goroutines, %d processors"):format(procs), "--procs " .. procs },
}
local samples, sum, processors = 0, 0, 0
for round = 1, 3 do
	for i, run in ipairs(runs) do
		local idle, number = free()
		if idle then
			samples, sum, processors = samples + 1, sum + idle, number
		end
		local text, seconds = wordcount(run[2])
		if round == 1 and i == 1 then
			runs.text = text
			io.write(text)
		elseif text ~= runs.text then
			io.stderr:write(("demo: the counts of `%s` differ from those of `--sequential`:\n%s"):format(run[2], text))
			os.exit(1)
		end
		run.seconds = math.min(run.seconds or seconds, seconds)
	end
end
for _, run in ipairs(runs) do
	print(("%-28s %7.3f s   speed-up %.2f"):format(run[1], run.seconds, runs[1].seconds / run.seconds))
end
if samples > 0 then
	print(("best of three each; %.1f of %d processors were free"):format(sum / samples, processors))
end
print("all agree")

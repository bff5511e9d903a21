-- SPDX-License-Identifier: MIT
-- lua5.4 mk/demo.lua N [PATH...]: counts the words of real files three ways, sequentially, with
-- goroutines on one processor and on N, and shows that all agree and what the processors gain.
local procs = math.max(1, math.tointeger(tonumber(arg[1])) or 1)
local build = os.getenv("VAI_BUILD") or "build"

local function quote(s)
	return "'" .. s:gsub("'", "'\\''") .. "'"
end

-- Whatever text this machine has.
local paths = { table.unpack(arg, 2) }
if #paths == 0 then
	local usual = "src spec doc /usr/include /usr/share/common-licenses /usr/share/doc /usr/share/perl /usr/lib/gcc"
	for path in usual:gmatch("%S+") do
		if os.execute("test -d " .. path) then
			paths[#paths + 1] = path
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

print("words of all text files under " .. shown)
-- So that all three find the files in memory.
os.execute(("find %s -type f -exec cat {} + >/dev/null 2>&1"):format(table.concat(paths, " ")))
local runs = {
	{ "sequentially", "--sequential" },
	{ "goroutines, 1 processor", "--procs 1" },
	{ ("goroutines, %d processors"):format(procs), "--procs " .. procs },
}
for i, run in ipairs(runs) do
	run.text, run.seconds = wordcount(run[2])
	if i == 1 then
		io.write(run.text)
	elseif run.text ~= runs[1].text then
		io.stderr:write(("demo: the counts of `%s` differ from those of `--sequential`:\n%s"):format(run[2], run.text))
		os.exit(1)
	end
	print(("%-28s %7.3f s   speed-up %.2f"):format(run[1], run.seconds, runs[1].seconds / run.seconds))
end
print("all three agree")

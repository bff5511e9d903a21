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
	for path in ("src spec doc /usr/include /usr/share/common-licenses /usr/share/doc /usr/share/perl " ..
		"/usr/lib/python3 /usr/lib/gcc"):gmatch("%S+") do
		if os.execute("test -d " .. path) then
			paths[#paths + 1] = path
		end
	end
end
for i, path in ipairs(paths) do
	paths[i] = quote(path)
end

local env = ("env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH=%s "):format(
	quote(build .. "/?.so;;"))
local function count(options)
	local command = ("lua5.4 examples/wordcount.lua %s %s"):format(options, table.concat(paths, " "))
	local pipe = assert(io.popen(env .. command))
	local text = pipe:read("a")
	if not pipe:close() then
		io.stderr:write("demo: failed: ", command, "\n")
		os.exit(1)
	end
	return text
end
return count, procs

-- SPDX-License-Identifier: MIT
-- Words that may not stand in the sources: C functions with a safer sibling, thread-locals outside
-- the layers that know how they go stale, notes to oneself.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

local functions = {
	gets = "fgets", strcpy = "memcpy with a length", strcat = "memcpy with a length", sprintf = "snprintf",
	vsprintf = "vsnprintf", strtok = "strtok_r", alloca = "a block of the heap: goroutine stacks are small",
	localtime = "localtime_r", gmtime = "gmtime_r", strerror = "strerror_r", rand = "a generator per P",
	setjmp = "park, or Lua's own errors", longjmp = "park, or Lua's own errors",
}

local function code_of(line)
	return (line:gsub('"[^"]*"', '""'):gsub("/%*.-%*/", ""):gsub("//.*", ""):gsub("/%*.*", ""))
end

local all = files.list("src", "%.[ch]$")
for _, path in ipairs(all) do
	local comment = false
	for n, line in ipairs(files.lines(path)) do
		local code = comment and (line:match("%*/(.*)") or "") or code_of(line)
		comment = (comment or line:find("/%*")) and not line:find("%*/[^*]*$")
		for name in code:gmatch("([%a_][%w_]*)%s*%(") do
			if functions[name] then
				files.complain(path, n, "%s: use %s", name, functions[name])
			end
		end
		if code:find("_Thread_local") or code:find("__thread%f[^%w_]") then
			if not path:find("^src/base/") and not path:find("^src/mach/") and not path:find("^src/sched/") then
				files.complain(path, n, "a thread-local goes stale across a park: only base/, mach/ and sched/ have any")
			end
		end
		if line:find("%f[%w]TODO%f[%W]") or line:find("%f[%w]FIXME%f[%W]") or line:find("%f[%w]XXX%f[%W]") then
			files.complain(path, n, "a note to oneself")
		end
	end
end
files.finish("words: %d files", #all)

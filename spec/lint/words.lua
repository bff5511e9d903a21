-- SPDX-License-Identifier: MIT
-- Words that may not stand in the sources: C functions with a safer sibling, thread-locals where
-- they could go stale, notes to oneself.
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

-- A thread-local's address goes stale across a park. base/, mach/ and sched/ know where none can happen;
-- elsewhere only a function that is never inlined may name one.
local names, signature, body
local function thread_local(path, n, line, code)
	if line:find("^[%a_].*%)$") then
		signature = line
	end
	body = line == "{" or body and line ~= "}"
	local plain = code:gsub("__attribute__%s*%b()", "")
	local name = (plain:match("_Thread_local(.*)") or plain:match("__thread%f[^%w_](.*)") or ""):match(
		"([%a_][%w_]*)%s*[%[=;]")
	if name then
		names[name] = true
	elseif body and not signature:find("VAI_NOINLINE") then
		for used in code:gmatch("[%a_][%w_]*") do
			if names[used] then
				files.complain(path, n, "thread-local %s in a function that may be inlined into one that parks", used)
			end
		end
	end
end

local all = files.list("src ext", "%.[ch]$")
for _, path in ipairs(all) do
	local comment = false
	local careful = path:find("^src/base/") or path:find("^src/mach/") or path:find("^src/sched/")
	names, signature, body = {}, "", false
	for n, line in ipairs(files.lines(path)) do
		local code = comment and (line:match("%*/(.*)") or "") or code_of(line)
		comment = (comment or line:find("/%*")) and not line:find("%*/[^*]*$")
		for name in code:gmatch("([%a_][%w_]*)%s*%(") do
			if functions[name] then
				files.complain(path, n, "%s: use %s", name, functions[name])
			end
		end
		if not careful then
			thread_local(path, n, line, code)
		end
		if line:find("%f[%w]TODO%f[%W]") or line:find("%f[%w]FIXME%f[%W]") or line:find("%f[%w]XXX%f[%W]") then
			files.complain(path, n, "a note to oneself")
		end
	end
end
-- Temporary files: os.tmpname makes one in /tmp, which stays unless the program ends well and thinks of it.
for _, path in ipairs(files.list("spec examples doc lua README.md", "")) do
	local test = path:find("^spec/") and not path:find("^spec/lint/")
	for n, line in ipairs(files.lines(path)) do
		if test and (line:find("os%.tmpname%(") or line:find("/tmp/[%w_-]*XXX")) then
			files.complain(path, n, "a file outside of the test's folder: use program.temp, check.temp, temp_path or $TMPDIR")
		elseif line:find("os%.tmpname%(%)%s*%.%.") then
			files.complain(path, n, "the file that os.tmpname makes stays: remove it, then use its name")
		end
	end
end
files.finish("words: %d files", #all)

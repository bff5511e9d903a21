-- SPDX-License-Identifier: MIT
-- Runs Lua programs as processes of their own, under several VAI_MAXPROCS, and turns each into a
-- busted test. A program fails when it ends with another status, prints something else or, unless
-- it says so, writes anything to stderr.
--
-- Environment: LUA (default lua5.4), VAI_VARIANT (slow builds get more time), VAI_SPEC_KEEP=1 keeps the files of failed
-- programs, VAI_SPEC_TIMES=FILE gets the processor time of each. The values of VAI_MAXPROCS are 1, 2 and 8 (2 and 8 in
-- slow builds), of which each program is run with a sample; VAI_SPEC_SEED (default 1) chooses another one,
-- VAI_SPEC_WHOLE=1 runs all, with sizes and numbers of repetitions that are not cut down either, and
-- VAI_SPEC_PROCS="1 3" gives the values, all of which each program is run with.

local M = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local lua = os.getenv("LUA") or "lua5.4"
local slow = { asan = true, tsan = true, ubsan = true, hard = true, cover = true, debug = true, valgrind = true,
	arm64 = true }

-- How many times slower than a release build the one under test is taken to be.
M.slowness = slow[os.getenv("VAI_VARIANT") or ""] and 8 or 1

-- Whether sizes, repetitions and products of tables are those of a nightly run.
M.whole = os.getenv("VAI_SPEC_WHOLE") == "1"
M.seed = math.tointeger(tonumber(os.getenv("VAI_SPEC_SEED") or 1)) or 1

M.procs = {}
for n in (os.getenv("VAI_SPEC_PROCS") or (M.slowness > 1 and "2 8" or "1 2 8")):gmatch("%d+") do
	M.procs[#M.procs + 1] = tonumber(n)
end

-- n of a list, in order: the same for the same name and seed, about equally often each.
function M.sample(name, list, n)
	local hash = M.seed
	local function mix(v)
		hash = (hash ~ v) * 0x9E3779B97F4A7C15
		hash = hash ~ hash >> 29
	end
	for i = 1, #name do
		mix(name:byte(i))
	end
	local chosen, left = {}, n
	for i, v in ipairs(list) do
		mix(i)
		if (hash >> 33) % (#list - i + 1) < left then
			chosen[#chosen + 1], left = v, left - 1
		end
	end
	return chosen
end

-- The values of VAI_MAXPROCS for a test of this name: a sample of two, or of so many.
function M.procs_of(name, n)
	if M.whole or os.getenv("VAI_SPEC_PROCS") then
		return M.procs
	end
	return M.sample(name, M.procs, n or 2)
end

local function quote(s)
	return "'" .. s:gsub("'", "'\\''") .. "'"
end
M.quote = quote

local function read_all(name)
	local f = assert(io.open(name, "rb"))
	local s = f:read("a")
	f:close()
	return s
end

local function write_all(name, text)
	local f = assert(io.open(name, "wb"))
	f:write(text)
	f:close()
end

-- The paths that the process sees, with the support modules before them.
local function lua_path()
	local path = os.getenv("LUA_PATH_5_4") or os.getenv("LUA_PATH") or ";;"
	return here .. "/?.lua;" .. path
end

-- spec/run builds it: see spec/process.c.
local helper = (os.getenv("VAI_BUILD") or "build") .. "/bin/process.so"
local process = assert(package.loadlib(helper, "luaopen_process"), helper .. ": make test builds it")()

-- A folder for all files of this process. It is removed when the process ends and closes its Lua state.
local keep = os.getenv("VAI_SPEC_KEEP")
local base, number = nil, 0
M.remover = setmetatable({}, { __gc = function()
	if base and not keep then process.remove(base) end
end })
local function scratch()
	base = base or process.folder(not keep and os.getenv("TMPDIR") or "/tmp")
	number = number + 1
	return base .. "/" .. number
end

-- The name for a file or folder of the test's own: there is none of that name yet, and it is removed with the process's
-- others. Programs under test have check.temp() for that.
M.temp = scratch

-- The same, with a new folder.
function M.folder()
	local name = scratch()
	process.mkdir(name)
	return name
end

-- Runs `lua5.4 FILE ARG...`. Returns { status, out, err, hung, seconds (of processor time) }.
-- opts: procs, timeout (seconds of a machine that is not loaded: spec/process.c), ulimit (kB of address space),
-- env (table), args (list), stdin (text), ignore_quit (SIGQUIT is ignored from its start on), closed (numbers of
-- standard streams that it starts without).
function M.run_file(file, opts)
	opts = opts or {}
	local name = scratch()
	local spec = { argv = { lua, file }, input = "/dev/null", out = name .. ".out", err = name .. ".err",
		env = { "LUA_PATH_5_4=" .. lua_path(), "VAI_SPEC_SLOWNESS=" .. M.slowness,
			"VAI_SPEC_WHOLE=" .. (M.whole and 1 or 0), opts.procs and "VAI_MAXPROCS=" .. opts.procs },
		closed = opts.closed, ignore_quit = opts.ignore_quit, memory = opts.ulimit and opts.ulimit * 1024,
		seconds = (opts.timeout or 60) * M.slowness }
	if opts.stdin then
		spec.input = name .. ".in"
		write_all(spec.input, opts.stdin)
	end
	for k, v in pairs(opts.env or {}) do
		spec.env[#spec.env + 1] = k .. "=" .. tostring(v)
	end
	for _, a in ipairs(opts.args or {}) do
		spec.argv[#spec.argv + 1] = tostring(a)
	end
	local status, seconds = process.run(spec)
	local result = { status = status, out = read_all(spec.out), err = read_all(spec.err), hung = status == 124,
		seconds = seconds }
	local times = os.getenv("VAI_SPEC_TIMES") and io.open(os.getenv("VAI_SPEC_TIMES"), "a")
	if times then
		times:write(("%8.2f %s\n"):format(seconds, opts.name or file)):close()
	end
	os.remove(spec.out)
	os.remove(spec.err)
	if opts.stdin then
		os.remove(spec.input)
	end
	return result
end

-- Names that nearly every program wants, on one line so that line numbers stay.
local prelude = [[local vai = require "vai"; local go, chan, waitgroup, select = vai.go, vai.chan, vai.waitgroup, vai.select; ]]
	.. [[local check = require "check"; ]]

-- Runs a program given as text in a folder of its own, which also gets opts.files (name = text) and
-- is the program's arg[1]. opts as for run_file, and raw = true: without the prelude.
function M.run(source, opts)
	opts = opts or {}
	local dir = M.folder()
	local file = dir .. "/program.lua"
	write_all(file, (opts.raw and "" or prelude) .. source)
	for name, text in pairs(opts.files or {}) do
		write_all(dir .. "/" .. name, text)
	end
	local run_opts = {}
	for k, v in pairs(opts) do
		run_opts[k] = v
	end
	run_opts.args = { dir, table.unpack(opts.args or {}) }
	local result = M.run_file(file, run_opts)
	result.dir = dir
	return result
end

function M.discard(result, failed)
	if result.dir and not (failed and keep) then
		process.remove(result.dir)
	end
end

local function describe(result)
	local out = #result.out > 2000 and result.out:sub(1, 2000) .. "..." or result.out
	local err = #result.err > 4000 and result.err:sub(1, 4000) .. "..." or result.err
	return ("status %s%s\n--- stdout\n%s\n--- stderr\n%s"):format(result.status, result.hung and " (hung)" or "", out, err)
end

-- What is wrong with a result, or nil. opts: status (0), out (exact text), match (a Lua pattern or a
-- list of them that stdout must contain), lines and count (each line matches, and there are so many),
-- err (as match, for stderr; without it and any_err stderr must be empty), err_not (not in stderr).
function M.verdict(result, opts)
	opts = opts or {}
	local function list(v)
		return type(v) == "table" and v or { v }
	end
	if result.status ~= (opts.status or 0) then
		return ("expected status %d, got %s"):format(opts.status or 0, describe(result))
	end
	if opts.out and result.out ~= opts.out then
		return ("expected output\n%s\ngot %s"):format(opts.out, describe(result))
	end
	for _, p in ipairs(list(opts.match)) do
		if not result.out:find(p) then
			return ("stdout does not match %q: %s"):format(p, describe(result))
		end
	end
	if opts.lines then
		local n = 0
		for line in result.out:gmatch("([^\n]*)\n") do
			n = n + 1
			if not line:find(opts.lines) then
				return ("line %d of stdout is %q, which does not match %q"):format(n, line, opts.lines)
			end
		end
		if n ~= opts.count then
			return ("%d lines on stdout, expected %d; stderr: %s"):format(n, opts.count, result.err)
		end
	end
	for _, p in ipairs(list(opts.err)) do
		if not result.err:find(p) then
			return ("stderr does not match %q: %s"):format(p, describe(result))
		end
	end
	for _, p in ipairs(list(opts.err_not)) do
		if result.err:find(p) then
			return ("stderr matches %q: %s"):format(p, describe(result))
		end
	end
	if not opts.err and not opts.any_err and result.err ~= "" then
		return "unexpected stderr: " .. describe(result)
	end
end

local available = {}
-- Whether the Lua under test has a module, or the system "command:name".
function M.has(what)
	if available[what] == nil then
		local command = what:match("^command:(.*)")
		available[what] = os.execute((command and "command -v %s >/dev/null 2>&1" or "%s -e 'require %q' >/dev/null 2>&1")
			:format(quote(command or lua), what)) == true
	end
	return available[what]
end

-- What is not there of a list (or the one), as text; nil if all is.
local function missing(needs)
	local list = {}
	for _, module in ipairs(type(needs) == "table" and needs or { needs }) do
		if not M.has(module) then
			list[#list + 1] = module
		end
	end
	return list[1] and table.concat(list, ", ")
end

-- ---- where a test stands ----

local file_lines = {}
local function lines_of(file)
	if not file_lines[file] then
		local list = {}
		for line in io.lines(file) do
			list[#list + 1] = line
		end
		file_lines[file] = list
	end
	return file_lines[file]
end

-- The line of a spec file that defines a test: the one from which, however indirectly, this function is called;
-- for a test made by a loop over a table, the line that has the word in quotes (or as a key).
local function place(word)
	local file, at
	local level = 2
	local info = debug.getinfo(level, "Sl")
	while info do
		local name = info.source:match("^@(.*_spec%.lua)$")
		if name then
			file, at = name, info.currentline
		end
		level = level + 1
		info = debug.getinfo(level, "Sl")
	end
	if not file then
		return "program", 1
	end
	local lines = lines_of(file)
	local literal, key = ('"%s"'):format(word), word:find("^[%a_][%w_]*$") and "%f[%w_]" .. word .. " = "
	if not lines[at]:find(literal, 1, true) then
		for i, line in ipairs(lines) do
			if line:find(literal, 1, true) or key and line:find(key) then
				return file, i
			end
		end
	end
	return file, at
end

-- busted tells where a test stands by the function that calls it(), and where it failed by the one that raises:
-- both are made here, in a chunk that has the name of the file and as many lines before it.
local function register(how, name, word, run)
	local file, line = place(word)
	local chunk = ("\n"):rep(line - 1) .. [[
local define, name, run = ...; define(name, function() local wrong = run(); if wrong then error(wrong, 0) end end); return 1]]
	assert(load(chunk, "@" .. file, "t"))(require("busted")[how], name, function()
		local wrong = run and run()
		return wrong and ("%s:%d: %s"):format(file, line, wrong)
	end)
end

-- A test that is not run, which is counted and shown with the reason.
function M.skip(name, why)
	register("pending", ("%s (%s)"):format(name, why), name)
end

-- Defines a test: run() returns what is wrong, or nil. It stands where the caller's spec file calls this; or,
-- when it is made from a table, where that has the word (default: the name) in quotes.
function M.it(name, run, word)
	register("it", name, word or name, run)
end

local function define(name, opts, runner)
	local lacks = opts.needs and missing(opts.needs)
	if lacks or opts.skip then
		M.skip(name, lacks and "no " .. lacks:gsub("command:", "") or opts.skip)
		return
	end
	for _, n in ipairs(opts.procs and { opts.procs } or M.procs_of(name, opts.sample)) do
		local run_opts = {}
		for k, v in pairs(opts) do
			run_opts[k] = v
		end
		run_opts.procs, run_opts.name = n, ("%s [%d]"):format(name, n)
		M.it(("%s [%d]"):format(name, n), function()
			local result = runner(run_opts)
			local wrong = M.verdict(result, opts)
			M.discard(result, wrong)
			return wrong
		end, opts.word or name)
	end
end

-- Defines tests: the program, once for each of a sample of VAI_MAXPROCS: of opts.sample values (default 2), or
-- opts.procs alone. One value is enough for what takes long and does not hang on it. opts also as for run and
-- verdict; needs (a module or "command:name", or a list: where one is missing the test is skipped), skip (why it is not run), word
-- (as for M.it).
function M.test(name, source, opts)
	opts = opts or {}
	local chunk = (opts.raw and "" or prelude) .. source
	assert(load(chunk, "=" .. name, "t"), name)
	define(name, opts, function(run_opts)
		return M.run(source, run_opts)
	end)
end

-- M.test for programs that begin alike, with a head that counts for no line of theirs.
function M.tester(head)
	head = head:gsub("\n", " ")
	return function(name, source, opts)
		M.test(name, head .. source, opts)
	end
end

-- The begin of a program that parks so many goroutines that others shed their stacks. stacks(): how many are in use.
M.shedding = [[
local hold = chan()
do
	local tasks = {}
	for i = 1, 400 do tasks[i] = go(function() hold:recv() end) end
	for i = 1, 400 do check.waiting(tasks[i]) end
end
collectgarbage()
local function stacks() return vai.stats().stacks end
]]

-- The same as M.test for a program in a file.
function M.test_file(name, file, opts)
	define(name, opts or {}, function(run_opts)
		return M.run_file(file, run_opts)
	end)
end

M.here = here
return M

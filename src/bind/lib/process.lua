-- SPDX-License-Identifier: MIT
-- vai.process.run: a child process from its start to its end. Called with the module.
local vai = ...

-- A limit for the rest of the way: of seconds, what is left of them.
local function rest_of(limit)
	local deadline = type(limit) == "number" and vai.now() + limit
	return function()
		if deadline then
			return math.max(0, deadline - vai.now())
		end
		return limit
	end
end

local function read_all(conn)
	conn:max(math.maxinteger)
	return conn:read("a")
end

-- A process need not read what it is given.
local function write_all(conn, text)
	conn:write(text)
	conn:close()
end

local function split(opts)
	local spec = {}
	for k, v in pairs(opts) do
		if k ~= "input" and k ~= "limit" then
			spec[k] = v
		end
	end
	if opts.input ~= nil then
		spec.stdin = "pipe"
	elseif spec.stdin == nil then
		spec.stdin = "null"
	end
	spec.stdout = spec.stdout or "pipe"
	spec.stderr = spec.stderr or "pipe"
	return spec, rest_of(opts.limit)
end

-- Level 4 is who has called run, which is a function in C around the one below.
local function check(opts)
	if type(opts) ~= "table" then
		error(("bad argument #1 to 'run' (table expected, got %s)"):format(type(opts)), 4)
	elseif opts.input ~= nil and type(opts.input) ~= "string" then
		error(("bad argument #1 to 'run' (option 'input': string expected, got %s)"):format(type(opts.input)), 4)
	elseif opts.input ~= nil and opts.stdin ~= nil then
		error("bad argument #1 to 'run' (options 'input' and 'stdin' exclude each other)", 4)
	elseif type(opts.limit) == "number" and opts.limit ~= opts.limit or type(opts.limit) ~= "number"
		and type(opts.limit) ~= "userdata" and opts.limit ~= nil then
		error(("bad argument #1 to 'run' (option 'limit': number or context expected, got %s)"):format(
			tostring(opts.limit)), 4)
	end
end

return function(opts)
	check(opts)
	local spec, left = split(opts)
	local ok, started, message, number = pcall(vai.process.spawn, spec)
	if not ok then
		error((tostring(started):gsub("'spawn'", "'run'", 1)), 3)
	elseif not started then
		return nil, message, number
	end
	local p <close> = started
	local out = p.stdout and vai.async(read_all, p.stdout)
	local err = p.stderr and vai.async(read_all, p.stderr)
	if p.stdin then
		vai.async(write_all, p.stdin, opts.input or "")
	end
	local code, why, signal = p:wait(left())
	if not code and why ~= "signal" then
		return table.unpack({ nil, why, signal }, 1, signal and 3 or 2)
	end
	local result = { code = code, signal = not code and signal or nil }
	for name, task in pairs({ out = out, err = err }) do
		local read, text = task:join(left())
		if not read then
			return nil, text
		end
		result[name] = text
	end
	return result
end

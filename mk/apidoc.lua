-- SPDX-License-Identifier: MIT
-- lua5.4 mk/apidoc.lua [--check]: writes the generated part of doc/API.md from the annotations in
-- lua/vai/types.lua. --check writes nothing: it fails where the page is out of step, where a function has no
-- example, and where the annotations and the module that is built do not name the same functions.
local first = "<!-- From here on made by `make docs` from lua/vai/types.lua. -->\n"
local last = "<!-- From here on written by hand. -->\n"
local page_name, types_name = "doc/API.md", "lua/vai/types.lua"
local checking = arg[1] == "--check"

-- By the name that an object's methods have in the annotations: what makes one. One line each.
local make = {
	atomic = function(vai) return vai.atomic() end,
	buffer = function(vai) return vai.buffer(8) end,
	channel = function(vai) return vai.chan() end,
	context = function(vai) return vai.context() end,
	cond = function(vai) return vai.cond(vai.mutex()) end,
	group = function(vai) return vai.group() end,
	once = function(vai) return vai.once() end,
	rwmutex = function(vai) return vai.rwmutex() end,
	semaphore = function(vai) return vai.semaphore(1) end,
	connection = function(vai) return (vai.net.pipe()) end,
	listener = function(vai) return vai.net.listen("tcp", "127.0.0.1:0") end,
	map = function(vai) return vai.map() end,
	mutex = function(vai) return vai.mutex() end,
	supervisor = function(vai) return vai.supervisor() end,
	server = function(vai)
		return vai.net.serve(vai.net.listen("tcp", "127.0.0.1:0"), print)
	end,
	task = function(vai) return vai.async(function() end) end,
	ticker = function(vai) return vai.ticker(1000) end,
	timer = function(vai) return vai.timer(1000, print) end,
	packet = function(vai) return vai.net.packet("udp", "127.0.0.1:0") end,
	vai = function(vai) return vai end,
	["vai.net"] = function(vai) return vai.net end,
	["vai.test"] = function(vai) return vai.test end,
	["test.trace"] = function(vai) return (vai.test.run(1, function() end)) end,
	["vai.tls"] = function() return require "vai.tls" end,
	["vai.http"] = function() return require "vai.http" end,
	http_client = function() return require "vai.http".client() end,
	http_server = function()
		return require "vai.http".serve { listen = "@vai-apidoc-http-" .. os.time(), handler = print }
	end,
	["vai.nats"] = function() return require "vai.nats" end,
	nats_connection = function() return require "vai.nats.client".connection.__index end,
	nats_channel = function() return require "vai.nats.client".channel.__index end,
	nats_subscription = function() return require "vai.nats.client".subscription.__index end,
	nats_server = function() return require "vai.nats.client".server.__index end,
	nats_stream = function() return require "vai.nats.stream".meta.__index end,
	["vai.fs"] = function(vai) return vai.fs end,
	["vai.process"] = function(vai) return vai.process end,
	["vai.signal"] = function(vai) return vai.signal end,
	tty = function(vai) -- the near end of a terminal that nobody uses
		local near = assert(vai.fs.open("/dev/ptmx", "r+"))
		for fd in vai.fs.scandir("/proc/self/fd") do
			if (vai.fs.readlink("/proc/self/fd/" .. fd) or ""):find("ptmx") then
				return vai.tty(tonumber(fd)), near
			end
		end
	end,
	process = function(vai) return vai.process.spawn { "true" } end,
	file = function(vai) return vai.fs.open("/dev/null") end,
	waitgroup = function(vai) return vai.waitgroup() end,
}

-- ---- reading the annotations ----

local function new_note()
	return { text = {}, params = {}, returns = {} }
end

-- A type at the beginning of a text, which may have blanks in quotes, brackets and between a function's results, and
-- what stands behind it.
local function split_type(text)
	local at = text:match("^fun%b():%s*()") or text:match("^fun%b()()") or 1
	local results = at > 1 and text:sub(at - 1, at - 1) ~= ")"
	while at <= #text and not (text:find("^%s", at) and not (results and text:sub(at - 1, at - 1) == ",")) do
		at = text:match('^"[^"]*"()', at) or text:match("^%b<>()", at) or text:match("^%b{}()", at) or at + 1
	end
	return text:sub(1, at - 1), text:match("^%s*(.*)$", at)
end

local on = {}
function on.type(state, rest)
	state.note.type = rest
end
function on.param(state, rest)
	local name, typed = rest:match("^(%S+)%s+(.*)$")
	local ptype, what = split_type(typed)
	table.insert(state.note.params, { name = name, type = ptype, what = what })
end
on["return"] = function(state, rest)
	table.insert(state.note.returns, rest)
end
function on.class(state, rest)
	state.class = { kind = "class", name = rest:match("^[%w_.]+"), text = state.note.text, fields = {} }
	table.insert(state.entries, state.class)
	state.note = new_note()
end
function on.field(state, rest)
	table.insert(state.class.fields, rest)
end

-- A line of text: one leading blank is there for the language server, which wants no third "-" behind "---".
local function add_text(note, line)
	local text = line:sub(4)
	table.insert(note.text, text:find("^ [-]") and text:sub(2) or text)
end

local function add_function(state, object, sep, name, args)
	local note = state.note
	note.kind, note.object, note.method = "function", object, name
	note.name = object .. sep .. name
	note.signature = note.name .. args
	table.insert(state.entries, note)
	state.note = new_note()
end

-- A field of the module that is no function: `name = nil` behind its annotations.
local function add_value(state, name)
	local note = state.note
	note.kind, note.name = "value", name
	table.insert(state.entries, note)
	state.note = new_note()
end

-- Entries: a section's heading, a class, a function or a value, with what its annotations say.
local function parse()
	local state = { entries = {}, note = new_note() }
	local section
	for line in io.lines(types_name) do
		local heading = line:match("^%-%- %-%-%-%- (.-) %-%-%-%-$")
		local tag, rest = line:match("^%-%-%-@(%w+)%s*(.*)$")
		local object, sep, name, args = line:match("^function ([%w_.]+)([.:])([%w_]+)(%b())")
		if heading then
			section = { kind = "section", name = heading:sub(1, 1):upper() .. heading:sub(2), text = {} }
			table.insert(state.entries, section)
		elseif tag then
			if on[tag] then
				on[tag](state, rest)
			end
		elseif line:find("^%-%-%-") then
			add_text(state.note, line)
		elseif object then
			add_function(state, object, sep, name, args)
		elseif line:find("^vai%.[%w_]+ = nil$") and #state.note.text > 0 then
			add_value(state, line:match("^%S+"))
		elseif section and line:find("^%-%-%f[ \0]") then
			table.insert(section.text, line:sub(4))
		else
			state.note, section = new_note(), line == "" and section or nil
		end
	end
	return state.entries
end

-- The text without its examples, which come last on the page; both as lists of lines.
local function split(text)
	local prose, examples, inside = {}, {}, false
	for _, line in ipairs(text) do
		local fence = line:find("^```")
		local list = (inside or fence) and examples or prose
		list[#list + 1] = line
		if fence then
			inside = not inside
		end
	end
	return prose, examples
end

-- ---- writing the page ----

local function code(s)
	return "`" .. s .. "`"
end

-- A type, and what stands behind it; named: first of all a name.
local function describe(rest, named)
	local rtype, what = split_type(rest)
	local name, more = what:match("^(%.%.%.)%s*(.*)$")
	if not name then
		name, more = what:match("^([%a_][%w_]*)%s*(.*)$")
	end
	what = what:gsub("^#%s*", "")
	if named and name then
		return ("`%s` (%s)%s"):format(name, code(rtype), more ~= "" and ": " .. more or "")
	end
	return code(rtype) .. (what ~= "" and ": " .. what or "")
end

local function add_block(out, lines)
	if #lines > 0 then
		out[#out + 1] = table.concat(lines, "\n") .. "\n"
	end
end

local function parameters(e)
	local list = {}
	for _, p in ipairs(e.params) do
		if p.what ~= "" or p.name:find("%?$") then
			local optional = p.name:find("%?$") and ", optional" or ""
			local what = p.what ~= "" and ": " .. p.what or ""
			list[#list + 1] = ("- `%s` (%s%s)%s"):format(p.name:gsub("%?$", ""), code(p.type), optional, what)
		end
	end
	return list
end

local write = {}
function write.section(out, e)
	out[#out + 1] = "## " .. e.name .. "\n"
	add_block(out, e.text)
end
function write.class(out, e)
	if e.name == "vai" then
		return
	end
	local prose, examples = split(e.text)
	out[#out + 1] = "### " .. code(e.name) .. "\n"
	add_block(out, prose)
	local fields = {}
	for i, field in ipairs(e.fields) do
		local name, rest = field:match("^(%S+)%s+(.*)$")
		local ftype, what = split_type(rest)
		fields[i] = ("- `%s` (%s)%s"):format(name, code(ftype), what ~= "" and ": " .. what or "")
	end
	add_block(out, fields)
	add_block(out, examples)
end
write["function"] = function(out, e)
	local prose, examples = split(e.text)
	out[#out + 1] = "### " .. code(e.signature) .. "\n"
	add_block(out, prose)
	local list = parameters(e)
	local results = {}
	for i, r in ipairs(e.returns) do
		results[i] = describe(r, true)
	end
	if #results > 0 then
		list[#list + 1] = "- returns " .. table.concat(results, "; ")
	end
	add_block(out, list)
	add_block(out, examples)
end

function write.value(out, e)
	local prose, examples = split(e.text)
	out[#out + 1] = "### " .. code(e.name) .. "\n"
	add_block(out, prose)
	add_block(out, { ("- is a `%s`"):format(e.type) })
	add_block(out, examples)
end

local function link(heading)
	local anchor = heading:lower():gsub("[^%w%s-]", ""):gsub("%s", "-")
	return ("[%s](#%s)"):format(heading, anchor)
end

-- Sections that have entries, and after them those of the part below.
local function contents(entries, below)
	local list = {}
	for i, e in ipairs(entries) do
		if e.kind == "section" and entries[i + 1] and entries[i + 1].kind ~= "section" then
			list[#list + 1] = link(e.name)
		end
	end
	for heading in below:gmatch("\n## ([^\n]+)") do
		list[#list + 1] = link(heading)
	end
	local lines, line = {}, ""
	for i, item in ipairs(list) do
		item = item .. (i < #list and "," or ".")
		if #line + #item > 110 then
			lines[#lines + 1], line = line, ""
		end
		line = line .. (line ~= "" and " " or "") .. item
	end
	lines[#lines + 1] = line
	return lines
end

local function generate(entries, below)
	local out = { "" }
	add_block(out, contents(entries, below))
	for i, e in ipairs(entries) do
		local empty = e.kind == "section" and (not entries[i + 1] or entries[i + 1].kind == "section")
		if not empty then
			write[e.kind](out, e)
		end
	end
	return table.concat(out, "\n") .. "\n"
end

-- ---- checking ----

local bad = false
local function complain(...)
	bad = true
	io.stderr:write(types_name, ": ", table.concat({ ... }), "\n")
end

local function check_entry(e, objects)
	if not objects[e.object] then
		complain("nothing makes a ", e.object, " here: add it to mk/apidoc.lua")
	elseif type(objects[e.object][e.method]) ~= "function" then
		complain("the module has no ", e.name)
	end
	local prose, examples = split(e.text)
	if #prose == 0 and #e.params == 0 and #e.returns == 0 then
		complain(e.name, " is not described")
	end
	if #examples == 0 then
		complain(e.name, " has no example")
	end
end

-- The fields of the class vai.stats are those of what vai.stats() gives.
local function compare_stats(entries, stats)
	local told = {}
	for _, e in ipairs(entries) do
		for _, field in ipairs(e.kind == "class" and e.name == "vai.stats" and e.fields or {}) do
			local name, what = field:match("^(%S+)%s+%S+%s*(.*)$")
			told[name] = what ~= ""
		end
	end
	for name in pairs(stats) do
		if not told[name] then
			complain("vai.stats: field ", name, " is not described")
		end
		told[name] = nil
	end
	for name in pairs(told) do
		complain("vai.stats() has no field ", name)
	end
end

-- The methods of objects that are made in C: f(object, method) for each, from the lists in the sources.
local function each_c_method(f)
	local pipe = assert(io.popen("grep -l '^const struct vai__handle_type' src/bind/lib/*.c"))
	for path in pipe:lines() do
		local source = assert(io.open(path)):read("a")
		for list in source:gmatch("\nconst struct vai__handle_type [%w_]+_type = (%b{})") do
			local object = list:match('"vai%.([%l_]+)"')
			list = list:gsub("%.meta%s*=%s*VAI__METHODS%b()", "")
			local methods = list:match("VAI__METHODS(%b())") or source:match("luaL_Reg methods%[%] = (%b{})") or ""
			for method in methods:gmatch('{"([%l%d_]+)",') do
				f(object, method)
			end
		end
	end
	pipe:close()
end

-- And of those that are tables of Lua's.
local function each_lua_method(objects, f)
	for object, o in pairs(objects) do
		local meta = type(o) == "table" and not object:find("^vai") and getmetatable(o)
		local index = meta and type(meta.__index) == "table" and meta.__index or type(o) == "table" and o or {}
		for name, value in pairs(index) do
			if type(value) == "function" and type(name) == "string" and not name:find("^_") and not object:find("^vai") then
				f(object, name)
			end
		end
	end
end

-- What the module has and the annotations lack, or the other way round.
local function compare(entries)
	local vai = require "vai"
	local objects, documented = {}, {}
	for name, new in pairs(make) do
		objects[name] = new(vai)
	end
	for _, e in ipairs(entries) do
		if e.kind == "function" then
			documented[e.name] = true
			check_entry(e, objects)
		elseif e.kind == "value" then
			documented[e.name] = true
		end
	end
	compare_stats(entries, vai.stats())
	local function check_method(object, method)
		if not documented[object .. ":" .. method] then
			complain(object, ":", method, " is not documented")
		end
	end
	each_c_method(check_method)
	each_lua_method(objects, check_method)
	local function walk(t, prefix)
		for name, value in pairs(t) do
			if value == vai.socket then
				assert(value.tcp) -- LuaSocket's manual describes it
			elseif type(value) == "table" then
				walk(value, prefix .. name .. ".")
			elseif not name:find("^_%l") and not documented[prefix .. name] then
				complain(prefix, name, " is not documented")
			end
		end
	end
	walk(vai, "vai.")
	for _, module in ipairs { "tls", "http", "nats" } do -- modules of their own
		walk(require("vai." .. module), "vai." .. module .. ".")
	end
end

local file = assert(io.open(page_name))
local page = file:read("a")
file:close()
local head_end, _ = page:find(first, 1, true)
local below_start, _ = page:find(last, 1, true)
if not head_end or not below_start then
	error(page_name .. ": the lines that enclose the generated part are not there")
end
local below = page:sub(below_start)
local entries = parse()
local new = page:sub(1, head_end - 1) .. first .. generate(entries, below) .. below
if checking then
	if new ~= page then
		bad = true
		io.stderr:write(page_name, ": out of step with ", types_name, "; run `make docs`\n")
	end
	compare(entries)
	if bad then
		os.exit(1)
	end
	print(("docs: %s is in step with %s"):format(page_name, types_name))
else
	file = assert(io.open(page_name, "w"))
	file:write(new)
	file:close()
end

-- SPDX-License-Identifier: MIT
-- lua5.4 mk/apidoc.lua [--check]: writes the generated part of doc/API.md from the annotations in
-- lua/vai/types.lua. --check writes nothing: it fails where the page is out of step, and where the
-- annotations and the module that is built do not name the same functions.
local marker = "<!-- From here on made by `make docs` from lua/vai/types.lua. -->\n"
local page_name, types_name = "doc/API.md", "lua/vai/types.lua"
local checking = arg[1] == "--check"

-- An entry: a section's heading, a class, or a function with what its annotations say.
local function parse()
	local entries, note = {}, { text = {}, params = {}, returns = {} }
	local class
	for line in io.lines(types_name) do
		local section = line:match("^%-%- %-%-%-%- (.-) %-%-%-%-$")
		local tag, rest = line:match("^%-%-%-@(%w+)%s*(.*)$")
		local object, sep, name, args = line:match("^function (%w+)([.:])([%w_]+)(%b())")
		if section then
			entries[#entries + 1] = { kind = "section", name = section:sub(1, 1):upper() .. section:sub(2) }
		elseif tag == "param" then
			local param, ptype, what = rest:match("^(%S+)%s+(fun%b():?%s?%S*)%s*(.*)$")
			if not param then
				param, ptype, what = rest:match("^(%S+)%s+(%S+)%s*(.*)$")
			end
			table.insert(note.params, { name = param, type = ptype, what = what })
		elseif tag == "return" then
			table.insert(note.returns, rest)
		elseif tag == "class" then
			class = { kind = "class", name = rest:match("^[%w.]+"), text = note.text, fields = {} }
			entries[#entries + 1] = class
			note = { text = {}, params = {}, returns = {} }
		elseif tag == "field" and class then
			table.insert(class.fields, rest)
		elseif line:find("^%-%-%-[^@]") then
			table.insert(note.text, line:sub(4))
		elseif object then
			note.kind, note.name = "function", object .. sep .. name
			note.signature = object .. sep .. name .. args
			entries[#entries + 1] = note
			note = { text = {}, params = {}, returns = {} }
		elseif not tag and not line:find("^%-%-%-") then
			note = { text = {}, params = {}, returns = {} }
		end
	end
	return entries
end

local function code(s)
	return "`" .. s .. "`"
end

-- A type, and what stands behind it; named: first of all a name.
local function describe(rest, named)
	local rtype, what = rest:match('^(fun%b():?%s?%S*)%s*(.*)$')
	if not rtype then
		rtype, what = rest:match("^(%S+)%s*(.*)$")
	end
	local name, more = what:match("^(%.%.%.)%s*(.*)$")
	if not name then
		name, more = what:match("^([%a_][%w_]*)%s*(.*)$")
	end
	if named and name then
		return ("`%s` (%s)%s"):format(name, code(rtype), more ~= "" and ": " .. more or "")
	end
	return code(rtype) .. (what ~= "" and " " .. what or "")
end

local write = {}
function write.section(out, e)
	out[#out + 1] = "## " .. e.name .. "\n"
end
function write.class(out, e)
	if e.name == "vai" then
		return
	end
	out[#out + 1] = "### " .. e.name .. "\n"
	if #e.text > 0 then
		out[#out + 1] = table.concat(e.text, "\n") .. "\n"
	end
	if #e.fields > 0 then
		for _, field in ipairs(e.fields) do
			local name, rest = field:match("^(%S+)%s+(.*)$")
			out[#out + 1] = ("- `%s` %s"):format(name, describe(rest))
		end
		out[#out + 1] = ""
	end
end
write["function"] = function(out, e)
	out[#out + 1] = "#### `" .. e.signature .. "`\n"
	if #e.text > 0 then
		out[#out + 1] = table.concat(e.text, "\n") .. "\n"
	end
	for _, p in ipairs(e.params) do
		if p.what ~= "" or p.name:find("%?$") then
			local optional = p.name:find("%?$") and ", optional" or ""
			local what = p.what ~= "" and ": " .. p.what or ""
			out[#out + 1] = ("- `%s` (%s%s)%s"):format(p.name:gsub("%?$", ""), code(p.type), optional, what)
		end
	end
	if #e.returns > 0 then
		local list = {}
		for i, r in ipairs(e.returns) do
			list[i] = describe(r, true)
		end
		out[#out + 1] = "- returns " .. table.concat(list, "; ")
	end
	if out[#out]:sub(1, 1) == "-" then
		out[#out + 1] = ""
	end
end

local function generate(entries)
	local out = { "" }
	for _, e in ipairs(entries) do
		write[e.kind](out, e)
	end
	return table.concat(out, "\n")
end

-- What the module has and the annotations lack, or the other way round.
local function compare(entries)
	local vai = require "vai"
	local objects = {
		vai = vai, channel = vai.chan(), waitgroup = vai.waitgroup(), task = vai.async(function() end),
		timer = vai.timer(1000, print), ticker = vai.ticker(1000),
	}
	local documented, bad = {}, false
	local function complain(...)
		bad = true
		io.stderr:write(types_name, ": ", ..., "\n")
	end
	for _, e in ipairs(entries) do
		if e.kind == "function" then
			local object, name = e.name:match("^(%w+)[.:]([%w_]+)$")
			documented[e.name] = true
			if not objects[object] then
				complain("nothing makes a ", object, " here: add it to mk/apidoc.lua")
			elseif type(objects[object][name]) ~= "function" then
				complain("the module has no ", e.name)
			end
			if #e.text == 0 and #e.params == 0 and #e.returns == 0 then
				complain(e.name, " is not described")
			end
		end
	end
	for name, value in pairs(vai) do
		if type(value) == "function" and not documented["vai." .. name] then
			complain("vai.", name, " is not documented")
		end
	end
	objects.timer:stop()
	objects.ticker:stop()
	return not bad
end

local file = assert(io.open(page_name))
local page = file:read("a")
file:close()
local head = page:match("^(.-)" .. marker:gsub("%p", "%%%0")) or page
local entries = parse()
local new = head .. marker .. generate(entries)
if checking then
	local same = new == page
	if not same then
		io.stderr:write(page_name, ": out of step with ", types_name, "; run `make docs`\n")
	end
	if not compare(entries) or not same then
		os.exit(1)
	end
	print(("docs: %s is in step with %s"):format(page_name, types_name))
else
	file = assert(io.open(page_name, "w"))
	file:write(new)
	file:close()
end

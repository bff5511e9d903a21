-- SPDX-License-Identifier: MIT
-- The part of JSON that NATS servers use, for INFO, CONNECT and the API of JetStream; programs send MessagePack.
-- decode returns nil, why for what is no JSON. null becomes nil, so it leaves no field.
local json = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(s)
	return '"' .. s:gsub('[%c"\\]', function(c)
		return escapes[c] or ("\\u%04x"):format(c:byte())
	end) .. '"'
end

local function encode_table(t)
	local parts = {}
	if #t > 0 then
		for i, v in ipairs(t) do parts[i] = json.encode(v) end
		return "[" .. table.concat(parts, ",") .. "]"
	end
	for k, v in pairs(t) do
		parts[#parts + 1] = quote(tostring(k)) .. ":" .. json.encode(v)
	end
	table.sort(parts)
	return "{" .. table.concat(parts, ",") .. "}"
end

-- A table with a first element is an array, any other an object.
function json.encode(v)
	local kind = type(v)
	if kind == "table" then return encode_table(v) end
	if kind == "string" then return quote(v) end
	if kind == "number" and (math.type(v) == "integer" or v == v and v ~= math.huge and v ~= -math.huge) then
		return math.type(v) == "integer" and tostring(v) or ("%.17g"):format(v)
	end
	if kind == "boolean" then return tostring(v) end
	error(("a configuration cannot hold %s"):format(kind == "number" and tostring(v) or kind), 0)
end

local value -- forward: value(s, pos, depth) -> value, next pos; raises what is wrong

local function skip(s, pos)
	return s:match("^[ \t\r\n]*()", pos)
end

local plain = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

-- The character for the escape that begins at `at`, and where the escape ends.
local function escape_at(text, at)
	local c = text:sub(at + 1, at + 1)
	if c ~= "u" then return plain[c] or error("a wrong escape", 0), at + 2 end
	local code = tonumber(text:match("^%x%x%x%x", at + 2) or error("a wrong escape", 0), 16)
	local low = tonumber(text:match("^\\u([dD][c-fC-F]%x%x)", at + 6) or "", 16)
	if low and code >= 0xd800 and code < 0xdc00 then
		return utf8.char(0x10000 + (code - 0xd800 << 10) + low - 0xdc00), at + 12
	end
	return utf8.char(code), at + 6
end

local function unescape(text)
	local parts, pos = {}, 1
	local at = text:find("\\", 1, true)
	while at do
		parts[#parts + 1] = text:sub(pos, at - 1)
		parts[#parts + 1], pos = escape_at(text, at)
		at = text:find("\\", pos, true)
	end
	return table.concat(parts) .. text:sub(pos)
end

local function string_at(s, pos)
	local from = pos
	while true do
		local stop = s:find('["\\]', pos)
		if not stop then error("a string without end", 0) end
		if s:byte(stop) == 34 then
			local text = s:sub(from, stop - 1)
			return text:find("\\", 1, true) and unescape(text) or text, stop + 1
		end
		pos = stop + 2
	end
end

-- Reads entries up to the closing bracket; entry(pos) -> next pos.
local function entries(s, pos, close, entry)
	pos = skip(s, pos)
	if s:sub(pos, pos) == close then return pos + 1 end
	while true do
		pos = skip(s, entry(pos))
		local c = s:sub(pos, pos)
		if c == close then return pos + 1 end
		if c ~= "," then error(("',' or '%s' expected"):format(close), 0) end
		pos = skip(s, pos + 1)
	end
end

local function object_at(s, pos, depth)
	local t = {}
	return t, entries(s, pos, "}", function(at)
		if s:sub(at, at) ~= '"' then error("a name expected", 0) end
		local name
		name, at = string_at(s, at + 1)
		at = s:match("^[ \t\r\n]*:()", at) or error("':' expected", 0)
		t[name], at = value(s, at, depth + 1)
		return at
	end)
end

local function array_at(s, pos, depth)
	local t, n = {}, 0
	return t, entries(s, pos, "]", function(at)
		n = n + 1
		t[n], at = value(s, at, depth + 1)
		return at
	end)
end

local words = { ["true"] = true, ["false"] = false }

function value(s, pos, depth)
	if depth > 100 then error("nested too deep", 0) end
	pos = skip(s, pos)
	local c = s:sub(pos, pos)
	if c == "{" then return object_at(s, pos + 1, depth) end
	if c == "[" then return array_at(s, pos + 1, depth) end
	if c == '"' then return string_at(s, pos + 1) end
	local word, stop = s:match("^(%a+)()", pos)
	if word == "null" then return nil, stop end
	if words[word] ~= nil then return words[word], stop end
	word, stop = s:match("^(-?%d[%d.eE+-]*)()", pos)
	return tonumber(word or "") or error("a value expected", 0), stop
end

function json.decode(s)
	local ok, v, pos = pcall(value, s, 1, 0)
	if not ok then return nil, "not JSON: " .. tostring(v) end
	if skip(s, pos) <= #s then return nil, "not JSON: something follows it" end
	return v
end

return json

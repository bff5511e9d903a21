-- SPDX-License-Identifier: MIT
-- URLs and query strings: read, written, and resolved against each other.
local core = require "vai.http.core"

local decode, encode = core.decode, core.encode

-- Reads a query: "a=1&b=2&b=3" -> { a = "1", b = { "2", "3" } }. A name without a value has the value "". A pair with a
-- percent sign that two hex digits do not follow is left out.
local function parse_query(text)
	local out = {}
	for pair in text:gmatch("[^&]+") do
		local name, value = pair:match("^([^=]*)=?(.*)$")
		name, value = decode(name, true), decode(value, true)
		if name and value and name ~= "" then
			local old = out[name]
			if old == nil then
				out[name] = value
			elseif type(old) == "table" then
				old[#old + 1] = value
			else
				out[name] = { old, value }
			end
		end
	end
	return out
end

-- Writes a query from such a table, with the names in alphabetical order.
local function format_query(t)
	local names, out = {}, {}
	for name in pairs(t) do names[#names + 1] = name end
	table.sort(names)
	for _, name in ipairs(names) do
		local values = type(t[name]) == "table" and t[name] or { t[name] }
		for _, value in ipairs(values) do
			out[#out + 1] = encode(name) .. "=" .. encode(tostring(value))
		end
	end
	return table.concat(out, "&")
end

local ports = { http = 80, https = 443, ws = 80, wss = 443 }

-- Reads a URL. Returns { scheme=, host=, port=, authority=, target=, user=, address= }, or nil and why. host has no
-- brackets; authority and address have them, and address always has the port.
local function parse(url)
	local scheme, rest = url:match("^(%a[%w+.-]*)://(.*)$")
	if not scheme then return nil, ("'%s' has no scheme"):format(url) end
	scheme = scheme:lower()
	if not ports[scheme] then return nil, ("unknown scheme '%s'"):format(scheme) end
	local authority, target = rest:match("^([^/?#]*)([^#]*)")
	local user, place = authority:match("^(.*)@(.*)$")
	place = place or authority
	local host, port = place:match("^%[([%x:.]+)%](.*)$")
	if not host then host, port = place:match("^([^:%[%]]+)(.*)$") end
	if not host or host:find("[%c%s]") then return nil, ("bad host in '%s'"):format(url) end
	local number = port:find("^:?$") and ports[scheme] or tonumber(port:match("^:(%d+)$"))
	if not number or number > 65535 then return nil, ("bad port in '%s'"):format(url) end
	local name = user and decode(user)
	if user and not name then return nil, ("bad user in '%s'"):format(url) end
	if target:find("[%c%s]") then return nil, ("a blank or a control character in '%s'"):format(url) end
	target = target:gsub("[\x80-\xff]", encode)
	if target:sub(1, 1) ~= "/" then target = "/" .. target end
	local shown = host:find(":", 1, true) and "[" .. host .. "]" or host
	return {
		scheme = scheme, host = host, port = number, target = target, user = name,
		authority = shown .. (number ~= ports[scheme] and ":" .. number or ""),
		address = shown .. ":" .. number,
	}
end

-- The path without its parts "." and ".." (RFC 3986, 5.2.4).
local function remove_dots(path)
	local out = {}
	for part in path:gmatch("[^/]*") do
		if part == ".." then
			if #out > 1 then out[#out] = nil end
		elseif part ~= "." then
			out[#out + 1] = part
		end
	end
	if path:find("/%.%.?$") then out[#out + 1] = "" end
	return table.concat(out, "/")
end

-- The absolute URL that the link `to` has on the page `base`; both are strings. Blanks in the link are encoded, as
-- browsers do.
local function resolve(base, to)
	to = to:gsub(" ", "%%20")
	if to:find("^%a[%w+.-]*:") then return to end
	local u = parse(base)
	local origin = u.scheme .. "://" .. u.authority
	if to:find("^//") then return u.scheme .. ":" .. to end
	local path, rest = to:match("^([^?#]*)(.*)$")
	if path == "" then
		local here = u.target:match("^[^?]*")
		return origin .. (rest:find("^[?]") and here .. rest or u.target)
	elseif path:sub(1, 1) ~= "/" then
		path = u.target:match("^[^?]*"):match("^(.*/)") .. path
	end
	return origin .. remove_dots(path) .. rest
end

return { parse = parse, parse_query = parse_query, format_query = format_query, resolve = resolve }

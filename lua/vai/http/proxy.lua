-- SPDX-License-Identifier: MIT
-- Which proxy a request goes through, as the environment says: http_proxy (in small letters only, for a CGI program
-- has the client's header "Proxy" as HTTP_PROXY), https_proxy, all_proxy, no_proxy.
local uri = require "vai.http.uri"

local function setting(name)
	return os.getenv(name) or name ~= "http_proxy" and os.getenv(name:upper()) or nil
end

local function number_of(address)
	local a, b, c, d = address:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
	return a and ((a * 256 + b) * 256 + c) * 256 + d
end

-- "10.0.0.0/8"
local function in_network(host, rule)
	local base, bits = rule:match("^([%d.]+)/(%d+)$")
	local of_host, of_base = number_of(host), base and number_of(base)
	if not of_host or not of_base or tonumber(bits) > 32 then return false end
	local size = 2 ^ (32 - bits)
	return of_host // size == of_base // size
end

local function matches(u, rule)
	local host, port = rule:match("^%[?(.-)%]?:(%d+)$")
	if not host or rule:find(":.*:") and not rule:find("^%[") then host, port = rule, nil end
	if port and tonumber(port) ~= u.port then return false end
	host = host:lower():gsub("^[*]?%.", ""):gsub("^%[(.*)%]$", "%1")
	local own = u.host:lower()
	return host == "*" or host ~= "" and (own == host or own:sub(-#host - 1) == "." .. host) or in_network(own, host)
end

local function is_here(host)
	return host == "localhost" or host:find("^127%.%d+%.%d+%.%d+$") or host == "::1"
end

-- The proxy's address, or nil.
local function from_environment(u)
	local secure = u.scheme == "https" or u.scheme == "wss"
	local proxy = setting(secure and "https_proxy" or "http_proxy") or setting("all_proxy")
	if not proxy or proxy == "" or is_here(u.host:lower()) then return nil end
	for rule in (setting("no_proxy") or ""):gmatch("[^%s,]+") do
		if matches(u, rule) then return nil end
	end
	return proxy:find("://", 1, true) and proxy or "http://" .. proxy
end

-- The parsed proxy for the parsed address; false: none; or nil, why. given: an address, false for none, nil for what
-- the environment says.
local function find(u, given)
	if given == nil then given = from_environment(u) end
	if not given then return false end
	if type(given) ~= "string" then return nil, "bad proxy: a " .. type(given) end
	local p, why = uri.parse(given)
	if p and p.scheme ~= "http" then p, why = nil, ("scheme '%s' (only http)"):format(p.scheme) end
	if not p then return nil, "bad proxy: " .. why end
	return p
end

return { find = find }

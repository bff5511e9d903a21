-- SPDX-License-Identifier: MIT
-- Finds the proxy for a request in the environment: http_proxy, https_proxy, all_proxy, no_proxy. All but http_proxy
-- may also be in capital letters. HTTP_PROXY is not read, since in a CGI program a client sets it by a header "Proxy".
local uri = require "vai.http.uri"

local function setting(name)
	return os.getenv(name) or name ~= "http_proxy" and os.getenv(name:upper()) or nil
end

-- The IPv4 address as a number; nil for anything else.
local function number_of(address)
	local a, b, c, d = address:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
	return a and ((a * 256 + b) * 256 + c) * 256 + d
end

-- Whether the host is an IPv4 address in the network that the rule of no_proxy names: "10.0.0.0/8".
local function in_network(host, rule)
	local base, bits = rule:match("^([%d.]+)/(%d+)$")
	local of_host, of_base = number_of(host), base and number_of(base)
	if not of_host or not of_base or tonumber(bits) > 32 then return false end
	local size = 2 ^ (32 - bits)
	return of_host // size == of_base // size
end

-- Whether the rule of no_proxy is for the parsed address u. A rule is "*", a host, a domain (which may begin with "."
-- or "*."), each of these also with a port, or a network.
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

-- The address of the proxy that the environment has for the parsed address u, or nil.
local function from_environment(u)
	local secure = u.scheme == "https" or u.scheme == "wss"
	local proxy = setting(secure and "https_proxy" or "http_proxy") or setting("all_proxy")
	if not proxy or proxy == "" or is_here(u.host:lower()) then return nil end
	for rule in (setting("no_proxy") or ""):gmatch("[^%s,]+") do
		if matches(u, rule) then return nil end
	end
	return proxy:find("://", 1, true) and proxy or "http://" .. proxy
end

-- The parsed address of the proxy for the parsed address u; false if there is to be none; or nil and why. given: the
-- proxy's address, false for no proxy, or nil for that of the environment.
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

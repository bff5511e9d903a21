-- SPDX-License-Identifier: MIT
-- vai.http: HTTP/1.1 on vai's connections. Its parts are in http/; each is loaded when it is first used.
local ok, why = pcall(require, "vai.http.core")
if not ok then
	error("vai.http needs vai/http/core.so, which is built where an HTTP parser library is: install libllhttp-dev or " ..
		"libhttp-parser-dev and run make; or luarocks install vai-http\n" .. why, 2)
end

local parts = {
	serve = "server", files = "files", mux = "mux", client = "client", request = "client", get = "client", head = "client",
	post = "client", websocket = "websocket", websocket_dial = "websocket",
	parse_query = "uri", format_query = "uri",
}

local http = {}
for name, part in pairs(parts) do
	http[name] = function(...)
		local f = require("vai.http." .. part)[name]
		http[name] = f
		return f(...)
	end
end

return http

-- SPDX-License-Identifier: MIT
-- "hello" by lua-http, on the Lua that it has a package for.
local http_server, http_headers = require "http.server", require "http.headers"

local server = assert(http_server.listen {
  host = "127.0.0.1", port = 0, tls = false, onerror = function() end,
  onstream = function(_, stream)
    stream:get_headers()
    local headers = http_headers.new()
    headers:append(":status", "200")
    headers:append("content-type", "text/plain; charset=utf-8")
    headers:append("content-length", "14")
    stream:write_headers(headers, false)
    stream:write_body_from_string("Hello, world!\n")
  end,
})
server:listen()
local _, host, port = server:localname()
print(host .. ":" .. port)
io.stdout:flush()
server:loop()

-- SPDX-License-Identifier: MIT
-- A web server that says hello, under wrk (Debian: wrk), which is in a process of its own: 64 and 512 connections.
local http = require "vai.http"
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")

local seconds = bench.count(4)
local server = assert(http.serve { listen = "127.0.0.1:0", handler = function(_, res)
  res.headers["Content-Type"] = "text/plain; charset=utf-8"
  res:send("Hello, world!\n")
end })
for _, connections in ipairs { 64, 512 } do
  local wrk = assert(io.popen(("wrk -t2 -c%d -d%d http://%s/"):format(connections, seconds, server:addr())))
  local text = wrk:read("a")
  assert(wrk:close())
  assert(not text:find("Socket errors") and not text:find("Non%-2xx"), text)
  bench.report("http" .. connections, 1e9 / tonumber(text:match("Requests/sec:%s+([%d.]+)")), "ns")
end
server:close()

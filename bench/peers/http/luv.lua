-- SPDX-License-Identifier: MIT
-- "hello" on one loop of luv, by hand: what ends in an empty line is a request, nothing of it is looked at but whether
-- the connection is to be closed.
local uv = require "luv"

local hello = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n\r\nHello, world!\n"
local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(1024, function()
  local c, held = uv.new_tcp(), ""
  server:accept(c)
  c:nodelay(true)
  c:read_start(function(why, data)
    if why or not data then return c:close() end
    held = held .. data
    while true do
      local _, stop = held:find("\r\n\r\n", 1, true)
      if not stop then return end
      local last = held:find("Connection: close", 1, true)
      held = held:sub(stop + 1)
      c:write(hello, last and function() c:close() end or nil)
      if last then return c:read_stop() end
    end
  end)
end)
print("127.0.0.1:" .. server:getsockname().port)
io.stdout:flush()
uv.run()

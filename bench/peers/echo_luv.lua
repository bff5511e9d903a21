-- SPDX-License-Identifier: MIT
-- The echo server of bench/lua/echo.lua on one loop of luv: a callback a connection, on one thread.
local uv = require "luv"

local n, connections = tonumber(arg[1]) or 400000, tonumber(arg[2]) or 1000
local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(1024, function(err)
  assert(not err, err)
  local c = uv.new_tcp()
  server:accept(c)
  c:read_start(function(why, data)
    assert(not why, why)
    if data then
      c:write(data)
    else
      c:close()
    end
  end)
end)
local client
client = uv.spawn(os.getenv("VAI_BUILD") .. "/bench/bench-go", {
  args = { "echo_load", tostring(n), "127.0.0.1:" .. server:getsockname().port, tostring(connections) },
  stdio = { nil, 1, 2 },
}, function(status)
  client:close()
  server:close()
  assert(status == 0, "the client has failed")
end)
uv.run()

-- SPDX-License-Identifier: MIT
-- The echo server of bench/lua/echo.lua on one loop of cqueues: a coroutine a connection, on one thread.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local n, connections = tonumber(arg[1]) or 400000, tonumber(arg[2]) or 1000
local server = socket.listen { host = "127.0.0.1", port = 0 }
server:listen()
local _, host, port = server:localname()
local loop = cqueues.new()
loop:wrap(function()
  for c in server:clients() do
    c:setmode("bn", "bn")
    loop:wrap(function()
      while true do
        local data = c:read(-4096)
        if not data or not c:write(data) then
          break
        end
      end
      c:close()
    end)
  end
end)
-- cqueues has no processes: what the client says is looked for between turns of the loop.
local said = os.tmpname()
local client = ("'%s/bench/bench-go' echo_load %d %s:%d %d >'%s.new' && mv '%s.new' '%s.all' &")
os.execute(client:format(os.getenv("VAI_BUILD"), n, host, port, connections, said, said, said))
local file
while not file do
  assert(loop:step(0.1))
  file = io.open(said .. ".all")
end
io.write(file:read("a"))
os.remove(said .. ".all")
os.remove(said)
os.exit(true, false)

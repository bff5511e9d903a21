-- SPDX-License-Identifier: MIT
-- An echo server: a goroutine a connection. The load client is Go's, in a process of its own.
local vai = require "vai"
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")

local n = bench.count(400000)
local l = assert(vai.net.listen("tcp", "127.0.0.1:0"))
vai.go(function()
  for c in l do
    vai.go(function()
      while true do
        local data = c:read()
        if not data or not c:write(data) then
          break
        end
      end
      c:close()
    end)
  end
end)
local client = assert(io.popen(("'%s/bench/bench-go' echo_load %d %s"):format(os.getenv("VAI_BUILD"), n, l:addr())))
io.write(client:read("a"))
assert(client:close())

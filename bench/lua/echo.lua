-- SPDX-License-Identifier: MIT
-- An echo server: a goroutine a connection. The load client is Go's, in a process of its own. echo10k.lua is the same
-- with more connections.
local vai = require "vai"
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")

-- A number: of echo10k.lua's. What a script gets are strings.
local connections = select("#", ...) > 0 and math.type((...)) and ... or 1000
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
local client = assert(io.popen(
  ("'%s/bench/bench-go' echo_load %d %s %d"):format(os.getenv("VAI_BUILD"), n, l:addr(), connections)
))
io.write(client:read("a"))
assert(client:close())

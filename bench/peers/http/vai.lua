-- SPDX-License-Identifier: MIT
-- "hello", or a file of the folder in arg[1], by vai.http.
local http = require "vai.http"

local files = http.files(arg[1])
local server = assert(http.serve { listen = "127.0.0.1:0", handler = function(req, res)
  if req.path ~= "/" then return files(req, res) end
  res.headers["Content-Type"] = "text/plain; charset=utf-8"
  res:send("Hello, world!\n")
end })
print(server:addr())
io.stdout:flush()
server:wait()

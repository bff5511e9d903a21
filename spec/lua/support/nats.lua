-- SPDX-License-Identifier: MIT
-- nats-server for tests: start(dir [, options]) gives { url, stop, kill, restart }; options: lines of its configuration.
local vai = require "vai"
local check = require "check"

local M = {}
local Server = {}
Server.__index = Server

-- The same port again: what the server stored is there, too.
function Server:start()
	self.process = assert(vai.process.spawn { "nats-server", "-c", self.config, stdout = "null", stderr = "null" })
	check.until_true(function()
		local c = vai.net.dial("tcp", self.address, 1)
		local line = c and c:read("l", 5)
		return c and (c:close() or line)
	end)
end

function Server:stop(signal)
	self.process:kill(signal or "SIGTERM")
	self.process:wait()
end

function Server:restart(signal)
	self:stop(signal)
	self:start()
end

Server.__close = function(self) self:stop("SIGKILL") end

function M.start(dir, more)
	local port = check.free_port()
	local s = setmetatable({ port = port, address = "127.0.0.1:" .. port, url = "nats://127.0.0.1:" .. port,
		config = ("%s/nats-%d.conf"):format(dir, port) }, Server)
	assert(vai.fs.write_file(s.config, ("host: 127.0.0.1\nport: %d\nlame_duck_duration: \"30s\"\n%s\n"):format(port,
		(more or ""):gsub("$DIR", dir))))
	s:start()
	return s
end

return M

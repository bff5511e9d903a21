-- SPDX-License-Identifier: MIT
-- The end of a connection whose request vai.http's server does not take. Short, as loop.lua is: bad clients come in
-- crowds, and a goroutine that has only them to answer loads nothing else.
local core = require "vai.http.core"
local now = require "vai".now

local DRAIN_MOST, DRAIN_TIME = 262144, 1

-- Closes it so that the peer, who may be sending, can read what was written last.
local function close_gently(conn)
	conn:close_write(1)
	local t, seen = now() + DRAIN_TIME, 0
	while seen < DRAIN_MOST do
		local s = conn:read(nil, math.max(0, t - now()))
		if not s then break end
		seen = seen + #s
	end
	conn:close()
end

local function refuse(conn, wait, status, why)
	local text = why and why .. "\n" or ""
	conn:write_within(wait, core.reply(status, { ["Content-Type"] = "text/plain" }, #text, "close"), text)
	close_gently(conn)
end

return { refuse = refuse, close_gently = close_gently }

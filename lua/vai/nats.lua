-- SPDX-License-Identifier: MIT
-- vai.nats: a client of NATS on vai's connections. Its parts are in nats/.
local ok, core = pcall(require, "vai.nats.core")
if not ok then
	error("vai.nats needs vai/nats/core.so: run make where vai was built; or luarocks install vai-nats\n" .. core, 2)
end

return { connect = require "vai.nats.client".connect, pack = core.pack, unpack = core.unpack }

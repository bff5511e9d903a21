-- SPDX-License-Identifier: MIT
-- What all goroutines of the process have in common: a module that returns a frozen table runs once. The connections
-- that the default client keeps are here.
local vai = require "vai"
local pool = require "vai.http.pool"

return vai.freeze(pool.new(pool.MAX_IDLE))

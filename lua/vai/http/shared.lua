-- SPDX-License-Identifier: MIT
-- What all goroutines of the process have in common: a module that returns a frozen table runs once. The connections
-- that the default client keeps are here.
local vai = require "vai"

return vai.freeze { hosts = vai.map(), idle = vai.atomic(0), timed = vai.atomic(0) }

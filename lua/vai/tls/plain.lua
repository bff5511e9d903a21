-- SPDX-License-Identifier: MIT
-- The context of clients without options: a module that returns a frozen table runs once, so all goroutines of the
-- process have the same.
local vai = require "vai"

local context, why, code = require "vai.tls.core".context {}
return context and vai.freeze { context = context } or { why = why, code = code }

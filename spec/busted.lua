-- SPDX-License-Identifier: MIT
-- Runs busted under the Lua that runs this file, whatever Lua the busted command was made for.
require "busted.runner"({ standalone = false })

-- SPDX-License-Identifier: MIT
-- Runs busted under the Lua that runs this file, whatever Lua the busted command was made for. Debian 11 has it for
-- Lua 5.3, which does for 5.4, too.
if not package.searchpath("busted.runner", package.path) then
	package.path = package.path .. ";" .. package.path:gsub("5%.4", "5.3")
	package.cpath = package.cpath .. ";" .. package.cpath:gsub("5%.4", "5.3")
end
require "busted.runner"({ standalone = false })

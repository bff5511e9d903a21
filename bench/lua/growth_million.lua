-- SPDX-License-Identifier: MIT
-- As growth.lua, for a million: needs up to 10 GB.
assert(loadfile((arg[0]:match("^.*/") or "") .. "growth.lua"))(arg[1] or "1000000")

-- SPDX-License-Identifier: MIT
-- The work of state.lua in stock Lua without vai.
_G.plain = true
dofile((arg[0]:match("^.*/") or "") .. "state.lua")

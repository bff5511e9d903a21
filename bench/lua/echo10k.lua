-- SPDX-License-Identifier: MIT
-- The echo server (echo.lua) with 10,000 connections.
assert(loadfile((arg[0]:match("^.*/") or "") .. "echo.lua"))(10000)

#!/bin/bash
# SPDX-License-Identifier: MIT
# A Lua module can be loaded alone and yet not work: luassert.match requires only luassert's tools, and finds its matchers in what
# luassert itself registers. Nothing in the module's table tells.
. "$(dirname "$0")/packages.sh"
unpack bookworm lua5.4=5.4.4-3+deb12u1 liblua5.4-0=5.4.4-3+deb12u1 lua-luassert=1.9.0-1 lua-say=1.4.1-2
cat >"$folder/p.lua" <<'L'
local match = require "luassert.match"
local alone = pcall(function() return match.is_string() end)
require "luassert"
local m = match.is_string()
print("alone " .. tostring(alone), "after luassert " .. tostring(match.is_matcher(m) and m "x"))
L
share=$folder/bookworm/usr/share/lua/5.4
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet LUA_PATH="$share/?.lua;$share/?/init.lua"
seen=$("$folder/bookworm/usr/bin/lua5.4" "$folder/p.lua" | tr '\t' ';')
saw "$seen" "alone false;after luassert true"
echo "so: a module that a goroutine captures is loaded there by its name, without what the script had loaded before it; where it needs"
echo "    that, the goroutine requires both"

#!/bin/bash
# SPDX-License-Identifier: MIT
# A C module that was built for Lua 5.3 loads in Lua 5.4, and works, as long as it calls nothing that is a macro there: nobody
# compares versions unless the module asks for it. LuaSocket is two modules, of which one loads.
. "$(dirname "$0")/packages.sh"
unpack bullseye lua5.4=5.4.2-2 liblua5.4-0=5.4.2-2 lua-system=0.2.1-2 lua-term=0.07-0.1+b1 lua-socket=3.0~rc1+git+ac3201d-4
cat >"$folder/p.lua" <<'L'
local loaded, not_loaded = {}, {}
for _, name in ipairs { "system.core", "term.core", "mime.core", "socket.core" } do
	local ok, m = pcall(require, name)
	local list = ok and loaded or not_loaded
	list[#list + 1] = ok and name or name .. ": " .. m:match "undefined symbol: [%w_]+"
end
local works = require "system.core".gettime() > 1e9 and require "mime.core".b64 "vai" == "dmFp"
print(_VERSION, "loads " .. table.concat(loaded, " "), works and "they work" or "they do not work", table.concat(not_loaded, " "))
L
export LD_LIBRARY_PATH=$folder/bullseye/usr/lib/$triplet
seen=$(LUA_CPATH="$folder/bullseye/usr/lib/$triplet/lua/5.3/?.so" "$folder/bullseye/usr/bin/lua5.4" "$folder/p.lua" | tr '\t' ';')
saw "$seen" "Lua 5.4;loads system.core term.core mime.core;they work;socket.core: undefined symbol: lua_newuserdata"
echo "so: vai.so asks lua_version itself, and says which Lua it needs (src/bind/host/module.c); spec/busted.lua takes"
echo "    the busted of Debian 11, which is for Lua 5.3, C modules included"

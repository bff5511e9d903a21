#!/bin/bash
# SPDX-License-Identifier: MIT
# Releases of Lua 5.4 have one interface and one name of the shared library, but a module built with the headers of one meets
# others: LUA_VERSION_RELEASE_NUM in a module tells with which it was built, not in which it runs.
. "$(dirname "$0")/packages.sh"
unpack bullseye lua5.4=5.4.2-2 liblua5.4-0=5.4.2-2
unpack bookworm lua5.4=5.4.4-3+deb12u1 liblua5.4-0=5.4.4-3+deb12u1
unpack trixie liblua5.4-0=5.4.7-1+b2
cat >"$folder/p.lua" <<'L'
local seen
setmetatable({}, { __gc = function() seen = type(collectgarbage "count") end })
collectgarbage()
io.write(seen)
L
cat >"$folder/close.lua" <<'L'
local given
local co = coroutine.wrap(function()
	local c <close> = setmetatable({}, { __close = function(_, e) given = e error("closer's", 0) end })
	error("body's", 0)
end)
local _, raised = pcall(co)
io.write("given ", tostring(given), ", raised ", raised)
L
for suite in bullseye bookworm; do
	lua=$folder/$suite/usr/bin/lua5.4
	export LD_LIBRARY_PATH=$folder/$suite/usr/lib/$triplet
	"$lua" -v
	count=$("$lua" "$folder/p.lua")
	closed="of a failed coroutine, a closer is $("$lua" "$folder/close.lua")"
	case $suite in
	bullseye) saw "in a finalizer the count is a $count" "in a finalizer the count is a number"
		saw "$closed" "of a failed coroutine, a closer is given nil, raised body's" ;;
	bookworm) saw "in a finalizer the count is a $count" "in a finalizer the count is a nil"
		saw "$closed" "of a failed coroutine, a closer is given body's, raised closer's" ;;
	esac
done
unset LD_LIBRARY_PATH
exported=
for suite in bullseye bookworm trixie; do
	for name in lua_resetthread lua_closethread; do
		grep -qa $name "$folder/$suite/usr/lib/$triplet/liblua5.4.so.0" && exported="$exported $suite:$name"
	done
done
saw "exported:$exported" "exported: bullseye:lua_resetthread bookworm:lua_resetthread trixie:lua_resetthread trixie:lua_closethread"
echo "so: vai finds out by trying which Lua it runs in (src/code/probe_lua.c), and calls lua_closethread where there is one"

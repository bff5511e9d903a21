#!/bin/bash
# SPDX-License-Identifier: MIT
# What LuaSocket leaves to the programs that its user starts: a disposition of a signal, and sockets. Loading it ignores SIGPIPE, which
# exec(3) keeps, so a filter that a shell ends by closing its pipe is no longer ended; and its sockets have no close-on-exec flag,
# so a connection that is closed here stays open for its peer as long as a child lives that was started in between.
. "$(dirname "$0")/packages.sh"
unpack bookworm lua5.4=5.4.4-3+deb12u1 liblua5.4-0=5.4.4-3+deb12u1 lua-socket=3.1.0-1+b1
root=$folder/bookworm
export LD_LIBRARY_PATH=$root/usr/lib/$triplet
export LUA_PATH="$root/usr/share/lua/5.4/?.lua" LUA_CPATH="$root/usr/lib/$triplet/lua/5.4/?.so"
lua() { "$root/usr/bin/lua5.4" "$@"; }

# The bit of SIGPIPE (13) among the signals that a child ignores.
cat >"$folder/ignored.lua" <<'L'
if arg[1] then require(arg[1]) end
local file = io.popen "cat /proc/self/status"
local mask = file:read "a":match "SigIgn:%s*(%x+)"
print((tonumber(mask, 16) >> 12 & 1) == 1 and "ignored" or "default")
L
saw "SIGPIPE in a child: $(lua "$folder/ignored.lua"), after require 'socket': $(lua "$folder/ignored.lua" socket)" \
	"SIGPIPE in a child: default, after require 'socket': ignored"

cat >"$folder/closed.lua" <<'L'
local socket = require "socket"
local server = socket.bind("127.0.0.1", 0)
local function try(shutdown)
	local client = socket.connect("127.0.0.1", (select(2, server:getsockname())))
	local peer = server:accept()
	local child = io.popen "echo $$; exec sleep 20"
	local pid = child:read "n"
	if shutdown then client:shutdown "both" end
	client:close()
	peer:settimeout(2)
	local _, message = peer:receive(1)
	os.execute("kill " .. math.tointeger(pid))
	child:close()
	peer:close()
	return message
end
print("closed: " .. try(false) .. "; shut down and closed: " .. try(true))
L
saw "the peer, while a child lives: $(lua "$folder/closed.lua")" \
	"the peer, while a child lives: closed: timeout; shut down and closed: closed"
echo "so: vai opens every descriptor with close-on-exec and never touches SIGPIPE; doc/SHARED.md tells users of LuaSocket to shut down before they close"

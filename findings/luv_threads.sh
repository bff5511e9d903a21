#!/bin/bash
# SPDX-License-Identifier: MIT
# What luv hands to another thread changes on the way: an integer arrives as a float, so that 2^53 + 1 is another number there; and of
# the values of several async:send calls all but the last vanish, though each call says 0, "done".
. "$(dirname "$0")/packages.sh"
unpack bookworm lua5.4=5.4.4-3+deb12u1 lua-luv=1.44.2-0-1 libuv1=1.44.2-1+deb12u1
root=$folder/bookworm
export LD_LIBRARY_PATH=$root/usr/lib/$triplet LUA_CPATH="$root/usr/lib/$triplet/lua/5.4/?.so"
cat >"$folder/p.lua" <<'L'
local uv = require "luv"
local n = (1 << 53) + 1
io.write(math.type(n), " ", n)
uv.new_thread(function(m) io.write(", in a thread ", math.type(m), (" %.0f"):format(m)) end, n):join()
uv.new_work(function(m) return math.type(m), ("%.0f"):format(m) end, function(...) io.write(", in a work ", table.concat({ ... }, " ")) end):queue(n)
uv.run()
local async
async = uv.new_async(function(v) io.write(" ", v) async:close() end)
io.write("; sent first (", async:send("first"), ") second (", async:send("second"), "), came")
uv.run()
L
saw "$("$root/usr/bin/lua5.4" "$folder/p.lua")" "integer 9007199254740993, in a thread float 9007199254740992, in a work float 9007199254740992; sent first (0) second (0), came second"
echo "so: numbers keep their subtype on their way (src/transfer), and a full channel makes its sender wait"

#!/bin/bash
# SPDX-License-Identifier: MIT
# In Lua 5.4's incremental mode with its default pause of 200 the heap of a program that makes objects with finalizers and drops
# them at once grows without end, though nothing is held: with a pause of 150 it stays small. That is the mode of every state of a host's; the
# stand-alone lua5.4 switches its own to generational mode, and shows nothing of it.
. "$(dirname "$0")/packages.sh"
unpack bookworm lua5.4=5.4.4-3+deb12u1
cat >"$folder/p.lua" <<'L'
if arg[1] ~= "default" then collectgarbage("incremental", tonumber(arg[1])) end
local meta, most = { __gc = function() end }, 0
for i = 1, 4000000 do
	setmetatable({}, meta)
	if i % 1000 == 0 then most = math.max(most, collectgarbage "count") end
end
print(most > 30000 and "above 30 MB" or most < 1000 and "below 1 MB" or "between")
L
heap() { "$folder/bookworm/usr/bin/lua5.4" "$folder/p.lua" "$@"; }
saw "incremental, a pause of 200: $(heap 200); of 150: $(heap 150); what lua5.4 sets: $(heap default)" \
	"incremental, a pause of 200: above 30 MB; of 150: below 1 MB; what lua5.4 sets: below 1 MB"
echo "so: the states of goroutines have a pause of 180, and of 160 once they hold many handles (src/state/template.h)"

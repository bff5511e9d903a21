-- SPDX-License-Identifier: MIT
-- Whoever catches the error and tries again gets what is right: nothing was lost, nothing happened twice.
local vai
local function again(f, ...)
	for _ = 1, 100 do
		local r = table.pack(pcall(f, ...))
		if r[1] then
			return table.unpack(r, 2, r.n)
		end
		assert(tostring(r[2]):find("not enough memory") or tostring(r[2]):find("cannot start"), r[2])
	end
	error("not enough memory, a hundred times")
end
vai = again(require, "vai")
local ch = again(vai.chan, 3)
local payload = { "payload", { 1, 2, 3 }, text = ("x"):rep(200) }
for i = 1, 3 do
	payload.i = i
	again(ch.send, ch, payload)
end
again(vai.go, function()
	local function once_more(f, ...)
		local ok, err
		for _ = 1, 100 do
			ok, err = pcall(f, ...)
			if ok or not tostring(err):find("not enough memory") then
				break
			end
		end
		assert(ok, err)
		return err
	end
	for i = 4, 6 do
		once_more(ch.send, ch, { i = i, text = ("y"):rep(300) })
	end
	once_more(ch.close, ch)
end)
local n = 0
while true do
	local v, why = again(ch.recv, ch)
	if not v then
		assert(why == "closed", why)
		break
	end
	n = n + 1
	assert(v.i == n, "lost or out of order")
end
assert(n == 6)
local t = again(vai.async, function(a)
	return a
end, 5)
local ok, result = again(t.join, t)
print(n, assert(ok, result) and result)

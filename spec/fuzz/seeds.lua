-- SPDX-License-Identifier: MIT
-- spec/fuzz/seeds.lua DIR: dumped functions for the fuzzer of the bytecode reader to begin with.
local dir = arg[1]
local sources = {
	"",
	"local a, b = ... ; return function(x) a = x; b.k = x; b[1] = a; return a, b end",
	"g = 1; t.x.y = 2; table.insert(t, 3); return require 'm', print(g), _G.u, _ENV",
	"for i = 1, 10 do if i % 2 == 0 then goto continue end h(i) ::continue:: end",
	"for k, v in pairs(t) do local c <close> = v; t[k] = nil end",
	"local function f(...) local n = select('#', ...); return n > 0 and f(select(2, ...)) or ... end return f(1.5, 2^53)",
	"return function() return function() return function() up = up + 1; return up end end end",
	"local s = { 1, 2, 3, k = 'v', [1.5] = true, ... }; function s:m(a) self.a = a; return self:m(a) end return s",
	"local t = {}" .. ("t.a = t.b .. 'c'\n"):rep(300),
	"local x " .. ("x = x or 'a constant of more than forty characters, which is a long one' .. x\n"):rep(3),
}
do
	local many = {}
	for i = 1, 300 do
		many[i] = ("t.f%d = t.g%d + %d.5"):format(i, i, i)
	end
	sources[#sources + 1] = "local t = {} return function() " .. table.concat(many, " ") .. " end"
end
for i, source in ipairs(sources) do
	local chunk = assert(load(source, "=seed"))
	local ok, f = pcall(chunk)
	for k, fn in pairs({ chunk, ok and type(f) == "function" and f or nil }) do
		for _, strip in ipairs({ false, true }) do
			local out = assert(io.open(("%s/%d-%d-%s"):format(dir, i, k, strip), "wb"))
			out:write(string.dump(fn, strip))
			out:close()
		end
	end
end

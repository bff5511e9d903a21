-- SPDX-License-Identifier: MIT
-- vai.symbol: values that are themselves in every goroutine.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a symbol", function()
	test("is itself however it crosses, as a value, a key and within tables", [[
		for _, s in ipairs { vai.symbol(), vai.symbol("spec.null"), vai.symbol(""), vai.symbol("a\0b") } do
			check.each_copy(s, function(copy) check.eq(copy, s) check.eq(tostring(copy), tostring(s)) end)
			check.each_copy({ s, k = s, [s] = { s, print } }, function(copy)
				check.eq(copy[1], s)
				check.eq(copy.k, s)
				check.eq(copy[s][1], s)
			end)
			local task = vai.async(function(t)
				return t == s, tostring(t), tostring(s), ({ [s] = 7 })[t], math.type(t), type(t)
			end, s)
			check.returns(table.pack(task:join()), true, true, tostring(s), tostring(s), 7, nil, "userdata")
		end
	]])

	test("of a name is one for all, without a name a new one each time", [[
		local s, seen = vai.symbol("spec.one"), {}
		check.eq(tostring(s), "symbol spec.one")
		check.eq(vai.symbol("spec." .. "one"), s)
		assert(vai.symbol("spec.two") ~= s and vai.symbol() ~= vai.symbol() and vai.symbol("") ~= vai.symbol("a\0b"))
		local tasks = {}
		for i = 1, 64 do
			tasks[i] = vai.async(function()
				local own = {}
				for k = 1, 100 do own[k] = vai.symbol() end
				return own, vai.symbol("spec.one"), vai.symbol("new" .. i // 8), tostring(vai.symbol())
			end)
		end
		for i = 1, 64 do
			local _, own, one, fresh, text = tasks[i]:join()
			check.eq(one, s)
			check.eq(fresh, vai.symbol("new" .. i // 8))
			check.eq(tostring(fresh), "symbol new" .. i // 8)
			assert(text:find "^symbol %d+$")
			for _, v in ipairs(own) do
				assert(not seen[v])
				seen[v] = true
			end
		end
	]])

	test("of a module is the same in every instance of it", [[
		package.preload.nothing = function() return { null = require "vai".symbol "nothing.null" } end
		local nothing = require "nothing"
		local task = vai.async(function(v) return v == require "nothing".null end, nothing.null)
		check.returns(table.pack(task:join()), true, true)
		task = vai.async(function(v) return v.null == require "nothing".null and v ~= nothing end, { null = nothing.null })
		check.returns(table.pack(task:join()), true, true)
	]])

	test("leaves other light userdata, and a metatable that they have, as they are", [[
		local cjson = require "cjson"
		local before = tostring(cjson.null)
		check.eq(debug.getmetatable(cjson.null), nil)
		local s = vai.symbol("spec.x")
		check.eq(tostring(cjson.null), before)
		assert(s ~= cjson.null)
		check.each_copy({ cjson.null, s }, function(copy) check.eq(copy[1], cjson.null) check.eq(copy[2], s) end)
		local ok, plain, text = vai.async(function(v)
			local own = { __tostring = function() return "own" end }
			local plain = debug.getmetatable(cjson.null)
			debug.setmetatable(cjson.null, own)
			return plain == nil, tostring(v:recv())
		end, (function() local ch = chan(1) ch:send(s) return ch end)()):join()
		check.returns(table.pack(ok, plain, text), true, true, "own")
	]], { needs = "cjson" })

	test("is refused nothing and for nothing that it is not", [[
		local s = vai.symbol("spec.x")
		check.raises("userdata value", function() return s.field end)
		check.raises("userdata value", function() return #s end)
		check.raises("bad argument #1 to 'symbol' %(string expected, got number%)", vai.symbol, 1)
		check.raises("bad argument #1 to 'symbol' %(string expected, got table%)", vai.symbol, {})
		check.raises("a name of at most 200 bytes expected", vai.symbol, ("x"):rep(201))
		check.eq(#tostring(vai.symbol(("x"):rep(200))), 207)
		check.raises("channel expected, got", vai.chan().recv, s)
		check.raises("case 1: channel expected, got light userdata", vai.select, { s })
		for i = 1, 32768 do
			local ok, err = pcall(vai.symbol, "many" .. i)
			if not ok then
				assert(err:find "there are 32768 names already" and i > 32000, err)
				check.eq(vai.symbol("many1"), vai.symbol("many1"))
				assert(vai.symbol() ~= vai.symbol())
				return
			end
		end
		error("no end")
	]])
end)

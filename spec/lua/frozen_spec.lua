-- SPDX-License-Identifier: MIT
-- Frozen tables: read in place by every goroutine, and as tables wherever that can be.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a frozen table", function()
	test("reads as the table that it was made from", [=[
		local t = { "one", "two", "three", n = 3, f = 2.5, [2^53] = "float", [true] = "yes", [false] = "no", [-1] = -1, [1.5] = 1,
			[""] = "empty", ["a\0b"] = "zero", long = ("x"):rep(1000), inner = { { deep = true } }, ["1"] = "string", no = false }
		local z = vai.freeze(t)
		for k, v in pairs(t) do
			if type(v) ~= "table" then check.eq(z[k], v) end
		end
		check.eq(z[1.0], "one")
		check.eq(z[3], "three")
		check.eq(z[4], nil)
		check.eq(z[0], nil)
		check.eq(z[math.mininteger], nil)
		check.eq(z.nothing, nil)
		check.eq(z[0/0], nil)
		check.eq(z[print], nil)
		check.eq(z[{}], nil)
		check.eq(z.inner[1].deep, true)
		assert(z.inner == z.inner and z.inner[1] == z.inner[1])
		check.eq(#z, 3)
		check.eq(#z.inner, 1)
		check.eq(#vai.freeze({}), 0)
		check.same(vai.thaw(z), t)
	]=])

	test("is what the functions of Lua take for a table", [=[
		local z = vai.freeze({ 3, 1, 2, k = "v" })
		local n, keys = 0, {}
		for k, v in pairs(z) do n = n + 1 keys[k] = v end
		check.eq(n, 4)
		check.same(keys, { 3, 1, 2, k = "v" })
		local list = {}
		for i, v in ipairs(z) do list[i] = v end
		check.same(list, { 3, 1, 2 })
		check.returns(table.pack(table.unpack(z)), 3, 1, 2)
		check.eq(table.pack(table.unpack(z, 1, 5)).n, 5)
		check.eq(table.concat(z, "-"), "3-1-2")
		check.same(table.move(z, 1, 3, 2, {}), { [2] = 3, [3] = 1, [4] = 2 })
		check.eq(("%d %s"):format(z[1], z.k), "3 v")
		assert(("%s"):format(z):find "^vai.frozen: ")
		check.eq(type(z), "table")
		check.eq(getmetatable(z), "vai.frozen")
		check.eq(next(z), nil)
		check.eq(rawlen(z), 0)
		check.eq(rawget(z, 1), nil)
		check.eq((("$k"):gsub("%$(%w+)", z)), "v")
		-- vai.next goes through both kinds.
		local k, v, seen = nil, nil, {}
		repeat
			k, v = vai.next(z, k)
			if k ~= nil then seen[k] = v end
		until k == nil
		check.same(seen, { 3, 1, 2, k = "v" })
		check.returns(table.pack(vai.next({ 5 })), 1, 5)
		check.returns(table.pack(vai.next({})), nil)
		check.returns(table.pack(vai.next(vai.freeze {})), nil)
		check.raises("next", vai.next, z, "nothing")
		check.raises({ "#1", "next", "table expected" }, vai.next, 1)
		-- What pairs returns is a next, too.
		local f, s = pairs(z)
		check.returns(table.pack(f(s, 1)), 2, 1)
		check.returns(table.pack(f(s)), 1, 3)
		check.returns(table.pack(f(s, 3)), "k", "v")
		check.returns(table.pack(f(s, "k")), nil)
	]=])

	test("is what vai's functions take for a table", [=[
		local ch = chan(1)
		local cases = vai.freeze { ch, quit = chan(), timeout = 60 }
		ch:send("sent")
		check.returns(table.pack(select(cases)), 1, "sent")
		check.returns(table.pack(select(vai.freeze { ch, timeout = 0.001 })), nil, "timeout")
		check.returns(table.pack(select(vai.freeze { ch, default = true })), nil, "default")
		check.raises("unknown option 'cup'", vai.spawn, vai.freeze { cup = 1 }, print)
		check.raises("unknown option 'x'", vai.net.listen, "tcp", "127.0.0.1:0", vai.freeze { x = 1 })
		check.raises("unknown option 'x'", vai.fs.write_file, arg[1] .. "/x", "", vai.freeze { x = 1 })
		check.raises("unknown option 'x'", vai.process.spawn, vai.freeze { "true", x = 1 })
		local got = vai.process.run { "sh", "-c", "echo $X", env = vai.freeze { X = "set" } }
		check.eq(got.out, "set\n")
		local limits = vai.freeze { memory = 1 << 20, libs = { "string" } }
		local task = vai.spawn(limits, function() return table == nil and #("x"):rep(1 << 22) end)
		local _, why = task:join()
		check.eq(why, "not enough memory")
	]=])

	test("cannot be changed", [=[
		local z = vai.freeze({ 1, 2, t = {} })
		local function set(t, k, v) t[k] = v end
		for _, k in ipairs { 1, 3, "t", "new" } do
			check.raises("attempt to change a frozen table", set, z, k, 1)
			check.raises("attempt to change a frozen table", set, z.t, k, 1)
		end
		check.raises("attempt to change a frozen table", table.insert, z, 1)
		check.raises("attempt to change a frozen table", table.remove, z)
		check.raises("attempt to change a frozen table", table.sort, vai.freeze { 2, 1 })
		check.raises("protected metatable", setmetatable, z, {})
		check.returns(table.pack(table.unpack(z)), 1, 2)
	]=])

	test("keeps what is shared and what is a circle", [=[
		local shared = { "s" }
		local t = { a = shared, b = { shared }, name = "root" }
		t.self, t.b.root = t, t
		local z = vai.freeze(t)
		assert(z.self == z and z.b.root == z and z.a == z.b[1] and z.self.self.b.root.name == "root")
		check.same(vai.thaw(z), t)
		local copy = vai.thaw(z.b)
		assert(copy.root.b == copy and copy.root ~= t)
		copy.root.name = "changed"
		check.eq(z.name, "root")
		-- Identity, also when nobody has had it for a while.
		local seen = { [z.a] = 1, [z.b] = 2 }
		collectgarbage()
		check.eq(seen[z.b[1]], 1)
		check.eq(seen[z.self.b], 2)
		assert(vai.freeze(z) == z and vai.freeze(z.a) == z.a)
	]=])

	test("is the same one for all: sent, captured, inside of others", [=[
		local z = vai.freeze({ list = { 1, 2, 3 }, name = "z" })
		local ch = chan(2)
		ch:send(z)
		ch:send({ z.list, z })
		assert(ch:recv() == z)
		local got = ch:recv()
		assert(got[1] == z.list and got[2] == z)
		local t = vai.async(function(again)
			assert(z == again and z.list == again.list and #z.list == 3)
			return z.list, z.name
		end, z)
		local _, list, name = t:join()
		assert(list == z.list and name == "z")
		local outer = vai.freeze({ z, z.list, ch = ch })
		assert(outer[1] == z and outer[2] == z.list and outer.ch == ch)
		local m = vai.map()
		m:set("z", z)
		assert(m:get "z" == z)
		z, list, got = nil, nil, nil
		collectgarbage()
		check.eq(outer[1].list[3], 3)
	]=])

	test("a module that returns one returns the same one everywhere, and runs once", [=[
		package.path = arg[1] .. "/?.lua;" .. package.path
		local function select_two(_, v) return v end
		local function ask(name) return vai.async(function() return require(name), runs end):join() end
		local _, first, runs = ask "config"
		check.eq(runs, 1)
		local _, again, more = ask "config"
		assert(first == again and first.list[2] == "b")
		check.eq(more, nil)
		assert(require "config" == first and package.loaded.config == first)
		assert(select_two(vai.async(function() return require "config" == first end):join()))
		-- Here main comes first.
		local mine = require "other"
		assert(select_two(ask "other") == mine and mine.n == 1)
		local wg, same = waitgroup(), vai.atomic()
		for i = 1, 8 do
			wg:go(function() if require "third" == require "third" then same:add(1) end vai.yield() end)
		end
		wg:wait()
		check.eq(same:get(), 8)
		assert(select_two(ask "third") == require "third")
		-- One that freezes something and returns another table is as ever.
		local _, a = ask "plain"
		local _, b = ask "plain"
		assert(a ~= b and a.z.x == 1 and getmetatable(a) == nil)
	]=], { files = {
		["config.lua"] = "runs = (runs or 0) + 1 return require 'vai'.freeze({ list = { 'a', 'b' } })",
		["other.lua"] = "return require 'vai'.freeze({ n = 1 })",
		["third.lua"] = "require 'vai'.yield() return require 'vai'.freeze({ n = 3 })",
		["plain.lua"] = "return { z = require 'vai'.freeze({ x = 1 }) }",
	} })

	test("says what cannot be frozen, and where", [=[
		check.raises({ "#1 to 'freeze'", "field 'x': field 'y': field 2: function cannot be frozen" }, vai.freeze,
			{ x = { y = { 1, print } } })
		check.raises({ "'freeze'", "field 'f': FILE%* cannot be frozen" }, vai.freeze, { f = io.stdout })
		check.raises({ "'freeze'", "field 'c': thread cannot be frozen" }, vai.freeze, { c = coroutine.create(print) })
		check.raises({ "'freeze'", "field 'm': a table with a metatable" }, vai.freeze, { m = setmetatable({}, {}) })
		check.raises({ "'freeze'", "%(a table with a metatable" }, vai.freeze, setmetatable({}, {}))
		check.raises({ "'freeze'", "field 'k': a key that is a table" }, vai.freeze, { k = { [{}] = 1 } })
		check.raises({ "'freeze'", "%(a key that is a function" }, vai.freeze, { [print] = 1 })
		check.raises({ "#1 to 'freeze'", "table expected, got no value" }, vai.freeze)
		check.raises({ "#1 to 'freeze'", "table expected, got string" }, vai.freeze, "x")
		check.raises({ "#1 to 'thaw'", "frozen table expected, got table" }, vai.thaw, {})
		local deep = {}
		local t = deep
		for i = 1, 30 do t.n = {} t = t.n end
		t.f = print
		local err = check.raises({ "field 'n': ", "field 'f': function", "%.%.%." }, vai.freeze, deep)
		assert(#err < 500)
		collectgarbage()
	]=])

	test("objects of vai's in it stay what they are, and are let go with it", [=[
		local z = vai.freeze({ ch = chan(1), list = { vai.atomic(5) } })
		z.ch:send "x"
		vai.async(function() z.list[1]:add(z.ch:recv() == "x" and 1 or 100) end):join()
		check.eq(z.list[1]:get(), 6)
		-- Frozen in frozen in frozen: the end of a long chain is no recursion.
		local chain = vai.freeze({})
		for i = 1, check.scaled(10000) do chain = vai.freeze({ chain, i }) end
		check.eq(chain[1][1][2], check.scaled(10000) - 2)
		chain = nil
		collectgarbage()
		collectgarbage()
	]=], { timeout = 60 })

	test("has room for many tables, and any depth that Lua's stack has", [=[
		local n = check.scaled(10000)
		local t = {}
		for i = 1, n do t[i] = { id = i, name = "name " .. i, odd = i % 2 == 1 or nil } t["key" .. i] = i end
		local z = vai.freeze(t)
		check.eq(#z, n)
		for round = 1, 2 do
			for i = 1, n, 7 do
				local r = z[i]
				check.eq(r.id, i)
				check.eq(r.name, "name " .. i)
				check.eq(z["key" .. i], i)
				check.eq(r.odd, i % 2 == 1 or nil)
			end
			collectgarbage()
		end
		local count, sum = 0, 0
		for k, v in pairs(z) do
			count = count + 1
			if type(k) == "number" then sum = sum + v.id end
		end
		check.eq(count, 2 * n)
		check.eq(sum, n * (n + 1) // 2)
		-- All at once, and all still the same.
		local all = {}
		for i = 1, n do all[i] = z[i] end
		for i = 1, n do assert(all[i] == z[i] and all[i].id == i) end
		local deep = {}
		local d = deep
		for i = 1, 100000 do d.n = { i = i } d = d.n end
		local f, depth = vai.freeze(deep), 0
		while f.n do f = f.n depth = depth + 1 end
		check.eq(depth, 100000)
		check.eq(f.i, 100000)
	]=], { timeout = 60, procs = 2 })

	test("with holes, from the end, with huge keys", [=[
		local holes = { 1, nil, 3, nil, nil, 6 }
		local z = vai.freeze(holes)
		for i = 1, 6 do check.eq(z[i], holes[i]) end
		local n = 0
		for k, v in pairs(z) do check.eq(k, v) n = n + 1 end
		check.eq(n, 3)
		local back = {}
		for i = 50, 1, -1 do back[i] = i end
		z = vai.freeze(back)
		check.eq(#z, 50)
		for i = 1, 50 do check.eq(z[i], i) end
		local sparse = { [1] = 1, [2] = 2, [1 << 40] = 3, [math.maxinteger] = 4 }
		for i = 2, 39 do sparse[1 << i] = i end
		z = vai.freeze(sparse)
		for k, v in pairs(sparse) do check.eq(z[k], v) end
		for k, v in pairs(z) do check.eq(sparse[k], v) end
	]=], { procs = 2 })

	test("hot keys, absent keys and more keys than the cache has room for", [=[
		local t = {}
		for i = 1, 1000 do t["k" .. i] = { i } t[i] = i end
		local z = vai.freeze(t)
		for round = 1, 5 do
			for i = 1, 1000 do
				assert(z["k" .. i][1] == i and z[i] == i)
				check.eq(z["none" .. i], nil)
			end
			for _ = 1, 100 do assert(z.k5[1] == 5) end
			check.eq(#z, 1000)
			collectgarbage()
		end
		local n = 0
		for k in pairs(z) do n = n + 1 end
		check.eq(n, 2000)
		check.raises("attempt to change", function() z.k5 = 1 end)
	]=], { procs = 2 })

	test("is walked by many at once, in any place, and from any key on", [=[
		local t = { 10, 20, 30, a = 1, b = 2, c = 3, [2.5] = 4, [true] = 5, deep = { a = 6, b = 7 } }
		local long = ("n"):rep(100)
		for i = 1, 3000 do t.deep["name" .. i] = i end
		t.deep[long] = "long"
		local f = vai.freeze(t)
		local function count(x) local n = 0 for _ in pairs(x) do n = n + 1 end return n end
		-- Each pair of keys of two walks, one in the other.
		local seen, n = {}, 0
		for k in pairs(f) do
			for l, v in pairs(f) do
				local both = tostring(k) .. "/" .. tostring(l)
				check.eq(seen[both], nil)
				seen[both], n = true, n + 1
				if type(v) ~= "table" then check.eq(v, t[l]) end
			end
		end
		check.eq(n, 9 * 9)
		-- Two side by side, one of them slower, one with vai.next.
		local step, state, k1 = pairs(f.deep)
		local k2, k3, sum = nil, nil, 0
		repeat
			k1 = step(state, k1)
			if k1 then k1 = step(state, k1) end
			k2 = step(state, k2)
			k3 = vai.next(f.deep, k3)
			check.eq(k2, k3)
			sum = sum + 1
		until k2 == nil
		check.eq(sum, 3004)
		check.eq(count(f.deep), 3003)
		-- It goes on behind the key that it is given, and begins without one.
		local after_b = step(f, "b")
		check.eq(step(f, "b"), after_b)
		check.eq((step(f)), 1)
		check.eq((step(f, nil)), 1)
		check.eq((step(f, 1)), 2)
		check.raises("invalid key to 'next'", step, f, "absent")
		check.raises("invalid key to 'next'", step, f, {})
		check.raises("frozen", step, {}, nil)
		-- A name that was given in one table is looked for in another one, where it stands elsewhere or not at all.
		local several = vai.freeze { { 1, 2, x = 1, y = 2, z = 3 }, { z = 4, y = 5, x = 6 }, { y = 7 } }
		local next_of, order = pairs(several), {}
		for i = 1, 3 do
			order[i] = {}
			local k = vai.next(several[i])
			while k do order[i][#order[i] + 1], k = k, vai.next(several[i], k) end
		end
		for i = 1, 3 do
			for at, name in ipairs(order[i]) do
				local before = order[i][at - 1]
				check.eq(next_of(several[i], before), name)
				for j = 1, 3 do
					if several[j][name] == nil then
						check.raises("invalid key to 'next'", next_of, several[j], name)
					else
						check.eq(next_of(several[j], name), (vai.next(several[j], name)))
					end
				end
				check.eq(next_of(several[i], before), name)
			end
		end
		-- A walk that is left in the middle is forgotten.
		for _ in pairs(f) do break end
		check.eq(count(f), 9)
		for name, v in pairs(f.deep) do check.eq(v, t.deep[name]) end
	]=])

	test("shows the right record in whatever order records are met, kept and forgotten", [=[
		local t, size = {}, 400
		for i = 1, size do t[i] = { id = i, part = { id = i, { id = -i } } } end
		local z, seed, kept = vai.freeze(t), 7, {}
		local function random()
			seed = (seed * 1103515245 + 12345) & 0x7fffffff
			return (seed >> 8) % size + 1
		end
		local function right(i, r)
			check.eq(r.id, i)
			for k, v in pairs(r) do
				if k == "part" then
					local n = 0
					for l, w in pairs(v) do
						n = n + (l == "id" and w or w.id)
						if l == 1 then check.eq(next(w), nil) for _, x in pairs(w) do check.eq(x, -i) end end
					end
					check.eq(n, 0)
				end
			end
		end
		for round = 1, 12 do
			for _ = 1, 100 do
				local i = random()
				kept[i] = not kept[i] and z[i] or nil
				if kept[i] then right(i, kept[i]) end
			end
			if round % 3 == 0 then collectgarbage() end
			for i, r in pairs(z) do
				right(i, r)
				assert(not kept[i] or kept[i] == r)
				if i % 50 == 0 then right(random(), z[seed // 256 % size + 1]) end
			end
			for i, r in pairs(kept) do right(i, r) end
		end
	]=])

	test("many goroutines read one block", [=[
		local t = {}
		for i = 1, 500 do t[i] = { id = i, tags = { "a" .. i % 7, "b" } } end
		local z, wg, sum = vai.freeze(t), waitgroup(), vai.atomic()
		for g = 1, 16 do
			wg:go(function()
				local s = 0
				for _, r in ipairs(z) do s = s + r.id + #r.tags end
				for k, r in pairs(z) do assert(r.tags[1] == "a" .. k % 7 and r == z[k]) end
				if g % 4 == 0 then collectgarbage() end
				sum:add(s)
			end)
		end
		wg:wait()
		check.eq(sum:get(), 16 * (500 * 501 // 2 + 1000))
	]=], { timeout = 60 })

	test("the debug library does no harm", [=[
		local z = vai.freeze({ t = { 1 }, n = 1 })
		for _ = 1, 50 do assert(z.t[1] == 1 and z.n == 1) end
		local fresh = vai.freeze({ { 1 } })
		local function select_second(ok, f) return ok and f or nil end -- what was done before may have spoilt it
		for _, p in ipairs { z, z.t, fresh } do
			local mt = debug.getmetatable(p)
			local fs = { select_second(pcall(pairs, p)) }
			for _, f in pairs(mt) do
				if type(f) == "function" then fs[#fs + 1] = f end
				if type(f) == "table" and debug.getmetatable(f) then fs[#fs + 1] = debug.getmetatable(f).__index end
			end
			for _, f in ipairs(fs) do
				for _, v in ipairs { 1, "x", {}, print, io.stdout, setmetatable({}, mt) } do
					pcall(f) pcall(f, v) pcall(f, v, "t") pcall(f, p, v) pcall(f, v, 1, 1)
				end
				for i = 1, 5 do
					local name, old = debug.getupvalue(f, i)
					if name then
						for _, v in ipairs { 1, "x", {}, io.stdout, chan() } do
							debug.setupvalue(f, i, v)
							pcall(f, p, "t") pcall(f, p, 1) pcall(f, p) pcall(f, {}, "t")
						end
						debug.setupvalue(f, i, old)
					end
				end
			end
			local view
			for k, v in pairs(mt) do if type(v) == "userdata" then view = v end end
			pcall(debug.getmetatable(view).__gc, view)
			pcall(function() return p.t, #p, p[1] end)
			debug.setmetatable(p, nil)
			pcall(mt.__index, p, "t")
			pcall(vai.thaw, p)
			pcall(vai.next, p)
			debug.setmetatable(p, mt)
		end
		local kept
		setmetatable({}, { __gc = function() kept = kept or vai.freeze({ 1 }) pcall(function() return kept[1] end) end })
		z, fresh = nil, nil
		collectgarbage()
		collectgarbage()
		-- A finalizer that finds a proxy whose view has been finalized before.
		do
			local p = vai.freeze({ a = { b = 1 } })
			setmetatable({}, { __gc = function() kept = { pcall(function() return p.a.b, #p end) } end })
		end
		collectgarbage()
		collectgarbage()
	]=], { procs = 2 })

	test("freezing without memory is an error, and leaves nothing", [=[
		local t = {}
		for i = 1, 200000 do t[i] = ("text number %d"):format(i) end
		local ok, err = vai.spawn({ memory = 1 << 20 }, function() return vai.thaw({}) end):join()
		assert(not ok and tostring(err):find "frozen table expected", tostring(err))
		local z = vai.freeze(t)
		ok, err = vai.spawn({ memory = 1 << 20 }, function() return vai.thaw(z) end):join()
		assert(not ok and tostring(err):find "not enough memory", tostring(err))
		ok, err = vai.spawn({ memory = 1 << 20 }, function() local n = 0 for _, v in pairs(z) do n = n + #v end return n end):join()
		assert(ok and err > 200000)
	]=], { procs = 2 })
end)

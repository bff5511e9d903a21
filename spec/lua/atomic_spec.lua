-- SPDX-License-Identifier: MIT
-- Atomics: compound operations of which none is lost.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("an atomic", function()
	test("is an integer of 64 bits", [[
		local a = vai.atomic()
		check.eq(a:get(), 0)
		check.eq(vai.atomic(7):get(), 7)
		check.eq(vai.atomic(3.0):get(), 3)
		check.returns(table.pack(a:set(5)))
		check.eq(a:add(3), 8)
		check.eq(a:add(-10), -2)
		check.eq(a:swap(40), -2)
		check.eq(a:cas(41, 1), false)
		check.eq(a:cas(40, 1), true)
		check.eq(a:get(), 1)
		a:set(math.maxinteger)
		check.eq(a:add(1), math.mininteger)
		a:set(12)
		check.eq(tostring(a), "atomic: 12")
		check.raises({ "atomic", "integer" }, vai.atomic, "x")
		check.raises({ "atomic", "no integer representation" }, vai.atomic, 1.5)
		check.raises({ "#2", "cas" }, a.cas, a, 1)
		check.raises({ "#1", "add" }, a.add, a)
	]])

	test("is the same one in every goroutine", [[
		local a = vai.atomic(1)
		local ch = chan(1)
		ch:send({ deep = { a } })
		assert(ch:recv().deep[1] == a)
		check.returns(table.pack(vai.async(function(b) b:add(2) return b == a, b end, a):join()), true, true, a)
		check.eq(a:get(), 3)
	]])

	test("a million additions from 8 goroutines: none lost", [[
		local a, wg = vai.atomic(), waitgroup()
		local each = check.scaled(125000)
		for i = 1, 8 do
			wg:go(function() for k = 1, each do a:add(1) end end)
		end
		wg:wait()
		check.eq(a:get(), 8 * each)
	]], { timeout = 60 })

	test("every number is given once", [[
		local a, seen, wg = vai.atomic(), vai.map(), waitgroup()
		for i = 1, 4 do
			wg:go(function()
				for k = 1, 500 do
					local n
					if i % 2 == 0 then
						n = a:add(1)
					else
						repeat n = a:get() + 1 until a:cas(n - 1, n)
					end
					seen:add(n, 1)
				end
			end)
		end
		wg:wait()
		for n = 1, 2000 do check.eq(seen:get(n), 1) end
		check.eq(#seen, 2000)
	]])
end)

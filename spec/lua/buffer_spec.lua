-- SPDX-License-Identifier: MIT
-- Buffers: bytes that goroutines share.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

describe("a buffer", function()
	test("holds bytes", [[
		local b = vai.buffer(5)
		check.eq(#b, 5)
		check.eq(b:sub(1), "\0\0\0\0\0")
		check.returns(table.pack(b:set(2, "abc")))
		check.eq(b:sub(1, -1), "\0abc\0")
		check.eq(b:byte(2), 97)
		b:set(6, "")
		b:set(1, vai.buffer("xy"))
		check.eq(b:sub(1, 3), "xyb")
		b:fill(255, 5)
		check.eq(b:byte(5), 255)
		b:fill(46)
		check.eq(b:sub(1), ".....")
		b:fill(48, 2, 1)
		b:fill(48, 6)
		check.eq(b:sub(1), ".....")
		check.eq(#vai.buffer(0), 0)
		check.eq(vai.buffer(""):sub(1), "")
		check.eq(vai.buffer("a\0b"):sub(1), "a\0b")
		assert(tostring(b):find "^buffer: ")
	]])

	test("bytes are copied within a buffer, also where the two places overlap", [[
		local b = vai.buffer("abcdefgh")
		b:set(3, b:slice(1, 5))
		check.eq(b:sub(1), "ababcdeh")
		b:set(1, b:slice(3, 8))
		check.eq(b:sub(1), "abcdeheh")
		b:set(1, b)
		check.eq(b:sub(1), "abcdeheh")
	]])

	test("sub clips as string.sub does, nothing else does", [[
		local s = "hello"
		local b = vai.buffer(s)
		local ends = { 0, 1, 2, 5, 6, 100, -1, -2, -5, -6, -100, math.maxinteger, math.mininteger }
		for _, i in ipairs(ends) do
			check.eq(b:sub(i), s:sub(i))
			for _, j in ipairs(ends) do check.eq(b:sub(i, j), s:sub(i, j), i .. " to " .. j) end
		end
		check.raises({ "#1", "byte", "1 bytes at 6", "has 5" }, b.byte, b, 6)
		check.raises("byte", b.byte, b, 0)
		check.raises("byte", b.byte, b, -1)
		check.raises({ "set", "3 bytes at 4" }, b.set, b, 4, "abc")
		check.raises("set", b.set, b, math.maxinteger, "abc")
		check.raises("set", b.set, b, 7, "")
		check.eq(b:sub(1), s)
	]])

	test("packs and unpacks", [[
		local b = vai.buffer(64)
		check.eq(b:pack(3, "<i4dz", -7, 1.5, "text"), 3 + 4 + 8 + 5)
		check.returns(table.pack(b:unpack(3, "<i4dz")), -7, 1.5, "text", 20)
		check.returns(table.pack(b:unpack(3, "<i4")), -7, 7)
		check.returns(table.pack(b:unpack(65, "")), 65)
		check.raises({ "pack", "8 bytes at 60" }, b.pack, b, 60, "d", 1)
		check.raises({ "unpack", "8 bytes at 60" }, b.unpack, b, 60, "d")
		check.raises({ "unpack", "too short" }, b.unpack, b, 1, "c1000000000000")
		check.raises({ "unpack", "out of range" }, b.unpack, b, 1, "c1000000000")
		check.raises("unpack", b.unpack, b, 62, "s4")
		check.raises("invalid format option .y.", b.pack, b, 1, "y")
		string.pack, string.unpack = nil, nil
		check.returns(table.pack(b:unpack(3, "<i4")), -7, 7)
		check.eq(b:pack(1, "b", 1), 2)
	]])

	test("slices share its bytes", [[
		local b = vai.buffer("hello world")
		local w = b:slice(7)
		check.eq(w:sub(1), "world")
		check.eq(#w, 5)
		w:set(1, "W")
		check.eq(b:sub(1), "hello World")
		local o = w:slice(2, 3)
		check.eq(o:sub(1), "or")
		b:set(8, "OR")
		check.eq(o:sub(1), "OR")
		check.eq(#b:slice(12), 0)
		check.eq(#b:slice(3, 2), 0)
		check.raises("byte", o.byte, o, 3)
		check.raises({ "slice", "#2" }, b.slice, b, 1, 12)
		check.raises({ "resize", "slice" }, o.resize, o, 1)
		b:set(2, b:slice(1, 5)) -- they overlap
		check.eq(b:sub(1, 6), "hhello")
		b:resize(8)
		check.raises({ "sub", "a resize has taken bytes" }, w.sub, w, 1)
		check.raises({ "byte", "a resize has taken bytes" }, w.byte, w, 1)
		check.raises({ "slice", "a resize has taken bytes" }, w.slice, w, 1)
		check.raises({ "set", "a resize has taken bytes" }, o.set, o, 1, "x")
		check.eq(#w, 5)
		b:resize(11)
		check.eq(w:sub(1), "WO\0\0\0")
		b = nil
		collectgarbage()
		w:set(1, "still")
		check.eq(w:sub(1), "still")
	]])

	test("grows and shrinks", [[
		local b = vai.buffer("abc")
		b:resize(100000)
		check.eq(#b, 100000)
		check.eq(b:sub(1, 5), "abc\0\0")
		check.eq(b:byte(100000), 0)
		b:resize(0)
		check.eq(#b, 0)
		b:resize(3)
		check.eq(b:sub(1), "\0\0\0")
		check.raises("not enough memory", vai.buffer, 1 << 45)
		check.raises("not enough memory", b.resize, b, 1 << 45)
		check.eq(#b, 3)
	]], { skip = program.slowness > 1 and "a sanitizer's allocator ends the process instead of failing" })

	test("is the same one in every goroutine", [[
		local b, ch = vai.buffer(8), chan(1)
		ch:send({ b })
		assert(ch:recv()[1] == b)
		vai.async(function(s) s:set(1, "x") b:set(2, "y") end, b:slice(1, 1)):join()
		check.eq(b:sub(1, 2), "xy")
		local z = vai.freeze({ b = b })
		assert(z.b == b)
	]])

	test("words: none of a million additions is lost", [[
		local b, wg = vai.buffer(24), waitgroup()
		local each = check.scaled(125000)
		for i = 1, 8 do
			wg:go(function() local w = b:slice(9, 16) for k = 1, each do w:add64(1, 1) end end)
		end
		wg:wait()
		check.eq(b:load64(9), 8 * each)
		check.eq(b:load64(1), 0)
		check.eq(b:load64(17), 0)
		check.eq(b:cas64(9, 0, 1), false)
		check.eq(b:cas64(9, 8 * each, -1), true)
		check.eq(b:sub(9, 16), ("\255"):rep(8))
		check.eq(b:add64(9, 2), 1)
		check.raises({ "load64", "not aligned" }, b.load64, b, 2)
		check.raises({ "add64", "not aligned" }, b.add64, b, 12, 1)
		check.raises({ "cas64", "8 bytes at 18" }, b.cas64, b, 18, 1, 1)
		local s = b:slice(3)
		check.eq(s:load64(7), 1)
		check.raises({ "load64", "not aligned" }, s.load64, s, 1)
	]], { timeout = 60 })

	local streams = { ["a pipe"] = "vai.net.pipe()", ["TCP"] = "tcp()", ["a file"] = "file()" }
	for name, make in pairs(streams) do
		local source = [[
			local function tcp()
				local l <close> = vai.net.listen("tcp", "127.0.0.1:0")
				return vai.net.dial("tcp", l:addr()), l:accept()
			end
			local function file()
				local name = arg[1] .. "/file"
				return vai.fs.open(name, "w"), vai.fs.open(name, "r")
			end
			local a, b = MAKE
			local from, to = vai.buffer("0123456789"), vai.buffer(("."):rep(10))
			check.eq(a:write(from), a)
			check.eq(b:read_into(to), 10)
			check.eq(to:sub(1, -1), "0123456789")
			check.eq(a:write("<", from:slice(3, 5), 7, ">", from:slice(1, 0), vai.buffer(0)), a)
			check.eq(b:read(2), "<2")
			check.eq(b:read_into(to, 4, 5), 2) -- what the read has left over
			check.eq(b:read_into(to:slice(10, 10)), 1)
			check.eq(to:sub(1, -1), "012" .. "34" .. "5678" .. "7")
			check.eq(b:read_into(to, 5, 4), 0)
			check.eq(b:read_into(vai.buffer(0)), 0)
			check.eq(b:read(), ">")
			a:close()
			check.returns(table.pack(b:read_into(to)), nil)
			check.raises("buffer expected, got string", b.read_into, b, "x")
			check.raises("11 is out of range", b.read_into, b, to, 1, 11)
			check.raises("0 is out of range", b.read_into, b, to, 0)
			check.raises("string or buffer expected, got table", b.write, b, {})
			to:resize(100) -- nothing is pinned
			from:resize(1)
			b:close()
			check.returns(table.pack((b:read_into(to))), nil)
		]]
		test("is written into " .. name .. " and read from it, as a whole, in part and beside strings",
			(source:gsub("MAKE", make)))
	end

	test("cannot be resized while it is read into or written, and can once that has ended, in whatever way", [[
		local in_use = "in use by input, output or another resize"
		local function waits(f, how)
			local to, from = vai.buffer(10), vai.buffer(2000000)
			local a, b = vai.net.pipe()
			local ctx, cancel = vai.context():with_cancel()
			local slice = from:slice(1, 10)
			local task = vai.async(f, a, b, to, from, ctx)
			check.waiting(task)
			check.raises(in_use, to.resize, f == READ and to or from, 20)
			slice:fill(65) -- that it may be
			if how == "cancel" then task:cancel("enough") elseif how == "context" then cancel()
			elseif how == "close" then a:close() b:close()
			elseif how == "deadline" then a:set_deadline(0) b:set_deadline(0)
			elseif f == READ then a:write("x")
			else while task:join(0) == nil do b:read(100000, 0.01) end end
			task:join()
			to:resize(20)
			from:resize(1)
			check.raises("taken bytes of the slice away", slice.byte, slice, 1)
			check.raises("taken bytes of the slice away", vai.net.pipe().write, vai.net.pipe(), "x", to, slice)
			to:resize(0)
		end
		function READ(_, b, to, _, ctx) return b:read_into(to, 1, 10, ctx) end
		function WRITE(a, _, _, from, ctx) return a:with(ctx):write("x", from, from) and true end
		for _, how in ipairs { "cancel", "context", "close", "deadline", "well" } do
			waits(READ, how)
			waits(WRITE, how)
		end
	]])

	test("readers, writers and resizes at once", [[
		local b, wg = vai.buffer(1000), waitgroup()
		for i = 1, 4 do
			wg:go(function()
				for k = 1, check.scaled(3000) do
					pcall(b.set, b, k % 900 + 1, ("x"):rep(50))
					local ok, s = pcall(b.sub, b, k % 500, k % 500 + 200)
					if ok then assert(not s:find "[^x%z]") end
					local fine, slice = pcall(b.slice, b, 100, 200)
					if fine then pcall(slice.fill, slice, ("x"):byte()) end
				end
			end)
		end
		wg:go(function()
			for k = 1, check.scaled(3000) do pcall(b.resize, b, 200 + k % 7 * 150) end
		end)
		wg:wait()
		b:resize(10)
		check.eq(#b, 10)
	]], { timeout = 60 })
end)

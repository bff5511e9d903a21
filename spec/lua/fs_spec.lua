-- SPDX-License-Identifier: MIT
-- vai.fs: files, directories, changes of them.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- Each program has a directory of its own.
local test = program.tester [[
	local fs, fds = vai.fs, check.fds
	local dir = check.temp()
	assert(fs.mkdir(dir, 448))
	local function failed(code, ...)
		local r = table.pack(...)
		check.eq(r[1], nil)
		check.eq(r[3], code)
		check.eq(r.n, 3)
		return r[2]
	end
]]

describe("a file", function()
	test("reads as io's do", [[
		local text = "one\n\ntwo\r\nthree without end"
		assert(fs.write_file(dir .. "/f", text))
		for _, what in ipairs { "l", "L", "a", 1, 3, 100 } do
			local ours, stock = assert(fs.open(dir .. "/f")), assert(io.open(dir .. "/f"))
			for _ = 1, 8 do
				check.eq(ours:read(what), stock:read(what), "read " .. what)
			end
			ours:close()
			stock:close()
		end
		local f <close> = fs.open(dir .. "/f", "rb")
		check.eq(f:read(), text)
		check.returns(table.pack(f:read()), nil)
		check.eq(f:read("a"), "")
		f:seek("set")
		local lines = {}
		for line in f:lines() do lines[#lines + 1] = line end
		check.eq(table.concat(lines, "|"), "one||two\r|three without end")
	]])

	test("has one position for reading and writing", [[
		local f <close> = assert(fs.open(dir .. "/f", "w+"))
		check.eq(f:write("0123456789", 10, 1.5), f)
		check.eq(f:seek(), 15)
		check.eq(f:seek("set", 2), 2)
		check.eq(f:read(2), "23")
		check.eq(f:seek("cur"), 4)
		check.eq(f:seek("cur", -1), 3)
		f:write("x")
		check.eq(f:read(1), "4")
		check.eq(f:seek("end", -2), 13)
		check.eq(f:read("a"), ".5")
		check.eq(fs.read_file(dir .. "/f"), "012x456789101.5")
		check.eq(f:truncate(3), true)
		check.eq(f:stat().size, 3)
		check.eq(f:sync(), true)
		failed("EINVAL", f:seek("set", -1))
	]])

	test("appends, grows under its reader, and is made only where nothing is", [[
		local a <close> = assert(fs.open(dir .. "/f", "a"))
		local r <close> = assert(fs.open(dir .. "/f"))
		check.eq(r:read(), nil)
		a:write("one\n")
		check.eq(r:read("l"), "one")
		check.eq(r:read("l"), nil)
		a:write("two\n")
		check.eq(r:read("l"), "two")
		failed("EEXIST", fs.open(dir .. "/f", "wx"))
		assert(fs.open(dir .. "/new", "wx", 384)):close()
		check.eq(fs.stat(dir .. "/new").mode, 384)
		check.eq(failed("ENOENT", fs.open(dir .. "/none/f", "w")), dir .. "/none/f: no such file or directory")
		check.returns(table.pack(r:write("x")), nil, dir .. "/f: bad file descriptor", "EBADF", 0)
	]])

	test("is the same file in other goroutines, and every call is whole", [[
		local f <close> = assert(fs.open(dir .. "/f", "a+"))
		local wg, n = waitgroup(), check.scaled(200)
		for i = 1, 8 do
			wg:go(function(file, letter, times)
				for _ = 1, times do
					assert(file:write(letter:rep(99), letter:upper(), "\n"))
				end
			end, f, string.char(96 + i), n)
		end
		wg:wait()
		local seen = {}
		f:seek("set")
		for line in f:lines() do
			local letter = line:sub(1, 1)
			check.eq(line, letter:rep(99) .. letter:upper())
			seen[letter] = (seen[letter] or 0) + 1
		end
		for i = 1, 8 do check.eq(seen[string.char(96 + i)], n) end
		-- Readers share the position: each line goes to one of them.
		f:seek("set")
		local lines = chan(100)
		for _ = 1, 4 do
			wg:go(function(file, out)
				for _ in file:lines() do out:send(1) end
			end, f, lines)
		end
		go(function() wg:wait() lines:close() end)
		local sum = 0
		for _ in lines do sum = sum + 1 end
		check.eq(sum, 8 * n)
	]])

	test("is named by what fails in it", [[
		local f = assert(fs.open("/dev/full", "w"))
		check.returns(table.pack(f:write("x")), nil, "/dev/full: no space left on device", "ENOSPC", 0)
		assert(fs.write_file(dir .. "/f", "x"))
		f = assert(fs.open(dir .. "/f"))
		check.returns(table.pack(f:write("x")), nil, dir .. "/f: bad file descriptor", "EBADF", 0)
		check.returns(table.pack(fs.open(dir .. "/f", "w"):read()), nil, dir .. "/f: bad file descriptor", "EBADF")
	]])

	test("is closed once and for all", [[
		local f = assert(fs.open(dir .. "/f", "w"))
		check.eq(tostring(f), "file: " .. dir .. "/f")
		f:close()
		f:close()
		check.returns(table.pack(f:read()), nil, "closed")
		check.returns(table.pack(f:write("x")), nil, "closed", nil, 0)
		check.returns(table.pack(f:seek("set")), nil, "closed")
		check.returns(table.pack(f:stat()), nil, "closed")
		check.returns(table.pack(f:sync()), nil, "closed")
		check.returns(table.pack(f:truncate(0)), nil, "closed")
		check.eq(tostring(f), "file: " .. dir .. "/f (closed)")
		check.raises("closed", f.lines(f), f)
	]])

	test("that is a pipe parks the goroutine, and ends with its other end", [[
		assert(os.execute("mkfifo " .. dir .. "/pipe"))
		local reader = vai.async(function(path)
			local f <close> = assert(fs.open(path))
			return f:read("l"), f:read("l"), table.pack(f:read("l")).n
		end, dir .. "/pipe")
		local w = assert(fs.open(dir .. "/pipe", "w"))
		w:write("one\n")
		check.waiting(reader)
		w:write("two\n")
		w:close()
		check.returns(table.pack(reader:join()), true, "one", "two", 1)
		-- Nobody reads: an error, no signal.
		local r = vai.async(function(path) return fs.open(path) end, dir .. "/pipe")
		w = assert(fs.open(dir .. "/pipe", "w"))
		local _, end_of_it = assert(r:join())
		end_of_it:close()
		local _, _, code = w:write("x")
		check.eq(code, "EPIPE")
		-- Closing wakes who waits in it.
		local both = assert(fs.open(dir .. "/pipe", "r+"))
		local waiter = vai.async(function() return both:read() end)
		check.waiting(waiter)
		both:close()
		check.returns(table.pack(waiter:join()), true, nil, "closed")
	]])

	test("may be a device", [[
		local full <close> = assert(fs.open("/dev/full", "w"))
		check.returns(table.pack(full:write("x")), nil, "/dev/full: no space left on device", "ENOSPC", 0)
		local zero <close> = assert(fs.open("/dev/zero"))
		check.eq(zero:read(3), "\0\0\0")
		local null <close> = assert(fs.open("/dev/null", "r+"))
		check.eq(null:write("x"), null)
		check.eq(null:read("a"), "")
	]])
end)

describe("whole files", function()
	test("are written and read", [[
		local data = ("x\0y\n"):rep(300000)
		check.eq(fs.write_file(dir .. "/f", data), true)
		check.eq(fs.read_file(dir .. "/f") == data, true)
		local vast = ("v"):rep(1 << 26) -- more than any table of sizes knows of
		check.eq(fs.write_file(dir .. "/vast", vast), true)
		check.eq(#fs.read_file(dir .. "/vast"), #vast)
		check.returns(table.pack(vai.async(function(path) return #vai.fs.read_file(path) end, dir .. "/vast"):join()), true, #vast)
		check.eq(fs.write_file(dir .. "/f", ""), true)
		check.eq(fs.read_file(dir .. "/f"), "")
		check.eq(#fs.read_file("/proc/self/status") > 100, true)
		check.eq(failed("ENOENT", fs.read_file(dir .. "/none")), dir .. "/none: no such file or directory")
		failed("EISDIR", fs.read_file(dir))
		failed("EISDIR", fs.write_file(dir, "x"))
		local bytes = vai.buffer("from a buffer")
		check.eq(fs.write_file(dir .. "/f", bytes), true)
		check.eq(fs.read_file(dir .. "/f"), "from a buffer")
		check.eq(fs.write_file(dir .. "/f", bytes:slice(1, 4), { atomic = true }), true)
		check.eq(fs.read_file(dir .. "/f"), "from")
		failed("EISDIR", fs.write_file(dir, bytes))
		bytes:resize(3) -- nobody uses it any more
		check.raises("argument #2 to 'write_file' %(string or buffer expected, got table", fs.write_file, dir .. "/f", {})
	]])

	test("are replaced at once or not at all", [[
		local umask = tonumber(fs.read_file("/proc/self/status"):match("Umask:%s*(%d+)"), 8)
		local f = dir .. "/f"
		assert(fs.write_file(f, "old", { mode = 384 }))
		local reader <close> = fs.open(f)
		assert(fs.write_file(f, "new", { atomic = true }))
		check.eq(reader:read("a"), "old")
		check.eq(fs.read_file(f), "new")
		check.eq(fs.stat(f).mode, 384)
		assert(fs.write_file(f, "newer", { atomic = true, mode = 416 }))
		check.eq(fs.stat(f).mode, 416)
		-- umask takes from a mode, as it does where a file is made.
		for _, name in ipairs { "/m", "/m", "/n" } do
			assert(fs.write_file(dir .. name, "m", { atomic = name == "/m", mode = 511 }))
			check.eq(fs.stat(dir .. name).mode, 511 & ~umask)
			assert(fs.write_file(dir .. name, "m", { atomic = name == "/m" }))
			check.eq(fs.stat(dir .. name).mode, 511 & ~umask)
		end
		fs.remove(dir .. "/m") fs.remove(dir .. "/n")
		-- A link stays one.
		assert(fs.symlink("f", dir .. "/l"))
		assert(fs.write_file(dir .. "/l", "through", { atomic = true }))
		check.eq(fs.lstat(dir .. "/l").type, "link")
		check.eq(fs.read_file(f), "through")
		-- What fails leaves nothing behind.
		assert(fs.mkdir(dir .. "/d"))
		failed("EISDIR", fs.write_file(dir .. "/d", "x", { atomic = true }))
		local names = {}
		for name in fs.scandir(dir) do names[#names + 1] = name end
		check.eq(table.concat(names, " "), "d f l")
	]])

	test("are copied with their permissions, and not into themselves", [[
		local data = ("copy"):rep(100000)
		assert(fs.write_file(dir .. "/f", data, { mode = 320 }))
		assert(fs.write_file(dir .. "/g", "something longer before"))
		assert(fs.copy(dir .. "/f", dir .. "/g"))
		check.eq(fs.read_file(dir .. "/g") == data, true)
		check.eq(fs.stat(dir .. "/g").mode, 320)
		failed("EINVAL", fs.copy(dir .. "/f", dir .. "/f"))
		check.eq(fs.read_file(dir .. "/f") == data, true)
		failed("EISDIR", fs.copy(dir, dir .. "/h"))
		local why = failed("ENOENT", fs.copy(dir .. "/none", dir .. "/h"))
		check.eq(why, dir .. "/none -> " .. dir .. "/h: no such file or directory")
		assert(fs.copy("/proc/self/status", dir .. "/h"))
		check.eq(#fs.read_file(dir .. "/h") > 100, true)
	]])
end)

describe("directories", function()
	test("are made, listed, walked and removed", [[
		assert(fs.mkdirs(dir .. "/a/b//c/"))
		assert(fs.mkdirs(dir .. "/a"))
		failed("EEXIST", fs.mkdir(dir .. "/a"))
		assert(fs.write_file(dir .. "/a/z", ""))
		failed("EEXIST", fs.mkdirs(dir .. "/a/z"))
		failed("ENOTDIR", fs.mkdirs(dir .. "/a/z/y"))
		assert(fs.symlink("/etc", dir .. "/a/link"))
		local found = {}
		for name, type in fs.scandir(dir .. "/a") do found[#found + 1] = name .. ":" .. type end
		check.eq(table.concat(found, " "), "b:directory link:link z:file")
		found = {}
		for path, type, err in fs.walk(dir) do
			check.eq(err, nil)
			found[#found + 1] = path:sub(#dir + 1) .. ":" .. type
		end
		check.eq(table.concat(found, " "), ":directory /a:directory /a/b:directory /a/b/c:directory /a/link:link /a/z:file")
		for path, type in fs.walk(dir .. "/a/z") do
			check.eq(path .. type, dir .. "/a/zfile")
		end
		failed("ENOENT", fs.scandir(dir .. "/none"))
		failed("ENOENT", fs.walk(dir .. "/none"))
		failed("ENOTDIR", fs.scandir(dir .. "/a/z"))
		failed("ENOTEMPTY", fs.remove(dir .. "/a"))
		check.eq(fs.remove(dir .. "/a/b/c"), true)
		check.eq(fs.remove(dir .. "/a/link"), true)
		assert(fs.symlink(dir .. "/a", dir .. "/way"))
		check.eq(fs.remove_all(dir .. "/way"), true)
		check.eq(fs.stat(dir .. "/a").type, "directory")
		check.eq(fs.remove_all(dir .. "/a"), true)
		check.eq(fs.stat(dir .. "/a"), nil)
	]])

	test("with many names and deep ones", [[
		local n = check.scaled(2000)
		for i = 1, n do assert(fs.write_file(("%s/%05d"):format(dir, i), "")) end
		local k = 0
		for name in fs.scandir(dir) do
			k = k + 1
			check.eq(name, ("%05d"):format(k))
		end
		check.eq(k, n)
		assert(fs.mkdirs(dir .. ("/deep"):rep(100)))
		check.eq(fs.remove_all(dir .. "/deep"), true)
	]])

	test("that cannot be read are told of in the middle of a walk", [[
		assert(fs.mkdirs(dir .. "/a/gone"))
		assert(fs.mkdirs(dir .. "/b"))
		local found = {}
		for path, type, err, code in fs.walk(dir) do
			if path == dir .. "/a" then assert(fs.remove(dir .. "/a/gone")) assert(fs.write_file(dir .. "/a/gone", "")) end
			found[#found + 1] = path:sub(#dir + 1) .. ":" .. (code or type)
		end
		check.eq(table.concat(found, " "), ":directory /a:directory /a/gone:ENOTDIR /b:directory")
	]])
end)

describe("names", function()
	test("are moved, linked and resolved", [[
		assert(fs.write_file(dir .. "/f", "f"))
		check.eq(fs.rename(dir .. "/f", dir .. "/g"), true)
		check.eq(fs.link(dir .. "/g", dir .. "/h"), true)
		check.eq(fs.stat(dir .. "/h").nlink, 2)
		check.eq(fs.symlink("h", dir .. "/s"), true)
		check.eq(fs.readlink(dir .. "/s"), "h")
		check.eq(fs.realpath(dir .. "/./s"), fs.realpath(dir) .. "/h")
		local long = ("x"):rep(3000)
		check.eq(fs.symlink(long, dir .. "/long"), true)
		check.eq(fs.readlink(dir .. "/long"), long)
		failed("ENOENT", fs.realpath(dir .. "/none"))
		failed("EINVAL", fs.readlink(dir .. "/g"))
		local st = fs.stat(dir .. "/g")
		check.eq(st.type, "file")
		check.eq(st.size, 1)
		check.eq(math.abs(st.mtime - os.time()) < 100, true)
		check.eq(fs.lstat(dir .. "/s").type, "link")
		local f, path = fs.mkstemp(dir .. "/t.XXXXXX")
		check.eq(f:stat().mode, 384)
		check.eq(fs.stat(path).ino, f:stat().ino)
		for name, value in pairs(f:stat()) do check.eq(f:stat(name), value) end
		check.returns(table.pack(f:stat("mode", "type", "mode")), 384, "file", 384)
		check.raises("bad argument #2 to 'stat' %(no field 'name'%)", f.stat, f, "size", "name")
		check.raises("bad argument #1 to 'stat' %(string expected, got boolean%)", f.stat, f, true)
		f:close()
		failed("ENOENT", fs.mkstemp(dir .. "/none/t.XXXXXX"))
	]])
end)

describe("a watch", function()
	test("tells what happens in a directory", [[
		local ch = assert(fs.watch(dir))
		local function event(kind, name, from)
			local e
			repeat e = assert(ch:recv(20)) until e.type ~= "change" or kind == "change"
			check.eq(e.type, kind)
			check.eq(e.name, name)
			check.eq(e.from, from)
		end
		assert(fs.write_file(dir .. "/f", "x"))
		event("create", "f")
		event("change", "f")
		assert(fs.rename(dir .. "/f", dir .. "/g"))
		event("rename", "g", "f")
		assert(fs.remove(dir .. "/g"))
		event("remove", "g")
		assert(fs.mkdir(dir .. "/sub"))
		event("create", "sub")
		assert(fs.write_file(dir .. "/sub/below", ""))
		assert(fs.rename(dir .. "/sub/below", dir .. "/came"))
		event("create", "came")
		assert(fs.rename(dir .. "/came", dir .. "/sub/left"))
		event("remove", "came")
		ch:close()
		check.returns(table.pack(ch:recv()), nil, "closed")
	]])

	test("follows a file that is replaced, and one that is not there yet", [[
		local f = dir .. "/f"
		local ch = assert(fs.watch(f))
		assert(fs.write_file(dir .. "/other", "x"))
		assert(fs.write_file(f, "x"))
		check.eq(assert(ch:recv(20)).type, "create")
		check.eq(assert(ch:recv(20)).type, "change")
		for i = 1, 3 do
			assert(fs.write_file(f, "y" .. i, { atomic = true }))
			local e
			repeat e = assert(ch:recv(20)) until e.type ~= "change"
			check.eq(e.type, "rename")
			check.eq(e.name, "f")
			check.eq(e.from:match("^f%.%w+$") ~= nil, true)
		end
		failed("ENOENT", fs.watch(dir .. "/none/f"))
	]])

	test("ends when its directory goes, with its channel, and with the last handle of it", [[
		local before = fds()
		assert(fs.mkdir(dir .. "/d"))
		local ch = assert(fs.watch(dir .. "/d"))
		check.until_true(function() return fds() == before + 1 end)
		assert(fs.remove(dir .. "/d"))
		check.eq(assert(ch:recv(20)).type, "remove")
		check.returns(table.pack(ch:recv(20)), nil, "closed")
		check.until_true(function() return fds() == before end)
		local list = {}
		for i = 1, 300 do list[i] = assert(fs.watch(dir)) end -- more than inotify descriptors are to be had
		check.until_true(function() return fds() == before + 1 end)
		for i = 1, 299 do list[i]:close() end
		list = { list[300] }
		assert(fs.write_file(dir .. "/f", ""))
		check.eq(assert(list[1]:recv(20)).type, "create")
		list = nil
		collectgarbage()
		collectgarbage()
		check.until_true(function() return fds() == before end)
	]])

	test("is hope for who waits in it, and none for others nor once it is closed", [[
		local ch = assert(fs.watch(dir))
		check.raises("deadlock", function() chan():recv() end)
		check.returns(table.pack(ch:recv(0.05)), nil, "timeout")
		vai.timer(0.05, function(path) assert(vai.fs.write_file(path, "")) end, dir .. "/f")
		check.eq(assert(ch:recv()).name, "f")
		ch:close()
		check.raises("deadlock", function() chan():recv() end)
	]])
end)

describe("goroutines in file calls", function()
	test("do not hold up the others, main's thread included", [[
		assert(os.execute("mkfifo " .. dir .. "/pipe"))
		local opener = vai.async(function(path) local f = assert(fs.open(path)) f:close() return "opened" end, dir .. "/pipe")
		local n = 0
		for _ = 1, 50 do
			vai.sleep(0.001)
			n = n + 1
		end
		check.eq(n, 50)
		assert(fs.open(dir .. "/pipe", "w")):close()
		check.returns(table.pack(opener:join()), true, "opened")
	]])

	test("end after the call when they are canceled, and leave nothing", [[
		local before, tasks = fds(), {}
		for i = 1, check.scaled(50) do
			tasks[i] = vai.async(function(path)
				while true do
					local f <close> = assert(fs.open(path, "w"))
					f:write("x")
					assert(fs.write_file(path .. ".a", "y", { atomic = true }))
				end
			end, dir .. "/" .. i)
		end
		vai.sleep(0.02)
		for _, t in ipairs(tasks) do t:cancel() end
		for _, t in ipairs(tasks) do check.returns(table.pack(t:join()), false, "canceled") end
		collectgarbage()
		check.until_true(function() return fds() == before end)
		for name in fs.scandir(dir) do
			check.eq(name:find("XXXXXX") == nil and name:match("^%d+$") ~= nil or name:match("^%d+%.a$") ~= nil, true, name)
		end
	]])
end)

-- SPDX-License-Identifier: MIT
-- C calls that take long hold nobody else up, with a single P too, and main neither. A program that
-- would be held up ends only when its limit of time does.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")
local test = program.test

-- Calls that wait until the file `gate` is there, each in its own way. Others must go on to make it.
local waits = {
	["os.execute"] = [[os.execute("while [ ! -e " .. gate .. " ]; do sleep 0.02; done")]],
	["reading a pipe"] = [[
		local p = io.popen("while [ ! -e " .. gate .. " ]; do sleep 0.02; done; echo open")
		assert(p:read("l") == "open")
		p:close()
	]],
	["closing a pipe"] = [[io.popen("while [ ! -e " .. gate .. " ]; do sleep 0.02; done"):close()]],
	["lines of a pipe"] = [[
		for l in io.popen("while [ ! -e " .. gate .. " ]; do sleep 0.02; done; echo open"):lines() do
			assert(l == "open")
		end
	]],
}

local setup = [[
	local gate = check.temp()
	local function open_gate()
		local f <close> = io.open(gate, "w")
	end
]]

for name, call in pairs(waits) do
	describe(name, function()
		test("in many goroutines lets another open the gate", setup .. ([[
			local wg = waitgroup()
			for _ = 1, 8 do
				wg:go(function() %s end)
			end
			wg:go(function()
				for _ = 1, 1000 do vai.yield() end
				open_gate()
			end)
			wg:wait()
			os.remove(gate)
		]]):format(call))

		test("in many goroutines lets main open the gate", setup .. ([[
			local wg = waitgroup()
			for _ = 1, 8 do
				wg:go(function() %s end)
			end
			for _ = 1, 10 do vai.sleep(0.001) end
			open_gate()
			wg:wait()
			os.remove(gate)
		]]):format(call))

		test("in main lets a goroutine open the gate", setup .. ([[
			local wg = waitgroup()
			wg:go(function()
				for _ = 1, 1000 do vai.yield() end
				open_gate()
			end)
			%s
			wg:wait()
			os.remove(gate)
		]]):format(call))

		test("lets timers go on", setup .. ([[
			local wg = waitgroup()
			for _ = 1, 4 do
				wg:go(function() %s end)
			end
			vai.timer(0.05, open_gate)
			wg:wait()
			os.remove(gate)
		]]):format(call))
	end)
end

describe("standard input", function()
	for _, call in ipairs { "io.read()", "io.stdin:read()", "for _ in io.lines() do end", "for _ in io.stdin:lines() do end" } do
		test("that does not come holds nobody up: " .. call, ([[
			local script = arg[0] .. ".child"
			do
				local f <close> = io.open(script, "w")
				f:write([=[
					local vai = require "vai"
					vai.go(function() %s end)
					for _ = 1, 20 do vai.sleep(0.002) end
					vai.async(function() assert(io.popen("true"):close()) end):join()
					assert(io.open(arg[0])):close()
					print("done")
				]=])
			end
			local lua = os.getenv("LUA") or "lua5.4"
			local out = io.popen("{ sleep 100 & echo $!; wait; } | { read pid; " .. lua .. " " .. script .. "; kill $pid; }")
			check.eq(out:read("l"), "done")
			out:close()
			os.remove(script)
		]]):format(call))
	end
end)

describe("standard output", function()
	for _, call in ipairs { "print(('x'):rep(1000))", "io.write(('x'):rep(100000))", "io.stdout:write(('x'):rep(100000), 1.5)",
		"io.write('x')" } do
		test("that nobody reads holds nobody up: " .. call, ([[
			local script, done = arg[1] .. "/child.lua", arg[1] .. "/done"
			do
				local f <close> = io.open(script, "w")
				f:write([=[
					local vai = require "vai"
					for _ = 1, 4 do vai.go(function() while true do %s end end) end
					for _ = 1, 20 do vai.sleep(0.002) end
					io.open(arg[1], "w"):close()
				]=])
			end
			local lua = os.getenv("LUA") or "lua5.4"
			local out = io.popen(("exec timeout -k 5 600 %%s %%s %%s"):format(lua, script, done))
			local found
			repeat
				vai.sleep(0.01)
				found = io.open(done)
			until found
			found:close()
			out:close()
		]]):format(call))
	end
end)

describe("os.execute", function()
	test("gives what stock gives", [[
		local function all()
			local t = {}
			for _, c in ipairs { "true", "exit 3", "kill -9 $$", "nonesuch_command 2>/dev/null" } do
				local ok, how, n = os.execute(c)
				t[#t + 1] = ("%s %s %s"):format(ok, how, n)
			end
			t[#t + 1] = tostring(os.execute())
			return table.concat(t, ", ")
		end
		local expected = "true exit 0, nil exit 3, nil signal 9, nil exit 127, true"
		check.eq(all(), expected)
		local ok, got = vai.async(all):join()
		check.eq(got, expected)
		check.eq(table.pack(os.execute("true")).n, 3)
		check.raises("string expected", os.execute, {})
	]])
end)

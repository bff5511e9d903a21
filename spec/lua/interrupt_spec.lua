-- SPDX-License-Identifier: MIT
-- Ctrl-C while main waits: the wait ends, "interrupted!" is raised there, to-be-closed variables are closed. (The
-- signal is sent by a child of io.popen: os.execute would ignore it meanwhile.)
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- interrupt(how) sends the signal once main waits, or, how == "computes", once it has closed `ready`.
local test = program.tester [[
	local pid = io.open("/proc/self/stat"):read("n")
	local ready, folder = chan(), arg[1]
	local function main_waits()
		assert(vai.dump(folder .. "/dump"))
		local f <close> = assert(io.open(folder .. "/dump"))
		local state = f:read("a"):match("goroutine 1 %[([%a ]*)")
		return state:find("^run") == nil and state ~= "in a C call"
	end
	local function interrupt(how)
		if how == "computes" then ready:recv() else check.until_true(main_waits) end
		io.popen("kill -INT " .. pid):close()
	end
	local function closing(text)
		return setmetatable({}, { __close = function() io.write(text, "\n") end })
	end
]]

local waits = {
	["in recv"] = "chan():recv()",
	["in recv with a timeout"] = "chan():recv(1000)",
	["in send"] = "chan():send(1)",
	["in a loop over a channel"] = "for _ in chan() do end",
	["in select"] = "select { chan(), chan(), timeout = 1000 }",
	["in sleep"] = "vai.sleep(1000)",
	["in join"] = "vai.async(function() chan():recv(1000) end):join()",
	["in a wait group"] = "local wg = waitgroup() wg:go(function() chan():recv(1000) end) wg:wait()",
	["in a coroutine"] = "coroutine.wrap(function() local c <close> = closing 'inner' chan():recv() end)()",
}

describe("Ctrl-C while main waits", function()
	for name, wait in pairs(waits) do
		local inner = wait:find("inner") and "inner\n" or ""
		test(name, [[
			local c <close> = closing "closed"
			go(interrupt)
			go(function() while true do vai.sleep(0.01) end end)
		]] .. wait, { status = 1, out = inner .. "closed\n", err = "interrupted!" })
	end

	test("can be caught, and main goes on", [[
		local keep = go(function() while true do vai.sleep(0.01) end end)
		go(interrupt)
		local ok, err = pcall(function() chan():recv() end)
		check.eq(ok, false)
		assert(err:find "interrupted!", err)
		local ch = chan(1)
		for i = 1, 100 do
			ch:send(i)
			check.eq(ch:recv(), i)
			vai.sleep(0.0001)
		end
		io.write "on\n"
	]], { out = "on\n" })

	test("with a goroutine that computes", [[
		local c <close> = closing "closed"
		go(interrupt)
		go(function() while true do end end)
		chan():recv()
	]], { status = 1, out = "closed\n", err = "interrupted!" })

	test("is as ever where main computes", [[
		go(interrupt, "computes")
		local c <close> = closing "closed"
		ready:close()
		while true do end
	]], { status = 1, out = "closed\n", err = "interrupted!" })

	test("ends the program at once when it is pressed again", [[
		go(interrupt)
		go(function() while true do vai.sleep(0.01) end end)
		pcall(function() chan():recv() end)
		go(interrupt)
		chan():recv()
	]], { status = 130 })
end)

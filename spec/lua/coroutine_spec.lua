-- SPDX-License-Identifier: MIT
-- What vai puts in place of coroutine.resume, wrap, close, pcall, xpcall, error, assert, debug.sethook
-- and gethook does what the stock functions do: the same cases are run by a Lua without vai, by main and by
-- a goroutine, and print the same.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

-- Each case is a line; `out` collects what it tells.
local cases = [==[
local function show(...)
	local t = table.pack(...)
	for i = 1, t.n do
		local v = t[i]
		local kind = type(v)
		t[i] = kind == "table" and "table:" .. tostring(v.tag) or (kind == "thread" or kind == "function") and kind or tostring(v)
	end
	return table.concat(t, " ")
end
local out = {}
local function say(...) out[#out + 1] = show(...) end
local create, resume, wrap = coroutine.create, coroutine.resume, coroutine.wrap
local close, yield, status = coroutine.close, coroutine.yield, coroutine.status
local function closer(name, err) return setmetatable({}, { __close = function(_, e)
	say("closing", name, e)
	if err then error(err, 0) end
end }) end

-- resume
local co = create(function(a, b) local c, d = yield(a + b, "x") local e = yield(c, d) return e, nil, nil end)
say(resume(co, 1, 2)) say(status(co)) say(resume(co, 3, nil)) say(resume(co, 4)) say(status(co)) say(resume(co)) say(resume(co, 1, 2))
say(resume(create(function() end))) say(resume(create(function(...) return select("#", ...) end), nil, nil, nil))
say(pcall(resume)) say(pcall(resume, 1)) say(pcall(resume, {})) say(pcall(resume, print, 1))
local bad = create(function() error { tag = "E" } end) say(resume(bad)) say(status(bad)) say(resume(bad)) say(close(bad)) say(status(bad))
say(resume(create(function() error("text") end))) say(resume(create(function() error("text", 0) end)))
say(resume(create(function() error() end)))
say(resume(create(function() local x = nil; return x.y end)))
say(resume(coroutine.running()))
local outer outer = create(function() local inner = create(function() say(status(outer)) return resume(outer) end)
return resume(inner) end) say(resume(outer))
local self_ self_ = create(function() return resume(self_) end) say(resume(self_))
say(resume(create(function() return table.unpack({}, 1, 200) end)) == true)
local function crowded(f, ...) local ok, e = f() return ok, e, select("#", ...) end
say(crowded(function() return resume(create(function() return table.unpack({}, 1, 800000) end)) end, table.unpack({}, 1, 300000)))
local full = create(function(...) yield() end) resume(full, table.unpack({}, 1, 450000))
say(crowded(function() return resume(full, table.unpack({}, 1, 450000)) end))
say(crowded(function() return pcall(wrap(function() return table.unpack({}, 1, 800000) end)) end, table.unpack({}, 1, 300000)))
say(select("#", resume(create(function(...) return ... end), table.unpack({}, 1, 5000))))
local deep = create(function() local function f(n) return n == 0 and yield("deep") or f(n - 1) + 1 end return f(1000) end)
say(resume(deep)) say(resume(deep, 5))
local function nest(n) return n == 0 and "bottom" or select(2, resume(create(nest), n - 1)) end say(nest(100))
say(#tostring(nest(250)) > 0)
local over = select(2, resume(create(function() local function f() return 1 + f() end return f() end))) say(over:match("stack overflow"))
local cover local function nestover(n) local ok, e = resume(create(nestover), n + 1) if not ok then cover = cover or e end
return e end nestover(1) say(cover)

-- tables as messages, yields over pcall, metamethods, iterators
say(resume(create(function() return pcall(yield, 1) end)))
co = create(function() return pcall(function() yield(1) error({ tag = "over" }) end) end) say(resume(co)) say(resume(co))
co = create(function() return xpcall(function() yield(1) error("h") end, function(m) return "handled " .. m end) end)
say(resume(co)) say(resume(co))
co = create(function() return pcall(pcall, function() return yield("pp") end) end) say(resume(co)) say(resume(co, "back"))
co = create(function() local mt = setmetatable({}, { __add = function(a, b) return yield("add") end, __index = function(_, k)
return yield(k) end }) return mt + 1, mt.key end) say(resume(co)) say(resume(co, 7)) say(resume(co, 8))
co = create(function() for v in function() return yield("it") end do say("got", v) end end) say(resume(co)) say(resume(co, 1))
say(resume(co, nil))
co = create(function() return table.concat({ pcall(table.sort, { 3, 2, 1 }, function(a, b) yield()
return a < b end) } and { "sorted" }) end) say(resume(co))
say(coroutine.isyieldable()) say(resume(create(coroutine.isyieldable))) say(select(2, coroutine.running()) ~= nil)
say(resume(create(function() local c, main = coroutine.running() return c, main end)))

-- wrap
local w = wrap(function(...) local x = yield(...) return x, "end" end) say(w(1, 2)) say(w("in")) say(pcall(w)) say(pcall(w, 1))
say(pcall(wrap)) say(pcall(wrap, 1)) say(pcall(wrap(function() error("in wrap") end)))
say(pcall(wrap(function() error("no position", 0) end)))
say(pcall(wrap(function() error({ tag = "T" }) end))) say(pcall(wrap(function() error(nil) end))) say(pcall(wrap(function()
local s = "x" return s.y.z end)))
local function g1() local v = wrap(function() error("deeper") end)() return v end say(pcall(g1))
w = wrap(function() local a <close> = closer("a") local b <close> = closer("b", "from b") error("first") end) say(pcall(w))
w = wrap(function() local a <close> = closer("c") yield(1) error({ tag = "obj" }) end) say(w()) say(pcall(w)) say(pcall(w))
for v in wrap(function() for i = 1, 3 do yield(i) end end) do say("for", v) end
local ww ww = wrap(function() return ww() end) say(pcall(ww))
say(pcall(string.gsub, "ab", ".", wrap(function(c) while true do c = yield(c .. c) end end)))

-- close
co = create(function() local x <close> = closer("x") yield(1) end) resume(co) say(close(co)) say(status(co)) say(close(co))
say(resume(co))
co = create(function() local x <close> = closer("y", "bad close") yield(1) end) resume(co) say(close(co)) say(status(co)) say(close(co))
co = create(function() local x <close> = closer("z") local y <close> = closer("y2", "bad") yield(1) end) resume(co) say(close(co))
co = create(function() local x <close> = closer("late") error("early", 0) end) say(resume(co)) say(close(co)) say(close(co))
say(close(create(print))) say(pcall(close)) say(pcall(close, 1)) say(pcall(close, coroutine.running()))
co = create(function() return pcall(close, co) end) say(resume(co))
co = create(function() local inner = create(function() return pcall(close, co) end) return resume(inner) end) say(resume(co))

-- pcall, xpcall, error, assert
say(pcall(pcall)) say(pcall(print == nil)) say(pcall(nil)) say(pcall(1)) say(pcall(error)) say(pcall(error, nil))
say(pcall(error, "m")) say(pcall(error, "m", 1)) say(pcall(error, "m", 2)) say(pcall(error, { tag = 1 }))
say(pcall(function() error("p") end)) say(pcall(function() error("p", 2) end)) say(pcall(function() error("p", 3) end))
say(pcall(function() error(12) end))
say(pcall(function(...) return ... end, 1, nil, nil)) say(pcall(pcall)) say(pcall(pcall, error, "e")) say(pcall(function()
return pcall(error, "in") end))
say(pcall(xpcall)) say(pcall(xpcall, print)) say(pcall(xpcall, print, 1)) say(xpcall(function(...)
return ... end, print, 1, nil)) say(xpcall(error, function(m) return m, "second" end, "msg"))
say(xpcall(function() error({ tag = "o" }) end, function(m) return m end)) say(xpcall(function() local x = nil; x() end,
function(m) return "H:" .. m end)) say(xpcall(nil, function(m) return "N:" .. m end))
say(xpcall(error, error)) say((select(2, xpcall(error, function() error("again") end))) ~= nil)
say(xpcall(function() error("tb") end, function(m) return (debug.traceback(m, 1):gsub("\n.*", "")) end))
say((select(2, xpcall(function() error("tb2") end, debug.traceback)):match("^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*")))
say(select(2, pcall(function() local a <close> = closer("p1", "e1") local b <close> = closer("p2", "e2") error("e0", 0) end)))
say(pcall(assert)) say(pcall(assert, false)) say(pcall(assert, nil, "am")) say(pcall(assert, nil, { tag = "at" }))
say(pcall(assert, false, nil)) say(assert(1, 2, nil)) say(pcall(assert, nil, 5, 6))
say(pcall(string.rep)) say(pcall(string.rep, "x", -1)) say(pcall(setmetatable, 1))
say(pcall(string.rep, "x", 1 << 40)) say(pcall(error, "not enough memory"))
say(select(2, pcall(function() local function f() return pcall(f) end return f() end)) ~= nil)

-- hooks
local lines = {} debug.sethook(function(e, l) lines[#lines + 1] = e .. tostring(l ~= nil) end, "l")
local h1 = 1
debug.sethook() say(#lines, lines[1]) say(debug.gethook())
local n = 0 debug.sethook(function(e) n = n + (e == "count" and 1 or 100000) end, "", 10) for i = 1, 1000 do local x = i end
debug.sethook() say(n >= 100 and n <= 500)
n = 0 debug.sethook(function(e) n = n + 1 end, "", 2500) for i = 1, 10000 do local x = i end debug.sethook() say(n)
local f1 = function() end debug.sethook(f1, "crl", 7) local a1, a2, a3 = debug.gethook() debug.sethook() say(a1 == f1, a2, a3)
debug.sethook(f1, "r") a1, a2, a3 = debug.gethook() debug.sethook(nil) say(a1 == f1, a2, a3)
debug.sethook(f1, "") say(debug.gethook()) debug.sethook(f1, "", 5) a1, a2, a3 = debug.gethook() debug.sethook() say(a1 == f1, a2, a3)
local calls = {} debug.sethook(function(e) calls[#calls + 1] = e end, "cr") local function tail() return f1() end tail()
debug.sethook() say(table.concat(calls, ","))
local names = {} debug.sethook(function() names[#names + 1] = debug.getinfo(2, "n").name or "?" end, "c") f1() debug.sethook()
say(table.concat(names, ","))
local hco = create(function() local x = 1 yield() x = 2 yield() end) local hl = 0 debug.sethook(hco,
function() hl = hl + 1 end, "l") resume(hco) say(hl > 0) say(debug.gethook()) say((select(2, debug.gethook(hco))))
debug.sethook(hco) local before = hl resume(hco) say(hl == before) say(debug.gethook(hco))
local hok, herr = pcall(function() debug.sethook(function() debug.sethook() error("from hook") end, "l")
	local y = 1 end) say(hok, herr) say(debug.gethook())
say(pcall(debug.sethook, 1)) say(pcall(debug.sethook, print)) say(pcall(debug.sethook, print, 1, "x"))
say(pcall(debug.sethook, create(print), 1, "l"))
debug.sethook(f1, "l") local child = create(f1) debug.sethook() say(select("#", debug.gethook(child)), (debug.gethook(child)))
]==]

local run_on_main = cases .. "\nprint(table.concat(out, '\\n'))"
local run_in_goroutine = "local text = function() " .. cases .. "\nreturn table.concat(out, '\\n') end "

-- Programs lie in folders of their own.
local function lines_of(text)
	local lines = {}
	for line in text:gsub("[%w/_.]*/program%.lua", "program.lua"):gmatch("([^\n]*)\n") do
		lines[#lines + 1] = line
	end
	return lines
end

-- The first few lines that differ, or nil.
local function difference(got, want)
	local found = {}
	for i = 1, math.max(#got, #want) do
		if got[i] ~= want[i] and #found < 5 then
			found[#found + 1] = ("line %d is %s, stock Lua says %s"):format(i, tostring(got[i]), tostring(want[i]))
		end
	end
	return found[1] and table.concat(found, "\n")
end

describe("coroutines, protected calls and hooks", function()
	local reference
	local function check(name, source, opts)
		program.it(name, function()
			reference = reference or program.run(run_on_main, { raw = true })
			assert(reference.status == 0, reference.err)
			local got = program.run(source, opts)
			local wrong = program.verdict(got) or difference(lines_of(got.out), lines_of(reference.out))
			program.discard(got, wrong)
			return wrong
		end, name:match("^as stock's ([^%[]*) "))
	end
	local places = {
		{ "on main", 'require "vai" ' .. run_on_main },
		{ "in a goroutine",
			'local vai = require "vai" ' .. run_in_goroutine .. "local _, s = vai.async(text):join() print(s)" },
		{ "in a busy goroutine", 'local vai = require "vai" ' .. run_in_goroutine ..
			"for i = 1, 4 do vai.go(function() while true do vai.yield() end end) end " ..
			"local _, s = vai.async(text):join() print(s)" },
	}
	-- Each mode in each place, with one number of processors or the other.
	for i, mode in ipairs({ "signal", "count", "off" }) do
		for k, place in ipairs(places) do
			for n = 1, 2 do
				if program.whole or n == (i + k) % 2 + 1 then
					check(("as stock's %s [%s %d]"):format(place[1], mode, n), place[2],
						{ raw = true, procs = n, env = { VAI_PREEMPT = mode }, timeout = 60 })
				end
			end
		end
	end
end)

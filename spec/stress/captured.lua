-- SPDX-License-Identifier: MIT
-- spec/stress/captured.lua: functions of C and Lua modules as Debian has them, captured as locals by 64 goroutines that
-- have not opened these modules: `local P = require "lpeg".P` at the top of a script. What each gives is compared.
-- Modules that are not installed are left out, and named.
local vai = require "vai"

local n = tonumber(os.getenv "VAI_STRESS_GOROUTINES" or 64)
local uses, absent = {}, {}

-- make(module) gives what a goroutine is to run; its results, as text, are compared with `want`.
local function use(name, want, make)
	local ok, module = pcall(require, name)
	if ok then
		uses[#uses + 1] = { name = name, want = want, run = make(module) }
	else
		absent[#absent + 1] = name
	end
end

use("lpeg", "abc 2", function(m)
	local P, R, C, match = m.P, m.R, m.C, m.match
	return function() return (C(R "az" ^ 1) * P "!"):match "abc!", match(P "a", "a") end
end)
use("lfs", "directory true", function(m)
	local attributes, dir = m.attributes, m.dir
	return function()
		local seen = false
		for name in dir "/" do seen = seen or name == "usr" end
		return attributes("/", "mode"), seen
	end
end)
use("cjson", "[1,2] true", function(m)
	local encode, decode, null = m.encode, m.decode, m.null
	return function() return encode(decode "[1,2]"), decode "[null]"[1] == null end
end)
use("socket", "closed true true", function(m)
	local tcp, udp, gettime, select = m.tcp, m.udp, m.gettime, m.select
	return function()
		local c, u = tcp(), udp()
		local state = tostring(c):match "tcp" and "closed"
		local ready = u:setsockname("127.0.0.1", 0) and #select({ u }, nil, 0) == 0
		c:close()
		u:close()
		return state, ready, gettime() > 0
	end
end)
use("socket.core", "true", function(m)
	local dns, tcp = m.dns, m.tcp
	return function() return tcp():close() == 1 and dns.toip "127.0.0.1" == "127.0.0.1" end
end)
use("mime", "aGVsbG8= hello", function(m)
	local b64, unb64 = m.b64, m.unb64
	return function() return (b64 "hello"), (unb64 "aGVsbG8=") end
end)
use("ltn12", "abc", function(m)
	local sink, pump, source = m.sink.table, m.pump.all, m.source.string
	return function()
		local out = {}
		pump(source "abc", (sink(out)))
		return table.concat(out)
	end
end)
use("luasql.sqlite3", "0 7", function(m)
	local new = m.sqlite3
	return function()
		local env = new()
		local con = env:connect ":memory:"
		local made = math.tointeger(con:execute "create table t(a)")
		con:execute "insert into t values (7)"
		local cursor = con:execute "select a from t"
		local a = cursor:fetch()
		cursor:close()
		con:close()
		env:close()
		return made, a
	end
end)
use("luv", "ran", function(m)
	local new_timer, run = m.new_timer, m.run
	return function()
		local timer, did = new_timer(), "not"
		timer:start(1, 0, function() did = "ran" timer:close() end)
		run()
		return did
	end
end)
use("lxp", "a 1", function(m)
	local new = m.new
	return function()
		local seen = {}
		local p = new { StartElement = function(_, name, a) seen = { name, a.x } end }
		p:parse "<a x='1'/>"
		p:parse()
		p:close()
		return seen[1], seen[2]
	end
end)
use("rex_pcre2", "aa a", function(m)
	local new, match = m.new, m.match
	return function() return new "a+":match "aa", match("xay", "a") end
end)
use("zlib", "true abcabcabc", function(m)
	local deflate, inflate = m.deflate, m.inflate
	return function()
		local packed = deflate()("abcabcabc", "finish")
		return #packed > 0, (inflate()(packed))
	end
end)
use("openssl.digest", "32", function(m)
	local new = m.new
	return function() return #new "sha256":final "x" end
end)
use("cqueues", "true", function(m)
	local new, sleep = m.new, m.sleep
	return function()
		local q = new()
		q:wrap(function() sleep(0.001) end)
		return (q:loop())
	end
end)
use("ssl", "true", function(m)
	local newcontext = m.newcontext
	return function() return newcontext { mode = "client", protocol = "any" } ~= nil end
end)
use("lcurl", "true", function(m)
	local easy = m.easy
	return function()
		local e = easy()
		e:setopt_url "file:///dev/null"
		local done = e:perform() ~= nil
		e:close()
		return done
	end
end)
use("posix.unistd", "true true", function(m)
	local pipe, getpid, close = m.pipe, m.getpid, m.close
	return function()
		local r, w = pipe()
		close(r)
		close(w)
		return r > 2, getpid() > 0
	end
end)
use("posix.dirent", "true", function(m)
	local files = m.files
	return function()
		for name in files "/" do if name == "usr" then return true end end
	end
end)
use("yaml", "STREAM_START", function(m)
	local parser = m.parser
	return function() return parser "a: 1"().type end
end)
use("iconv", "x", function(m)
	local new = m.new
	return function() return (new("utf-8", "ascii"):iconv "x") end
end)
use("md5", "9dd4e461268c8034f5c8564e155c67a6", function(m)
	local sumhexa = m.sumhexa
	return function() return sumhexa "x" end
end)
use("system", "true", function(m)
	local gettime, sleep = m.gettime, m.sleep
	return function() sleep(0.001) return gettime() > 0 end
end)
use("dkjson", "[1,null] true", function(m)
	local encode, null, decode = m.encode, m.null, m.decode
	return function() return encode { 1, null }, decode("[null]", 1, null)[1] == null end
end)
use("pl.class", "3", function(m)
	return function()
		local A = m()
		function A:_init(x) self.x = x end
		return A(3).x
	end
end)
use("pl.stringx", "3", function(m)
	local split = m.split
	return function() return #split "a b c" end
end)
use("inspect", "{ 1 }", function(m)
	return function() return m { 1 } end
end)

local function text(...)
	local words = table.pack(...)
	for i = 1, words.n do words[i] = tostring(words[i]) end
	return table.concat(words, " ")
end

local tasks = {}
for i = 1, n do
	tasks[i] = vai.async(function()
		for k = 0, #uses - 1 do
			local u = uses[(i + k) % #uses + 1]
			local got = text(u.run())
			if got ~= u.want then error(("%s: got %s, want %s"):format(u.name, got, u.want), 0) end
			vai.yield()
		end
		return #uses
	end)
end
local failed = 0
for i = 1, n do
	local ok, err, trace = tasks[i]:join()
	if not ok then
		failed = failed + 1
		if failed <= 5 then print("goroutine " .. i .. ": " .. tostring(err) .. "\n" .. (trace or "")) end
	end
end
print(("%d goroutines used %d modules, without: %s"):format(n, #uses, table.concat(absent, " ")))
os.exit(failed == 0)

-- SPDX-License-Identifier: MIT
-- Counts the words of files in several processes, which may as well be on several machines:
--
--   lua5.4 examples/cluster.lua [--workers N] [--top K] [--kill] FILE...
--
--   this process ── stream PIECES ──> workers ── stream COUNTS ──> this process
--
-- A server of NATS between them keeps both streams. A worker acknowledges a piece after its counts are stored, so the
-- piece of one that dies is given to another; and the counts have the piece's number as their id, so that those of a
-- piece that was counted twice are stored once. --kill kills the first worker when it has sent a third of all pieces'
-- counts or so: the result is the same. The server is started here; workers on other machines would get its address:
--
--   lua5.4 examples/cluster.lua --worker nats://HOST:4222
local vai = require("vai")
local nats = require("vai.nats")

local PIECE = 256 -- bytes; for real text, some hundred thousand
local ACK_WAIT = 2 -- seconds until the piece of a dead worker is another's

local function fail(message)
	io.stderr:write("cluster: ", message, "\n")
	os.exit(2)
end

-- ---- a worker ----

local function count(text)
	local counts = {}
	for word in text:lower():gmatch("%a+") do
		counts[word] = (counts[word] or 0) + 1
	end
	return counts
end

local function work(url)
	local nc = assert(nats.connect(url))
	local pieces = assert(nc:stream("PIECES", { durable = "workers", ack_wait = ACK_WAIT, batch = 2 }))
	local counts = assert(nc:stream("COUNTS"))
	for m in pieces do
		local piece = m.value
		assert(counts:send({ piece = piece.number, words = count(piece.text) }, nil, { id = "piece " .. piece.number }))
		m:ack()
	end
end

-- ---- the server ----

local function free_port()
	local l = assert(vai.net.listen("tcp", "127.0.0.1:0"))
	local port = l:addr():match("%d+$")
	l:close()
	return port
end

local function start_server(dir)
	local port = free_port()
	local process, why = vai.process.spawn({ "nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", dir,
		stdout = "null", stderr = "null" })
	if not process then
		fail("nats-server: " .. why)
	end
	local url = "nats://127.0.0.1:" .. port
	for _ = 1, 1000 do
		local nc = nats.connect(url)
		if nc then
			return process, url, nc
		end
		vai.sleep(0.01)
	end
	fail("nats-server does not answer")
end

-- ---- this process ----

local function options(args)
	local o = { workers = 3, top = 10, files = {} }
	local i = 1
	while i <= #args do
		local a = args[i]
		if a == "--workers" or a == "--top" then
			i = i + 1
			o[a:sub(3)] = math.tointeger(tonumber(args[i] or "")) or fail(a .. " needs a number")
		elseif a == "--worker" then
			i = i + 1
			o.worker = args[i] or fail("--worker needs the address of a server")
		elseif a == "--kill" then
			o.kill = true
		else
			o.files[#o.files + 1] = a
		end
		i = i + 1
	end
	return o
end

-- Pieces of a text that end between words.
local function cut(text, pieces)
	local from = 1
	while from <= #text do
		local to = text:find("%f[%A]", math.min(from + PIECE, #text + 1)) or #text + 1
		pieces[#pieces + 1] = { number = #pieces + 1, text = text:sub(from, to - 1) }
		from = to
	end
end

local function collect(counts, n, killed)
	local total, words = {}, 0
	for i = 1, n do
		local m = assert(counts:recv())
		for word, k in pairs(m.value.words) do
			total[word] = (total[word] or 0) + k
			words = words + k
		end
		m:ack()
		if killed and i == n // 3 then
			killed:kill("SIGKILL")
		end
	end
	return total, words
end

local function report(total, words, top)
	local list = {}
	for word in pairs(total) do
		list[#list + 1] = word
	end
	table.sort(list, function(a, b)
		if total[a] ~= total[b] then
			return total[a] > total[b]
		end
		return a < b
	end)
	for i = 1, math.min(top, #list) do
		print(("%9d %s"):format(total[list[i]], list[i]))
	end
	print(("%d words, %d different"):format(words, #list))
end

-- However main ends.
local function stop(workers, server, dir)
	workers[#workers + 1] = server
	for _, process in ipairs(workers) do
		process:kill("SIGKILL")
		process:wait()
	end
	vai.fs.remove_all(dir)
end

local function main(o)
	local pieces = {}
	for _, name in ipairs(o.files) do
		local text, why = vai.fs.read_file(name)
		cut(text or fail(why), pieces)
	end
	local file, dir = assert(vai.fs.mkstemp())
	file:close()
	vai.fs.remove(dir)
	local server, url, nc = start_server(dir)
	local workers = {}
	local _ <close> = setmetatable({}, { __close = function() stop(workers, server, dir) end })
	local out = assert(nc:stream("PIECES", { subjects = { "pieces" }, retention = "workqueue" }))
	local counts = assert(nc:stream("COUNTS", { subjects = { "counts" }, durable = "sum" }))
	for i = 1, o.workers do
		workers[i] = assert(vai.process.spawn({ "lua5.4", arg[0], "--worker", url, stderr = "null" }))
	end
	vai.go(function()
		for _, piece in ipairs(pieces) do
			assert(out:send(piece))
		end
	end)
	local total, words = collect(counts, #pieces, o.kill and workers[1])
	nc:close()
	report(total, words, o.top)
end

local o = options(arg)
if o.worker then
	work(o.worker)
elseif #o.files == 0 then
	fail("usage: cluster.lua [--workers N] [--top K] [--kill] FILE...")
else
	main(o)
end

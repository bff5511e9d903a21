-- SPDX-License-Identifier: MIT
-- Counts the words of all text files under the given paths, on all cores:
--
--   lua5.4 examples/wordcount.lua [--procs N] [--sequential | --compare] [--top K] PATH...
--
--   walk ── names ──> readers ── texts ──> counters ── tables ──> main
--
-- Readers read the files and send pieces of text of about 256 kB, cut between words; counters count
-- the words of the pieces into tables of their own and send these at the end; main adds them up.
-- A word is a run of letters (ASCII ones in lower case; every byte from 128 up counts as one, so
-- that UTF-8 words stay whole) that touches no digit and no underscore: numbers like 0xff and names like
-- max_value are none. A file with a NUL in its first 8 kB is binary and left out.
-- --sequential does the same in one plain loop; --compare does both and tells the speed-up.
local vai = require("vai")

local WORD, LETTER = "%f[%w_\128-\255][%a\128-\255]+%f[^%w_\128-\255]", "^[%w_\128-\255]"
local PIECE = 256 * 1024
local USAGE = "usage: wordcount.lua [--procs N] [--sequential | --compare] [--top K] PATH..."

local function fail(message)
	io.stderr:write("wordcount: ", message, "\n")
	os.exit(2)
end

local function options(args)
	local o = { top = 20, paths = {} }
	local function number(i)
		local n = math.tointeger(tonumber(args[i + 1] or ""))
		if not n or n < 1 then
			fail(args[i] .. " needs a number\n" .. USAGE)
		end
		return n
	end
	local i = 1
	while i <= #args do
		local a = args[i]
		if a == "--procs" or a == "--top" then
			o[a:sub(3)] = number(i)
			i = i + 1
		elseif a == "--sequential" or a == "--compare" then
			o[a:sub(3)] = true
		elseif a == "--" then
			table.move(args, i + 1, #args, #o.paths + 1, o.paths)
			break
		elseif a:sub(1, 2) == "--" then
			fail("unknown option " .. a .. "\n" .. USAGE)
		else
			o.paths[#o.paths + 1] = a
		end
		i = i + 1
	end
	if #o.paths == 0 then
		fail(USAGE)
	end
	return o
end

-- Calls f(name) for each regular file under the paths. False where not all of them could be seen.
local function each_file(paths, f)
	local complete = true
	for _, root in ipairs(paths) do
		if root:find("\0", 1, true) then
			fail("a path cannot contain NUL")
		end
		local next_path, state = vai.fs.walk(root)
		if not next_path then
			io.stderr:write("wordcount: ", state, "\n")
			complete = false
		else
			for name, kind, why in next_path, state do
				if kind == "file" then
					f(name)
				elseif why then
					io.stderr:write("wordcount: ", why, "\n")
					complete = false
				end
			end
		end
	end
	return complete
end

-- Calls f(text) for pieces of the file that end between words. Returns false where it is left out.
local function each_piece(name, f)
	local file <close> = vai.fs.open(name)
	if not file then
		return false
	end
	local carry, first = "", true
	while true do
		local block = file:read(PIECE)
		if not block then
			break
		end
		if first and block:sub(1, 8192):find("\0", 1, true) then
			return false
		end
		first = false
		local text = carry .. block
		local cut = #text
		while cut > 0 and text:find(LETTER, cut) do
			cut = cut - 1
		end
		-- The last word may go on in the next block.
		carry = text:sub(cut + 1)
		if cut > 0 then
			f(text:sub(1, cut))
		end
	end
	if carry ~= "" then
		f(carry)
	end
	return true
end

local function count(counts, text)
	for w in text:lower():gmatch(WORD) do
		counts[w] = (counts[w] or 0) + 1
	end
end

local function add(total, counts)
	for w, n in pairs(counts) do
		total[w] = (total[w] or 0) + n
	end
end

local function sequential(paths)
	local total, files, skipped = {}, 0, 0
	local complete = each_file(paths, function(name)
		local ok = each_piece(name, function(text)
			count(total, text)
		end)
		files, skipped = files + (ok and 1 or 0), skipped + (ok and 0 or 1)
	end)
	return { words = total, files = files, skipped = skipped, complete = complete }
end

-- Small files are gathered until they make a piece.
local function reader(names, texts, done)
	local files, skipped = 0, 0
	local small, size = {}, 0
	local function flush()
		if size > 0 then
			texts:send(table.concat(small, "\n"))
			small, size = {}, 0
		end
	end
	for batch in names do
		for _, name in ipairs(batch) do
			local ok = each_piece(name, function(text)
				if #text >= PIECE // 2 then
					texts:send(text)
				else
					small[#small + 1] = text
					size = size + #text
					if size >= PIECE then
						flush()
					end
				end
			end)
			files, skipped = files + (ok and 1 or 0), skipped + (ok and 0 or 1)
		end
	end
	flush()
	done:send({ files = files, skipped = skipped })
end

local function counter(texts, tables)
	local counts = {}
	for text in texts do
		count(counts, text)
	end
	tables:send(counts)
end

local function parallel(paths)
	local procs = vai.maxprocs()
	local names, texts, done, tables = vai.chan(64), vai.chan(2 * procs), vai.chan(procs), vai.chan(procs)
	for _ = 1, procs do
		vai.go(reader, names, texts, done)
		vai.go(counter, texts, tables)
	end

	local batch = {}
	local complete = each_file(paths, function(name)
		batch[#batch + 1] = name
		if #batch == 16 then
			names:send(batch)
			batch = {}
		end
	end)
	names:send(batch)
	names:close()

	local total, files, skipped = {}, 0, 0
	for _ = 1, procs do
		local r = done:recv()
		files, skipped = files + r.files, skipped + r.skipped
	end
	texts:close()
	for _ = 1, procs do
		add(total, tables:recv())
	end
	return { words = total, files = files, skipped = skipped, complete = complete }
end

local function sorted(total)
	local words, sum = {}, 0
	for w, n in pairs(total) do
		words[#words + 1] = w
		sum = sum + n
	end
	table.sort(words, function(a, b)
		local m, n = total[a], total[b]
		if m ~= n then
			return m > n
		end
		return a < b
	end)
	return words, sum
end

local function equal(a, b)
	for w, n in pairs(a) do
		if b[w] ~= n then
			return false
		end
	end
	for w in pairs(b) do
		if a[w] == nil then
			return false
		end
	end
	return true
end

local function timed(f, paths)
	collectgarbage()
	local start = vai.now()
	local result = f(paths)
	result.seconds = vai.now() - start
	return result
end

local function report(result, top, how)
	local words, sum = sorted(result.words)
	for i = 1, math.min(top, #words) do
		print(("%9d %s"):format(result.words[words[i]], words[i]))
	end
	print(("%d words, %d different, in %d files; %d left out"):format(sum, #words, result.files, result.skipped))
	print(("wall time %.3f s, %s"):format(result.seconds, how))
end

local o = options(arg)
if o.procs then
	vai.maxprocs(o.procs)
end
local procs = vai.maxprocs()
local result = timed(o.sequential and sequential or parallel, o.paths)
report(result, o.top, o.sequential and "sequential" or ("on %d P%s"):format(procs, procs == 1 and "" or "s"))
if o.compare and not o.sequential then
	local alone = timed(sequential, o.paths)
	print(("wall time %.3f s, sequential; speed-up %.2f"):format(alone.seconds, alone.seconds / result.seconds))
	if not equal(result.words, alone.words) then
		fail("the sequential count differs")
	end
end
if not result.complete then
	fail("not everything could be read")
end

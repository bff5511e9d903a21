-- SPDX-License-Identifier: MIT
-- Heads of requests, most of them a little wrong, read by vai.http.core, by http-parser (heads.c) and by Go's net/http
-- (heads.go, where there is Go). What vai takes, the others must take, and read the same in it, but for what `lenient`
-- lists; what vai alone refuses must have a reason that `strict` lists. `explain` prints what was seen of both.
local core = require "vai.http.core"

local seconds = tonumber(os.getenv("VAI_STRESS_SECONDS")) or 1
local seed = tonumber(os.getenv("VAI_STRESS_SEED")) or os.time()
math.randomseed(seed)
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local BATCH = 2000

-- ---- the table of differences ----

-- vai refuses and another takes it: why that is the safe side.
local strict = {
	["a line that ends in a bare LF"] = "a proxy that wants CR LF sees one line where the next one sees two",
	["a bare CR"] = "some end a line there",
	["a continued header line"] = "RFC 9112 5.2: others see a header of its own",
	["bad header name"] = "blanks before the colon, empty or odd names: others trim or skip them",
	["a control character in a header"] = "NUL and the like cut values short elsewhere",
	["bad request line"] = "one blank between its parts and a method of token characters",
	["bad request target"] = "no blanks, control characters or bytes beyond ASCII; a path, or the origin that Host names",
	["a version other than HTTP/1"] = "1.0 and 1.1 are what is spoken here",
	["an empty line in place of a head"] = "RFC 9112 2.2 lets servers skip it; a client that sends one is out of step",
	["no Host"] = "RFC 9112 3.2",
	["Host twice"] = "RFC 9112 3.2",
	["bad Host"] = "it is a key in caches and routers",
	["Content-Length twice"] = "also with equal values: one less question",
	["bad Content-Length"] = "digits and nothing else: no sign, list, blank, overflow",
	["Content-Length with Transfer-Encoding"] = "RFC 9112 6.3: the classic way to smuggle",
	["Transfer-Encoding twice"] = "who joins them, who takes the last?",
	["a Transfer-Encoding other than chunked"] = "no other coding is known here; identity is no longer one",
	["Transfer-Encoding in HTTP/1.0"] = "RFC 9112 6.1: framing that older proxies do not know",
	["an unknown Expect"] = "RFC 9110 10.1.1: 417",
	["the head is too large"] = "the limit",
	["invalid HTTP method"] = "http-parser takes the methods that it knows, and vai.http reads with it",
	["invalid URL"] = "http-parser's: what is neither a path nor an address",
	["invalid character in content-length header"] = "http-parser's: a tab behind the digits",
	["unexpected content-length header"] = "http-parser's: it takes Transfer-EncodingX for Transfer-Encoding",
	["a tab beside a length or a coding"] = "http-parser does not trim it, so it sees no chunks where others do",
	["unfinished"] = "the others have answered before the empty line",
}

-- vai takes it and another refuses, or reads it otherwise: why that does no harm. By who, and a pattern of their reason
-- or the name of the field.
local lenient = {
	{ who = "http-parser", what = "^differs: keep", when = "proxy%-connection:%s*close",
		why = "Proxy-Connection is no header of HTTP; a server that keeps the connection does no harm" },
	{ who = "http-parser", what = "^differs: keep", when = "%f[%w]connection:[^\r\n]*close",
		why = "close beside keep-alive: it is closed here, whatever the version" },
	{ who = "http-parser", what = "^differs: keep", when = "%f[%w]connection:[^\r\n]*clos[^\r\n]*keep%-alive",
		why = "http-parser loses its way in a word that only begins as close does, and misses the keep-alive behind it" },
	{ who = "http-parser", what = "^differs: length", when = "transfer%-encoding[^:]",
		why = "a name that only begins so: http-parser mixes the two up, Go reads it as vai does" },
	{ who = "Go", what = "invalid URL escape",
		why = "the target is given as it came; who decodes it (mux, files, parse_query) refuses what cannot be decoded" },
}

-- ---- making heads ----

local function pick(list) return list[math.random(#list)] end
local function chance(n) return math.random(n) == 1 end

local methods = { "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "get",
	"G@T", "", "TRACE",
	"PATCH", "PRI", "GET\t", "M-SEARCH", "FOO" }
local targets = { "/", "/", "/a/b?c=d", "*", "http://h/x", "https://h", "h:80", "//h/x", "/%zz", "/\xc3\xa9",
	"/a b", "", "/a#b", "http://other/",
	"/?", "?x", "/\0", "/\127", "HTTP/1.1", "http://u@h/", "/a\\b", "/[", "http://h:80/", "http://", "a/b" }
local versions = { "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2",
	"HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "HTTP/01.1",
	"HTTP/1.1 ", " HTTP/1.1", "HTTP/1,1", "HTTP/+1.1", "" }
local headers = { "Host: h", "Host: h", "Host: h:80", "Host: ", "Host: a b", "Host: h/x", "hOST:h",
	"Content-Length: 5", "Content-Length: 5",
	"Content-Length: +5", "Content-Length: -5", "Content-Length: 5, 5", "Content-Length: 0x5", "Content-Length: 5 5",
	"Content-Length:5", "Content-Length: 05", "Content-Length: ", "Content-Length: 99999999999999999999",
	"Content-Length : 5",
	"Content-Length: 18446744073709551616", "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked",
	"Transfer-Encoding: chunked, chunked",
	"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Transfer-Encoding: \"chunked\"",
	"Transfer-Encoding:\tchunked",
	"Transfer-Encoding: xchunked", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding : chunked",
	"Transfer_Encoding: chunked",
	"Transfer-Encoding: ", "Transfer-Encoding: ,chunked", "Connection: close", "Connection: keep-alive",
	"Connection: Upgrade", "Connection: close, keep-alive",
	"Connection: x, Close", "Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "Expect: 200-ok", "A: b",
	"A:b", "A: b ", "A:\tb\t", "A: \xff", "A: \1",
	"A: b\0c", ": b", "A b: c", "A\t: b", "A", " A: b", "\tfold", "A: ", "A:", "Proxy-Connection: close",
	"Trailer: X", "TE: trailers", "A: b\rc", "Cookie: a; b" }
local ends = { "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n",
	"\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\r" }

local function wild(text)
	for _ = 1, math.random(3) do
		local at = math.random(#text)
		local what = math.random(4)
		local byte = chance(2) and string.char(math.random(0, 255)) or pick { " ", "\t", "\r", "\n", ":", ",", "\0", "\127" }
		if what == 1 then text = text:sub(1, at - 1) .. byte .. text:sub(at + 1)
		elseif what == 2 then text = text:sub(1, at) .. byte .. text:sub(at + 1)
		elseif what == 3 and #text > 1 then text = text:sub(1, at - 1) .. text:sub(at + 1)
		else text = text:sub(1, at) .. text:sub(at) end
	end
	return text
end

local function head()
	local line_end = chance(3) and function() return pick(ends) end or function() return "\r\n" end
	local plain = chance(2) -- of the request line only a part is odd
	local parts = { chance(60) and "\r\n" or "", plain and pick { "GET", "POST" } or pick(methods), " ", plain and
	"/" or pick(targets),
		chance(60) and pick { "  ", "\t", "" } or " ", plain and "HTTP/1.1" or pick(versions), line_end() }
	if not chance(12) then parts[#parts + 1] = "Host: h\r\n" end
	for _ = 1, math.random(0, 3) do
		parts[#parts + 1] = pick(headers)
		parts[#parts + 1] = line_end()
	end
	parts[#parts + 1] = "\r\n"
	local text = table.concat(parts)
	if chance(4) then text = wild(text) end
	return text .. "BODY!"
end

-- ---- reading them ----

local function read_ours(text)
	local at, method, path, _, minor, length, keep = core.request(text)
	if at == nil then return { why = "unfinished" } end
	if not at then return { why = path } end
	local _, target = core.fields(text)

		return { method = method, target = target, minor = tostring(minor), length = tostring(length or 0), keep = keep and
	"1" or "0",
		used = tostring(at - 1) }
end

local names = { "method", "minor", "length", "keep", "used", "target" }

local function read_line(line)
	local why = line:match("^no\t(.*)$")
	if why then return { why = why } end
	local out, values = {}, table.pack(line:match("^([^\t]*)\t(%d+)\t(%-?%d+)\t(%d)\t(%d+)\t(.*)$"))
	for i, name in ipairs(names) do out[name] = values[i] end
	return out
end

local folder = io.popen("mktemp -d"):read("l")

-- { name, command } of those that are here.
local function others()
	local list = {}
	if os.execute(("${CC:-cc} -O1 -o %s/c %s/heads.c -lhttp_parser 2>/dev/null"):format(folder, here)) then
		list[#list + 1] = { "http-parser", folder .. "/c" }
	end
	if os.execute(("go build -o %s/go %s/heads.go 2>/dev/null"):format(folder, here)) then
		list[#list + 1] = { "Go", folder .. "/go" }
	end
	return list
end

local function run(other, file)
	local p = assert(io.popen(other[2] .. " < " .. file))
	local results = {}
	for line in p:lines() do results[#results + 1] = read_line(line) end
	p:close()
	return results
end

-- ---- comparing ----

local seen, failures = {}, 0

local function shown(text)
	return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\\13", "\\r"))
end

local function note(kind, who, what, text)
	local key = kind .. "\t" .. who .. "\t" .. what
	if not seen[key] then seen[key] = { n = 0, text = text } end
	seen[key].n = seen[key].n + 1
end

local function wrong(who, what, text)
	failures = failures + 1
	if failures <= 20 then print(who .. ": " .. what .. ": " .. shown(text)) end
end

local function excused(who, what, text)
	for _, rule in ipairs(lenient) do
		if rule.who == who and what:find(rule.what) and (not rule.when or text:lower():find(rule.when)) then return true end
	end
	return false
end

local function compare(who, ours, theirs, text)
	if ours.why and not theirs.why then
		note("strict", who, ours.why, text)
		if not strict[ours.why] then wrong(who, "vai alone refuses: " .. ours.why, text) end
	elseif theirs.why and not ours.why then
		note("lenient", who, theirs.why, text)
		if not excused(who, theirs.why, text) then wrong(who, "vai alone takes it: " .. theirs.why, text) end
	elseif not ours.why then
		for _, name in ipairs(names) do
			if ours[name] ~= theirs[name] then
				note("other", who, name, text)
				if not excused(who, "differs: " .. name, text) then
					wrong(who, ("differs: %s is %q, %q there"):format(name, ours[name], tostring(theirs[name])), text)
				end
			end
		end
	end
end

local list = others()
local stop, n, taken = os.time() + seconds, 0, 0
repeat
	local texts, file = {}, folder .. "/batch"
	local f = assert(io.open(file, "wb"))
	for i = 1, BATCH do
		texts[i] = head()
		f:write(#texts[i], "\n", texts[i])
	end
	f:close()
	local ours = {}
	for i, text in ipairs(texts) do
		ours[i] = read_ours(text)
		taken = taken + (ours[i].why and 0 or 1)
	end
	for _, other in ipairs(list) do
		local theirs = run(other, file)
		assert(#theirs == BATCH, other[1] .. " has not answered all")
		for i, text in ipairs(texts) do compare(other[1], ours[i], theirs[i], text) end
	end
	n = n + BATCH
until os.time() >= stop
os.execute("rm -r " .. folder)

if os.getenv("VAI_STRESS_EXPLAIN") then
	local keys = {}
	for key in pairs(seen) do keys[#keys + 1] = key end
	table.sort(keys)
	for _, key in ipairs(keys) do print(key, seen[key].n, shown(seen[key].text)) end
end
local who = {}
for _, other in ipairs(list) do who[#who + 1] = other[1] end
print(("%d heads, %d taken, beside %s"):format(n, taken, #who > 0 and table.concat(who, " and ") or "nobody"))
os.exit(failures == 0 and taken > 0)

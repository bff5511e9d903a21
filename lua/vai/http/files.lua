-- SPDX-License-Identifier: MIT
-- Files as responses: conditions, ranges, types by the name's ending.
local vai = require "vai"
local core = require "vai.http.core"

local types = {
	html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8", css = "text/css; charset=utf-8",
	js = "text/javascript; charset=utf-8", mjs = "text/javascript; charset=utf-8", json = "application/json",
	txt = "text/plain; charset=utf-8", md = "text/markdown; charset=utf-8", csv = "text/csv; charset=utf-8",
	xml = "application/xml", svg = "image/svg+xml", png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg",
	gif = "image/gif", webp = "image/webp", avif = "image/avif", ico = "image/x-icon", pdf = "application/pdf",
	wasm = "application/wasm", woff = "font/woff", woff2 = "font/woff2", ttf = "font/ttf", mp3 = "audio/mpeg",
	mp4 = "video/mp4", webm = "video/webm", zip = "application/zip", gz = "application/gzip", tar = "application/x-tar",
}

-- Whether a list of entity tags contains this one. Weak tags count as equal.
local function has_tag(list, tag)
	if list == "*" then return true end
	for one in list:gmatch('"[^"]*"') do
		if one == tag then return true end
	end
	return false
end

local function not_modified(headers, tag, mtime)
	if headers["if-none-match"] then
		return has_tag(headers["if-none-match"], tag)
	end
	local since = headers["if-modified-since"] and core.time(headers["if-modified-since"])
	return since and mtime <= since
end

local function precondition_fails(headers, tag, mtime)
	if headers["if-match"] then return not has_tag(headers["if-match"], tag) end
	local since = headers["if-unmodified-since"] and core.time(headers["if-unmodified-since"])
	return since and mtime > since
end

-- The one range that the request asks for: first, last; "none" if it lies outside of the file; nil: the whole file.
local function range_of(req, tag, mtime, size)
	local range, given = req.headers.range, req.headers["if-range"]
	if not range or req.method ~= "GET" then return nil end
	if given and given ~= tag and core.time(given) ~= mtime then return nil end
	local first, last = range:match("^bytes=(%d*)%-(%d*)$") -- several ranges: the whole file
	if not first or first == "" and last == "" then return nil end
	if first == "" then
		local n = math.min(math.tointeger(tonumber(last)) or math.huge, size)
		if n == 0 then return "none" end
		return size - n, size - 1
	end
	first, last = math.tointeger(tonumber(first)) or size, last ~= "" and math.tointeger(tonumber(last)) or size - 1
	if first >= size then return "none" end
	if last < first then return nil end
	return first, math.min(last, size - 1)
end

-- By path: what is said of files that were sent, as long as they stay as they were. Of few, for each goroutine of the
-- server has its own.
local known, count = {}, 0
local KNOWN_MOST = 32

local function facts_of(path, size, time)
	local facts = known[path]
	if facts and facts.size == size and facts.time == time then return facts end
	if not facts then
		if count == KNOWN_MOST then known, count = {}, 0 end
		count = count + 1
	end
	local second = time // 1 | 0
	facts = {
		size = size, time = time, second = second, date = core.date(second),
		tag = ('"%x-%x"'):format(size, (time * 1e6) // 1 | 0),
		type = types[(path:match("%.(%w+)$") or ""):lower()] or "application/octet-stream",
	}
	known[path] = facts
	return facts
end

local function answer(req, res, file, facts)
	local size, mtime, tag = facts.size, facts.second, facts.tag
	local headers = res.headers
	headers.ETag, headers["Last-Modified"], headers["Accept-Ranges"] = tag, facts.date, "bytes"
	headers["Content-Type"] = headers["Content-Type"] or facts.type
	if not req._conditional then return res:_send_open(file, 0, size) end
	if precondition_fails(req.headers, tag, mtime) then
		res.status = 412
		return res:send("")
	elseif not_modified(req.headers, tag, mtime) then
		res.status = 304
		return res:send("")
	end
	local first, last = range_of(req, tag, mtime, size)
	if first == "none" then
		res.status, headers["Content-Range"] = 416, "bytes */" .. size
		return res:send("")
	elseif first then
		res.status, headers["Content-Range"] = 206, ("bytes %d-%d/%d"):format(first, last, size)
		return res:_send_open(file, first, last - first + 1)
	end
	return res:_send_open(file, 0, size)
end

-- Sends the file as the response; or nil, why, code, with nothing sent.
local function send(req, res, path)
	local file, why, code = vai.fs.open(path, "r")
	if not file then return nil, why, code end
	local kind, size, time = file:stat("type", "size", "mtime")
	if kind ~= "file" then
		file:close()
		if not kind then return nil, size, time end
		return nil, path .. ": not a file", "EISDIR"
	end
	local ok
	ok, why, code = answer(req, res, file, facts_of(path, size, time))
	file:close()
	return ok, why, code
end

local function fail(res, status, text)
	res.status, res.headers = status, { ["Content-Type"] = "text/plain" }
	return res:send(text .. "\n")
end

-- The path below the folder that a request's path means; nil for none. Names that begin with a dot are never given.
local function below(dir, path)
	path = core.decode(path)
	if not path or path:find("\0", 1, true) or path:find("/%.") or path:find("\\", 1, true) then return nil end
	return dir .. path
end

local status_of = { ENOENT = 404, ENOTDIR = 404, EISDIR = 404, EACCES = 403, EPERM = 403,
	ENAMETOOLONG = 404, ELOOP = 404 }

-- Answers with a file of the folder.
local function answer_from(folder, req, res)
	if req.method ~= "GET" and req.method ~= "HEAD" then
		res.headers.Allow = "GET, HEAD"
		res.status = 405
		return res:send("")
	end
	local path, prefix = req.path, folder.prefix
	if prefix ~= "" then
		path = path:sub(1, #prefix) == prefix and path:sub(#prefix + 1) or nil
		if path and path:sub(1, 1) ~= "/" then path = "/" .. path end
	end
	local name = path and below(folder.dir, path)
	if not name then return fail(res, 404, "not found") end
	if name:sub(-1) == "/" then name = name .. folder.index end
	res.headers["Cache-Control"] = folder.cache
	local ok, _, code = send(req, res, name)
	if ok or res._state then return ok end
	if code == "EISDIR" then
		local query = req.query_string and "?" .. req.query_string or ""
		res.status, res.headers = 301, { Location = req.path .. "/" .. query }
		return res:send("")
	end
	return fail(res, status_of[code] or 500, status_of[code] == 403 and "forbidden" or "not found")
end

-- A handler for the files of a folder. options.index: the file for a folder ("index.html"); options.prefix: taken off
-- the request's path first; options.cache: the value of Cache-Control. It crosses to goroutines without the functions
-- here: each of them loads these when it needs them.
local function files(dir, options)
	options = options or {}
	local folder = {
		dir = dir, index = options.index or "index.html", prefix = options.prefix or "", cache = options.cache,
	}
	return function(req, res) return require "vai.http.files".answer(folder, req, res) end
end

return { send = send, files = files, answer = answer_from }

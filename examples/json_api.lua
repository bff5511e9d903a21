-- SPDX-License-Identifier: MIT
-- A JSON API over HTTP with lua-cjson: `lua5.4 json_api.lua ADDRESS` keeps notes. They are in a map that all
-- goroutines share, as JSON, so that a request that only reads one copies no table. Without an address it asks itself.
local vai = require "vai"
local http = require "vai.http"

local notes, last = vai.map(), vai.atomic()

local function reply(res, status, value)
	res.status, res.headers["Content-Type"] = status, "application/json"
	return res:send(type(value) == "string" and value or require("cjson").encode(value))
end

-- The note that a request brings; or nil, and the request has been answered.
local function note_of(req, res)
	if req:header("Content-Type") ~= "application/json" then
		return nil, reply(res, 415, { error = "application/json only" })
	end
	local body, why = req:body(5)
	if not body then
		return nil, reply(res, why == "too long" and 413 or 400, { error = why })
	end
	local ok, note = pcall(require("cjson").decode, body)
	if not ok or type(note) ~= "table" or type(note.text) ~= "string" then
		return nil, reply(res, 400, { error = "a note is an object with a text" })
	end
	return { text = note.text }
end

local routes = {
	["GET /notes"] = function(_, res)
		local all = {}
		for id, text in pairs(notes) do
			all[#all + 1] = { id = id, text = text }
		end
		table.sort(all, function(a, b) return a.id < b.id end)
		reply(res, 200, #all > 0 and all or "[]")
	end,
	["POST /notes"] = function(req, res)
		local note = note_of(req, res)
		if note then
			local id = last:add(1)
			notes:set(id, note.text)
			res.headers.Location = "/notes/" .. id
			reply(res, 201, { id = id })
		end
	end,
	["GET /notes/:id"] = function(req, res)
		local text = notes:get(math.tointeger(tonumber(req.params.id)) or 0)
		if text then
			reply(res, 200, { text = text })
		else
			reply(res, 404, { error = "no such note" })
		end
	end,
	["DELETE /notes/:id"] = function(req, res)
		local old = notes:delete(math.tointeger(tonumber(req.params.id)) or 0)
		res.status = old and 204 or 404
		res:send("")
	end,
}

local server = assert(http.serve {
	listen = arg[1] or "127.0.0.1:0",
	max_body = 65536,
	handler = http.mux(routes),
	on_error = function(err) io.stderr:write("json_api: ", tostring(err), "\n") end,
})
if arg[1] then
	print("http://" .. server:addr() .. "/notes")
	server:wait()
	return
end

local cjson = require "cjson"
local base = "http://" .. server:addr()
local function ask(method, path, body, kind)
	local res = assert(http.request { url = base .. path, method = method, body = body, limit = 5,
		headers = { ["Content-Type"] = body and (kind or "application/json") } })
	return res.status, res:body()
end

local group = vai.group()
for i = 1, 8 do
	group:go(function()
		local status = ask("POST", "/notes", cjson.encode { text = "note " .. i })
		assert(status == 201, status)
	end)
end
assert(group:wait(10))
local status, text = ask("GET", "/notes")
local list = cjson.decode(text)
print(status, #list .. " notes", math.tointeger(list[1].id))
print(ask("DELETE", "/notes/1"))
print(ask("GET", "/notes/1"))
print(ask("POST", "/notes", "{\"text\": 7}"))
print(ask("POST", "/notes", "text=form", "application/x-www-form-urlencoded"))
print((ask("POST", "/notes", cjson.encode { text = ("long"):rep(20000) })))
print((ask("PUT", "/notes", "{}")))
print(server:shutdown(5))

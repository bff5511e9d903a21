-- SPDX-License-Identifier: MIT
-- Who may include whom: nothing < base < mach < sched < {sync < net, the rooms of Lua states} < bind, and
-- base < data < net. The rooms of Lua states lie upon each other: state < stdlib < code < transfer < require <
-- runtime. uv.h only in net/, Lua's headers only in the rooms of Lua states, bind/ and vai_lua.h. What is private to
-- sched/ stays there.
-- Within bind/: what lies in it directly < report < life < replaced < lib < host.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

local below = {
	base = {},
	mach = { base = true },
	sched = { base = true, mach = true },
	sync = { base = true, sched = true },
	data = { base = true },
	-- Who waits for a descriptor queues as for a channel (sync/waitq).
	-- Values are messages, which know nothing of Lua (transfer/message.h).
	capi = { base = true, sched = true, sync = true, transfer = true },
	net = { base = true, sched = true, sync = true, data = true },
	fs = { base = true, sched = true, sync = true, net = true }, -- files are connections of their kind
	proc = { base = true, sched = true, sync = true, net = true },
	bind = { capi = true, base = true, sched = true, sync = true, data = true, net = true, fs = true, proc = true },
}
-- The rooms of Lua states, from the lowest on.
local lua_rooms = { "state", "stdlib", "code", "transfer", "require", "runtime" }
local knows_lua = { bind = true }
for _, room in ipairs(lua_rooms) do
	below[room] = { base = true, sched = true }
	for _, lower in ipairs(lua_rooms) do
		if lower == room then
			break
		end
		below[room][lower] = true
	end
	below.bind[room] = true
	knows_lua[room] = true
end
local bind_rooms = { [""] = 0, report = 1, life = 2, replaced = 3, lib = 4, host = 5 }
local public = { sched = { ["sched.h"] = true, ["poll.h"] = true, ["replay.h"] = true } }
local lua_headers = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luaconf.h"] = true }

local function check_ours(path, n, layer, name)
	local target, file = name:match("^(%w+)/([%w_/]+%.h)$")
	if not target then
		if name == "vai.h" then
			return -- its results and types are what all layers use
		elseif name ~= "vai_lua.h" then
			files.complain(path, n, 'write "%s" from src/: "layer/file.h"', name)
		elseif layer and layer ~= "bind" then
			files.complain(path, n, "%s is above %s/", name, layer)
		end
	elseif not layer and name ~= "vai.h" then
		files.complain(path, n, "a public header includes nothing of ours (%s)", name)
	elseif target ~= layer then
		if not below[layer][target] then
			files.complain(path, n, "%s/ may not include %s/", layer, target)
		elseif public[target] and not public[target][file] then
			files.complain(path, n, "%s is private to %s/", name, target)
		end
	end
end

local function check_bind(path, n, name)
	if not path:find("^src/bind/") or not name:find("^bind/") then
		return
	end
	local here, there = path:match("^src/bind/(%w+)/") or "", name:match("^bind/(%w+)/") or ""
	if (bind_rooms[there] or 9) > (bind_rooms[here] or -1) then
		files.complain(path, n, "%s is above bind/%s", name, here)
	end
end

local function check_foreign(path, n, layer, name)
	if lua_headers[name] and not (knows_lua[layer] or path == "src/vai_lua.h" or path == "src/lua_weak.h") then
		files.complain(path, n, "%s only in the rooms of Lua states, bind/ and vai_lua.h", name)
	elseif name:find("^uv") and layer ~= "net" then
		files.complain(path, n, "%s only in net/", name)
	end
end

-- Modules beside vai.so (ext/): what is theirs, the one header that vai has for them, and their own library.
local own_library = { ["http_parser.h"] = "http", ["llhttp.h"] = "http", ["openssl/"] = "tls nats" }
local beside = files.list("ext", "%.[ch]$")
for _, path in ipairs(beside) do
	local room = path:match("^ext/(%w+)/")
	for n, line in ipairs(files.lines(path)) do
		local open, name = line:match('^%s*#%s*include%s*(["<])([^">]+)')
		local library = name and (own_library[name] or own_library[name:match("^%w+/") or ""])
		if library and not (" " .. library .. " "):find(" " .. room .. " ", 1, true) then
			files.complain(path, n, "%s only in ext/: %s", name, library)
		elseif open == '"' and name:find("/") and name ~= "bind/extension.h" then
			files.complain(path, n, "%s: what is vai's comes through bind/extension.h", name)
		end
	end
end

local all = files.list("src", "%.[chS]$")
for _, path in ipairs(all) do
	local layer = path:match("^src/(%w+)/")
	if layer and not below[layer] then
		files.complain(path, 1, "unknown layer %s/", layer)
	else
		for n, line in ipairs(files.lines(path)) do
			local open, name = line:match('^%s*#%s*include%s*(["<])([^">]+)')
			if open == '"' then
				check_ours(path, n, layer, name)
				check_bind(path, n, name)
			elseif open then
				check_foreign(path, n, layer, name)
			end
		end
	end
end
files.finish("includes: %d files keep to their layers", #all + #beside)

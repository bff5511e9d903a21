-- SPDX-License-Identifier: MIT
-- Handlers by method and path.
local core = require "vai.http.core"

-- "GET /x/:id/*rest" -> method or nil, list of parts. A part is a word, { name = } for one of any word, or { rest = }
-- for all that follows.
local function parse(pattern)
	local method, path = pattern:match("^(%u+) (/.*)$")
	path = path or pattern:match("^/.*$")
	if not path then error(("bad argument #1 to 'mux' (bad pattern '%s')"):format(tostring(pattern)), 3) end
	local parts, names = {}, {}
	for part in path:sub(2):gmatch("[^/]*") do
		local kind, name = part:match("^([:*])([%a_][%w_]*)$")
		if kind and names[name] then error(("bad argument #1 to 'mux' ('%s' twice in '%s')"):format(name, pattern), 3) end
		if kind then names[name] = true end
		parts[#parts + 1] = kind == ":" and { name = name } or kind == "*" and { rest = name } or part
		if kind == "*" then
			if not path:find("%*" .. name .. "$") then
				error(("bad argument #1 to 'mux' ('*%s' is not the last in '%s')"):format(name, pattern), 3)
			end
			break
		end
	end
	return method, parts
end

local function add(tree, parts)
	local node = tree
	for _, part in ipairs(parts) do
		if type(part) == "string" then
			node.words[part] = node.words[part] or { words = {}, handlers = {} }
			node = node.words[part]
		elseif part.name then
			node.any = node.any or { words = {}, handlers = {}, names = {} }
			node = node.any
		else
			node.rest = node.rest or { words = {}, handlers = {} }
			node = node.rest
		end
	end
	return node
end

-- Finds the node for the words from i on. Words take precedence over names, and names over the rest; values are
-- collected in order.
local function find(node, words, i, values)
	if i > #words then
		return next(node.handlers) and node or nil
	end
	local child = node.words[words[i]]
	local found = child and find(child, words, i + 1, values)
	if found then return found end
	if node.any and words[i] ~= "" then
		values[#values + 1] = words[i]
		found = find(node.any, words, i + 1, values)
		if found then return found end
		values[#values] = nil
	end
	if node.rest then
		values[#values + 1] = table.concat(words, "/", i)
		return node.rest
	end
end

local function plain(res, status, text)
	res.status, res.headers["Content-Type"] = status, "text/plain"
	return res:send(text .. "\n")
end

local function not_allowed(req, res, node)
	local methods = {}
	for method in pairs(node.handlers) do methods[#methods + 1] = method end
	if node.handlers.GET and not node.handlers.HEAD then methods[#methods + 1] = "HEAD" end
	table.sort(methods)
	res.headers.Allow = table.concat(methods, ", ")
	return plain(res, 405, req.method .. " is not for this path")
end

-- routes: patterns and their handlers. "GET /x/:id" gives req.params.id; "/x/*rest" matches all that follows; a
-- pattern without a method is for all methods. routes.default is for requests that nothing else matches.
local function mux(routes)
	local tree = { words = {}, handlers = {} }
	local default = routes.default
	for pattern, handler in pairs(routes) do
		if type(handler) ~= "function" then
			error(("bad argument #1 to 'mux' (function expected for '%s', got %s)"):format(tostring(pattern), type(handler)), 2)
		end
		if pattern ~= "default" then
			local method, parts = parse(pattern)
			local names = {}
			for _, part in ipairs(parts) do names[#names + 1] = type(part) == "table" and (part.name or part.rest) or nil end
			local node = add(tree, parts)
			if node.handlers[method or "*"] then
				error(("bad argument #1 to 'mux' ('%s' is there twice)"):format(pattern), 2)
			end
			node.handlers[method or "*"] = { f = handler, names = names }
		end
	end
	return function(req, res)
		local words, values = {}, {}
		for word in req.path:sub(2):gmatch("[^/]*") do words[#words + 1] = word end
		local node = find(tree, words, 1, values)
		if not node then
			if default then return default(req, res) end
			return plain(res, 404, "not found")
		end
		local h = node.handlers[req.method] or req.method == "HEAD" and node.handlers.GET or node.handlers["*"]
		if not h then return not_allowed(req, res, node) end
		req.params = {}
		for i, name in ipairs(h.names) do
			req.params[name] = core.decode(values[i])
			if not req.params[name] then return plain(res, 400, "bad percent sign") end
		end
		return h.f(req, res)
	end
end

return { mux = mux }

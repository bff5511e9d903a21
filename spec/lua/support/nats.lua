-- SPDX-License-Identifier: MIT
-- nats-server for tests: start(dir [, options]) gives { url, stop, restart }; options: lines of its configuration.
-- cluster(dir, n [, options]) gives a list of such; jwt and seed make what a file of credentials has.
local vai = require "vai"
local check = require "check"

local M = {}
local Server = {}
Server.__index = Server

-- The same port again: what the server stored is there, too.
function Server:start()
	self.process = assert(vai.process.spawn { "nats-server", "-c", self.config, stdout = "null", stderr = "null" })
	check.until_true(function()
		local ended = self.process:wait(0)
		if ended then error(("nats-server -c %s has ended: %s"):format(self.config, ended), 0) end
		local c = vai.net.dial("tcp", self.address, 1)
		local line = c and c:read("l", 5)
		return c and (c:close() or line)
	end)
end

function Server:stop(signal)
	self.process:kill(signal or "SIGTERM")
	self.process:wait()
end

function Server:restart(signal)
	self:stop(signal)
	self:start()
end

-- Changes a piece of its configuration; it counts from the next start on.
function Server:change(from, to)
	local text = assert(vai.fs.read_file(self.config))
	local at, stop = text:find(from, 1, true)
	assert(vai.fs.write_file(self.config, text:sub(1, at - 1) .. to .. text:sub(stop + 1)))
end

Server.__close = function(self) self:stop("SIGKILL") end

function M.start(dir, more)
	local port = check.free_port()
	local s = setmetatable({ port = port, address = "127.0.0.1:" .. port, url = "nats://127.0.0.1:" .. port,
		config = ("%s/nats-%d.conf"):format(dir, port) }, Server)
	assert(vai.fs.write_file(s.config, ("host: 127.0.0.1\nport: %d\nlame_duck_duration: \"30s\"\n%s\n"):format(port,
		(more or ""):gsub("$DIR", dir))))
	s:start()
	return s
end

-- n servers that know of each other, "n1" and so on. $N in options is a server's number.
function M.cluster(dir, n, more)
	local list, routes = {}, {}
	for i = 1, n do routes[i] = "nats://127.0.0.1:" .. check.free_port() end
	for i = 1, n do
		list[i] = M.start(dir, ("server_name: n%d\ncluster { name: c, listen: \"%s\", routes: [ %s ] }\n%s"):format(i,
			routes[i]:match("//(.*)"), table.concat(routes, ", "), ((more or ""):gsub("$N", i))))
	end
	return setmetatable(list, { __close = function() for _, s in ipairs(list) do s:stop("SIGKILL") end end })
end

-- ---- credentials ----

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

local function base32(bytes)
	local bits, n, out = 0, 0, {}
	for i = 1, #bytes do
		bits, n = (bits << 8 | bytes:byte(i)) & 0xfff, n + 8
		while n >= 5 do
			n = n - 5
			out[#out + 1] = digits:sub((bits >> n & 31) + 1, (bits >> n & 31) + 1)
		end
	end
	if n > 0 then out[#out + 1] = digits:sub((bits << 5 - n & 31) + 1, (bits << 5 - n & 31) + 1) end
	return table.concat(out)
end

local function crc16(bytes)
	local crc = 0
	for i = 1, #bytes do
		crc = crc ~ bytes:byte(i) << 8
		for _ = 1, 8 do crc = (crc & 0x8000 ~= 0 and crc << 1 ~ 0x1021 or crc << 1) & 0xffff end
	end
	return crc
end

local kinds = { operator = 14 << 3, account = 0, user = 20 << 3 }

-- The seed and the public key that 32 bytes are.
function M.seed(kind, bytes)
	local k = kinds[kind]
	local body = string.char(18 << 3 | k >> 5, (k & 31) << 3) .. bytes
	local seed = base32(body .. ("<I2"):pack(crc16(body)))
	local _, public = require "vai.nats.core".sign(seed, "")
	return seed, public
end

-- A token of the issuer, whose seed signs it, about the subject; valid: for how many seconds.
function M.jwt(seed, issuer, subject, claims, valid)
	local json, base64url = require "vai.nats.json", require "vai.nats.server".base64url
	claims.version = 2
	local text = base64url(json.encode { typ = "JWT", alg = "ed25519-nkey" }) .. "."
		.. base64url(json.encode { jti = subject, iat = os.time(), exp = valid and os.time() + valid, iss = issuer,
			sub = subject, name = subject, nats = claims })
	return text .. "." .. base64url((require "vai.nats.core".sign(seed, text)))
end

return M

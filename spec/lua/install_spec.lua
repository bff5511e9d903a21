-- SPDX-License-Identifier: MIT
-- mk/install: what make install and make uninstall do.
local root = (debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "../../"
local so = (os.getenv("VAI_BUILD") or "build") .. "/vai.so"
local lua = os.getenv("LUA") or "lua5.4"

local function sh(command)
	local p = assert(io.popen("cd '" .. root .. "' && " .. command .. " 2>&1"))
	local out = p:read("a")
	return out, p:close()
end

local function exists(name)
	local f = io.open(name)
	return f and f:close()
end

describe("install", function()
	local base
	before_each(function() base = sh("mktemp -d /tmp/vaiXXXXXX"):match("%S+") .. "/it's here" end)
	after_each(function() sh('rm -rf "' .. base:match("(.*)/") .. '"') end)

	local function install(what, prefix, destdir)
		return sh(([[sh mk/install %s "%s/lib/lua/5.4" "%s/share/lua/5.4" "%s"]]):format(what, prefix, prefix, destdir))
	end

	it("puts files there, and uninstall takes them away", function()
		local out = install(so, "/usr", base)
		assert(exists(base .. "/usr/lib/lua/5.4/vai.so"), out)
		assert(exists(base .. "/usr/share/lua/5.4/vai/types.lua"), out)
		sh(('touch "%s/usr/share/lua/5.4/other.lua"'):format(base))
		install("-u", "/usr", base)
		assert.is_nil(exists(base .. "/usr/lib/lua/5.4/vai.so"))
		assert.is_nil(exists(base .. "/usr/share/lua/5.4/vai/types.lua"))
		assert(exists(base .. "/usr/share/lua/5.4/other.lua"))
		local again, ok = install("-u", "/usr", base)
		assert(ok, again)
	end)

	it("says nothing where Lua looks there", function()
		local out = install(so, "/usr/local", base)
		assert.is_nil(out:find("export", 1, true), out)
	end)

	for _, name in ipairs { "LUA_CPATH", "LUA_CPATH_5_4" } do
		it("prints the line that makes Lua look there, for " .. name, function()
			local prefix = base:gsub("'", "") -- a quote in a prefix is nothing that shells share
			local env = ("unset LUA_CPATH LUA_CPATH_5_4; export %s='./x.so;;'; "):format(name)
			local out = sh(env .. ([[sh mk/install %s "%s/l" "%s/s" ""]]):format(so, prefix, prefix))
			local line = out:match("export [^\n]*")
			assert(line, out)
			local found = sh(env .. line .. "; " .. lua .. [[ -e 'print(package.cpath) print((require "vai").count())']])
			assert(found:find(prefix .. "/l/?.so;./x.so;", 1, true) == 1, found)
			assert(found:find("\n1\n$"), found)
		end)
	end
end)

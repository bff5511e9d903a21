-- SPDX-License-Identifier: MIT
-- mk/install: what make install and make uninstall do.
local root = (debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "../../"
local program = dofile(root .. "spec/lua/support/program.lua")
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
	before_each(function() base = program.temp() .. "/it's here" end)

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
		sh(('rm "%s/usr/share/lua/5.4/other.lua"'):format(base))
		install("-u", "/usr", base)
		assert.equal(base .. "/usr\n" .. base .. "/usr/lib\n" .. base .. "/usr/share\n", sh(('find "%s/usr" | sort'):format(base)))
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

-- The build that hosts link: the release's, whatever variant is under test.
local release = (os.getenv("VAI_VARIANT") or "release") == "release"

describe("libvai", function()
	local base
	setup(function()
		base = program.folder()
		if release then
			local out, ok = sh("make -s build/libvai.so build/libvai.a DEPS=0 && sh mk/install-c build " .. base .. "/usr")
			assert(ok, out)
		end
	end)

	local function built(command, example)
		local found = ("PKG_CONFIG_PATH=%s/usr/lib/pkgconfig LD_LIBRARY_PATH=%s/usr/lib"):format(base, base)
		local file = (example or "minimal.c"):gsub("^[^/]*$", "examples/embed/%0")
		local out, ok = sh(("export %s; f=%s; { %s; }"):format(found, file, command:gsub("BASE", base)))
		assert(ok, out)
		return out
	end

	local libs = "-l:liblua5.4.a -luv -pthread -ldl -lrt -lm -o BASE/m"
	local how = {
		["C, shared"] = "cc -Wall -Werror $f $(pkg-config --cflags --libs vai) -L/usr/lib -pthread -o BASE/m",
		["C++, shared"] = "c++ -Wall -Werror -x c++ $f -x none $(pkg-config --cflags --libs vai) -pthread -o BASE/m",
		["C, static"] = "cc $f $(pkg-config --cflags vai) BASE/usr/lib/libvai.a " .. libs,
		["C++, static"] =
			"c++ -x c++ $f -x none $(pkg-config --cflags vai) BASE/usr/lib/libvai.a " .. libs,
	}
	for name, command in pairs(how) do
		it("is what examples/embed/minimal.c builds with, as " .. name, function()
			if not release then
				return pending("of the release's build only")
			end
			assert.equal("42\n", built(command .. " && BASE/m"))
		end)
	end

	it("is what a program without shared libraries builds with, by pkg-config alone", function()
		local _, packaged = sh("pkg-config --exists libuv-static")
		if not release or not packaged then
			return pending("of the release's build, where libuv's archive has a package")
		end
		local line = "cc -static $f $(pkg-config --static --cflags --libs vai) -o BASE/m 2>/dev/null && BASE/m"
		assert.equal("42\n", built(line))
	end)

	for name, command in pairs(how) do
		it("is what the program in doc/EMBEDDING.md builds with, as " .. name, function()
			if not release then
				return pending("of the release's build only")
			end
			local doc = sh("cat doc/EMBEDDING.md")
			local first = doc:match("## A first program.-```c\n(.-)```")
			assert(select(2, first:gsub("\n", "")) <= 40)
			local f = assert(io.open(base .. "/first.c", "w"))
			f:write(first)
			f:close()
			assert.equal("1 gives 4\n2 gives 6\n3 gives 8\n", built(command .. " && BASE/m", base .. "/first.c"))
		end)
	end

	local function builds(name, command, expected)
		it("is what " .. name .. " builds with", function()
			if not release then
				return pending("of the release's build only")
			end
			assert.equal(expected, built(command))
		end)
	end
	builds(
		"examples/embed/game.c",
		"cc -O2 -Wall -Wextra -Werror examples/embed/game.c $(pkg-config --cflags --libs vai) -o BASE/g && "
			.. "BASE/g 0.4 BASE/g.svg 2>BASE/g.err && tail -c 7 BASE/g.svg && grep -c 'in 24 frames' BASE/g.err",
		"1000 actors, 1000 with new scripts, all steps done\nrunaway: cpu time exceeded\n</svg>\n1\n"
	)
	builds(
		"examples/embed/server.cpp",
		"c++ -Wall -Wextra -Werror examples/embed/server.cpp $(pkg-config --cflags --libs vai) -pthread -o BASE/s && BASE/s",
		"echo: Hello\nreverse: olleH\nupper: HELLO\n"
	)
	builds(
		"CMake's vai::vai and vai::static",
		[[mkdir BASE/cm && cp $f BASE/cm/m.c && cat >BASE/cm/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.13)
project(host C)
find_package(vai REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4)
add_executable(shared m.c)
target_link_libraries(shared vai::vai PkgConfig::LUA pthread)
add_executable(fixed m.c)
target_link_libraries(fixed vai::static PkgConfig::LUA)
END
			{ cmake -DCMAKE_PREFIX_PATH=BASE/usr -S BASE/cm -B BASE/cm/b && cmake --build BASE/cm/b; } >BASE/cm/log 2>&1 ||
				cat BASE/cm/log; BASE/cm/b/shared && BASE/cm/b/fixed]],
		"42\n42\n"
	)

	it("has every function in its man page", function()
		if not release then
			return pending("of the release's build only")
		end
		local page = sh("cat " .. base .. "/usr/share/man/man3/vai.3")
		for name in sh("cat src/libvai.map"):gmatch("\t\t([%w_]+);") do
			assert(page:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
		end
	end)

	it("keeps the plugins of examples/embed/plugin.c in their sandbox", function()
		if not release then
			return pending("of the release's build only")
		end
		local out = built(how["C, shared"] .. " && BASE/m", "plugin.c")
		local lines = {}
		for line in out:gmatch("[^\n]+") do
			lines[#lines + 1] = line
		end
		assert.same({
			"log: saw the",
			"log: saw quick",
			"log: saw brown",
			"log: saw fox",
			"words gave 4",
			"runaway failed: cpu time exceeded",
			"hoarder failed: not enough memory: the sandbox allows 2097152 bytes to a goroutine and 67108864 bytes in all",
			"crowd failed: crowd:1: too many goroutines: the sandbox allows 20 at once",
			"thief failed: thief:1: attempt to index a nil value (global 'io')",
			"smuggler failed: smuggler:1: attempt to load a binary chunk (mode is 't')",
		}, lines)
	end)

	it("needs no Lua in a host without it", function()
		if not release then
			return pending("of the release's build only")
		end
		built([[printf '#include <vai.h>\nint main(void) { return vai_start(0) || vai_stop(); }' >BASE/c.c &&
			cc BASE/c.c $(pkg-config --cflags --libs vai-core) -o BASE/c && BASE/c && ! ldd BASE/c | grep lua]])
	end)

	it("exports what is recorded, under its version", function()
		if not release then
			return pending("of the release's build only")
		end
		local recorded = sh([[sed -n 's/^\t\t\(\w*\);$/\1/p' src/libvai.map | LC_ALL=C sort]])
		local symbols = "nm -D --defined-only %s/usr/lib/libvai.so.0 | sed -n 's/.* T \\(.*\\)@@VAI_0.1$/\\1/p' | LC_ALL=C sort"
		assert.equal(recorded, sh(symbols:format(base)))
		local sizes = [[#include <stdio.h>
#include <vai_lua.h>
int main(void) { printf("%zu %zu %zu %zu\n",
	sizeof(vai_options), sizeof(vai_case), sizeof(vai_value), sizeof(vai_lua_policy)); return 0; }]]
		local f = assert(io.open(base .. "/s.c", "w"))
		f:write(sizes):close()
		assert.equal("112 24 32 88\n", built("cc BASE/s.c $(pkg-config --cflags vai) -o BASE/s && BASE/s"))
	end)

	it("is taken away again", function()
		if not release then
			return pending("of the release's build only")
		end
		sh("sh mk/install-c -u " .. base .. "/usr")
		assert.equal(base .. "/usr\n", sh("find " .. base .. "/usr"))
	end)
end)

-- SPDX-License-Identifier: MIT
-- The Makefile under -j: with a compiler that fails where two of it write the same file, in a small copy of the tree.
local root = (debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "../../"
local program = dofile(root .. "spec/lua/support/program.lua")

local COMPILER = [[
#!/bin/sh
all=$*
while [ $# -gt 0 ]; do
	case $1 in -o) out=$2 ;; -E) exit 0 ;; esac
	shift
done
[ -n "$out" ] || exit 0
mkdir "$out.busy" || { echo "two at once: $out" >&2; exit 1; }
case $all in *-shared*) sleep 0.1 ;; esac
: >"$out"
rmdir "$out.busy"
]]

describe("make -j", function()
	local tree
	local function sh(command)
		local p = assert(io.popen("unset MAKEFLAGS MAKELEVEL; " .. command .. " 2>&1"))
		local out = p:read("a")
		return out, p:close()
	end
	setup(function()
		tree = program.folder()
		local out, ok = sh(("cd '%s' && mkdir -p %s/src %s/spec/c && cp -r Makefile mk ext lua %s && cp -r src/base src/*.* %s/src "
			.. "&& cp -r spec/c/base %s/spec/c"):format(root, tree, tree, tree, tree, tree))
		assert(ok, out)
		for name, text in pairs { cc = COMPILER, ar = '#!/bin/sh\n: >"$2"\n' } do
			local f = assert(io.open(tree .. "/" .. name, "w"))
			f:write(text)
			f:close()
		end
		assert(select(2, sh(("chmod +x %s/cc %s/ar"):format(tree, tree))))
	end)

	-- What is there afterwards; goals that run in any order leave all of it.
	local function makes(goals, file, gone)
		it("makes " .. goals, function()
			local out, ok = sh(("cd TREE && rm -rf build && make -j8 CC=TREE/cc AR=TREE/ar OBJCOPY=true DEPS=0 DESTDIR=TREE/dest PREFIX=/usr ")
				:gsub("TREE", tree) .. goals)
			assert(ok, out)
			local f = io.open(tree .. "/" .. file)
			assert.equal(gone and "gone" or "there", f and "there" or "gone", out)
			return f and f:close()
		end)
	end

	makes("build test-programs", "build/vai/http/core.so")
	makes("ext-all ext all", "build/vai/nats/core.so")
	makes("clean build test-programs", "build/vai.so")
	makes("build clean", "build/vai.so", true)
	makes("env build ext-all", "build/vai/tls/core.so")
	makes("rock rock-http rock-nats rock-tls", "build/rock/vai/tls/core.so")
	makes("install uninstall", "dest/usr/lib/lua/5.4/vai.so", true)
	makes("clean install uninstall", "dest/usr/lib", true)
	makes("uninstall install", "dest/usr/lib/lua/5.4/vai.so")
end)

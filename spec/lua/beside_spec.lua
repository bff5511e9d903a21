-- SPDX-License-Identifier: MIT
-- The modules beside vai.so: what each needs, and what `require` says of one that is not there.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

describe("vai.so", function()
	program.test("needs libuv and libc only", [=[
		local r = vai.process.run { "readelf", "-d", os.getenv("VAI_BUILD") .. "/vai.so" }
		local seen = 0
		for name in r.out:gmatch("%(NEEDED%)[^%[]*%[([^%]]+)") do
			seen = seen + 1
			local plain = name:match("^lib(%a+)%.so") or name:match("^(ld%-linux)")
			check.eq(({ uv = true, c = true, m = true, dl = true, pthread = true, rt = true, gcc_s = true, ["ld-linux"] = true,
				asan = true, ubsan = true, tsan = true })[plain or name], true, name)
		end
		check.eq(seen >= 2, true)
	]=], { procs = 1 })
end)

describe("a module that was not built", function()
	program.test("says what to install", [[
		package.cpath = os.getenv("VAI_BUILD") .. "/vai.so;" -- no other shared object is found there
		check.raises({ "vai.http needs vai/http/core.so", "libhttp%-parser%-dev", "luarocks install vai%-http" },
			require, "vai.http")
		check.raises({ "vai.tls needs vai/tls/core.so", "libssl%-dev", "luarocks install vai%-tls" }, require, "vai.tls")
		check.raises({ "vai.nats needs vai/nats/core.so", "run make", "luarocks install vai%-nats" }, require, "vai.nats")
	]], { procs = 1 })
end)

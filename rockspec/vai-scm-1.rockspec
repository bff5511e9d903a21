rockspec_format = "3.0"
package = "vai"
version = "scm-1"

source = {
	url = "git+https://github.com/vai-lua/vai.git",
	branch = "main",
}

description = {
	summary = "Goroutines on all cores for stock Lua 5.4",
	detailed = [[
Runs Lua functions as goroutines on several OS threads at once: a G/P/M scheduler in C, a Lua state per
goroutine cloned from a snapshot, channels, select, wait groups and timers. No patched Lua, no global
lock; parking works inside comparators, metamethods, iterators and coroutines.]],
	homepage = "https://github.com/vai-lua/vai",
	issues_url = "https://github.com/vai-lua/vai/issues",
	license = "MIT",
	labels = { "concurrency", "threads", "goroutines", "channels", "parallel" },
}

supported_platforms = { "linux" }

dependencies = { "lua >= 5.4, < 5.5" }

external_dependencies = {
	LIBUV = { header = "uv.h", library = "uv" },
}

build = {
	type = "make",
	build_target = "rock",
	install_target = "rock-install",
	build_variables = {
		CC = "$(CC)",
		CFLAGS = "$(CFLAGS)",
		LUA = "$(LUA)",
		LUA_INCDIR = "$(LUA_INCDIR)",
		UV_INCDIR = "$(LIBUV_INCDIR)",
		UV_LIBDIR = "$(LIBUV_LIBDIR)",
	},
	install_variables = {
		INST_LIBDIR = "$(LIBDIR)",
		INST_LUADIR = "$(LUADIR)",
	},
	copy_directories = { "doc", "examples" },
}

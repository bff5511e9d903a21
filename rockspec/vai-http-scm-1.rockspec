rockspec_format = "3.0"
package = "vai-http"
version = "scm-1"

source = {
	url = "git+https://github.com/vai-lua/vai.git",
	branch = "main",
}

description = {
	summary = "HTTP for vai, goroutines for stock Lua 5.4",
	detailed = [[
HTTP/1.1 for vai's goroutines: a server whose idle connections hold no Lua state, and a client with a pool.
Needs llhttp or http-parser 2.9; uses zlib and wslay (WebSocket) where they are. The module is `vai.http`; its Lua files come with vai.]],
	homepage = "https://github.com/vai-lua/vai",
	issues_url = "https://github.com/vai-lua/vai/issues",
	license = "MIT",
	labels = { "concurrency", "goroutines", "http", "network" },
}

supported_platforms = { "linux" }

dependencies = { "lua >= 5.4, < 5.5", "vai" }

build = {
	type = "make",
	build_target = "rock-http",
	install_target = "rock-http-install",
	build_variables = {
		CC = "$(CC)",
		CFLAGS = "$(CFLAGS)",
		LUA = "$(LUA)",
		LUA_INCDIR = "$(LUA_INCDIR)",
	},
	install_variables = {
		INST_LIBDIR = "$(LIBDIR)",
	},
}

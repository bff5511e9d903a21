rockspec_format = "3.0"
package = "vai-nats"
version = "scm-1"

source = {
	url = "git+https://github.com/vai-lua/vai.git",
	branch = "main",
}

description = {
	summary = "NATS for vai, goroutines for stock Lua 5.4",
	detailed = [[
Channels, requests and streams between machines for vai's goroutines, through servers of NATS. Needs no library; with
OpenSSL there are keys and files of credentials, with vai-tls there is TLS. The module is `vai.nats`; its Lua files come
with vai.]],
	homepage = "https://github.com/vai-lua/vai",
	issues_url = "https://github.com/vai-lua/vai/issues",
	license = "MIT",
	labels = { "concurrency", "goroutines", "messaging", "nats", "network" },
}

supported_platforms = { "linux" }

dependencies = { "lua >= 5.4, < 5.5", "vai" }

build = {
	type = "make",
	build_target = "rock-nats",
	install_target = "rock-nats-install",
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

rockspec_format = "3.0"
package = "vai-tls"
version = "scm-1"

source = {
	url = "git+https://github.com/vai-lua/vai.git",
	branch = "main",
}

description = {
	summary = "TLS for vai, goroutines for stock Lua 5.4",
	detailed = [[
TLS 1.2 and 1.3 over vai's connections, as client and as server, by OpenSSL. The module is `vai.tls`; its Lua files come with vai.]],
	homepage = "https://github.com/vai-lua/vai",
	issues_url = "https://github.com/vai-lua/vai/issues",
	license = "MIT",
	labels = { "concurrency", "goroutines", "tls", "network" },
}

supported_platforms = { "linux" }

dependencies = { "lua >= 5.4, < 5.5", "vai" }

external_dependencies = {
	OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
}

build = {
	type = "make",
	build_target = "rock-tls",
	install_target = "rock-tls-install",
	build_variables = {
		CC = "$(CC)",
		CFLAGS = "$(CFLAGS)",
		LUA = "$(LUA)",
		LUA_INCDIR = "$(LUA_INCDIR)",
		OPENSSL_INCDIR = "$(OPENSSL_INCDIR)",
		OPENSSL_LIBDIR = "$(OPENSSL_LIBDIR)",
	},
	install_variables = {
		INST_LIBDIR = "$(LIBDIR)",
	},
}

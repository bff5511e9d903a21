/* SPDX-License-Identifier: MIT */
/* vai in a server of C++: each kind of connection has a handler in Lua, every connection is a goroutine with a state of
 * its own, all on one scheduler. Clients are plain threads of the program, which vai does not know. */
#include <arpa/inet.h>
#include <cstdio>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vai_lua.h>
#include <vector>

namespace {

const char *const kinds = R"lua(
local vai = ...
local kinds = {
	echo = function(line) return line end,
	upper = function(line) return line:upper() end,
	reverse = function(line) return line:reverse() end,
}
local ports = {}
for name, answer in pairs(kinds) do
	local listener = assert(vai.net.listen("tcp", "127.0.0.1:0"))
	ports[name] = tonumber(listener:addr():match(":(%d+)$"))
	vai.net.serve(listener, function(conn)
		for line in conn:lines() do conn:write(answer(line), "\n") end
		conn:close()
	end)
end
return ports
)lua";

struct Unref {
	void operator()(vai_chan *ch) const { vai_unref(ch); }
};
using Chan = std::unique_ptr<vai_chan, Unref>;

std::string ask(int port, const std::string &line)
{
	std::string reply;
	sockaddr_in to{};
	to.sin_family = AF_INET;
	to.sin_port = htons(static_cast<uint16_t>(port));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	std::string out = line + "\n";
	if (connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to) == 0 &&
		write(fd, out.data(), out.size()) == static_cast<ssize_t>(out.size())) {
		char c;
		while (read(fd, &c, 1) == 1 && c != '\n')
			reply += c;
	}
	close(fd);
	return reply;
}

/* The client of a kind: sends what it has heard to main. */
void client(vai_chan *heard, const std::string &kind, int port)
{
	vai_value v;
	std::string text = kind + ": " + ask(port, "Hello");
	if (vai_value_string(&v, text.data(), text.size()) == VAI_OK && vai_send_value(heard, &v, 0) != VAI_OK)
		vai_value_drop(&v);
}

} // namespace

int main()
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	if (vai_start(nullptr) != VAI_OK)
		return 1;
	luaL_requiref(L, "vai", luaopen_vai, 0);
	if (luaL_loadstring(L, kinds) != LUA_OK)
		return 1;
	lua_insert(L, -2);
	if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
		std::fprintf(stderr, "%s\n", lua_tostring(L, -1));
		return 1;
	}
	Chan heard(vai_chan_new_values(8));
	std::vector<std::thread> threads;
	for (const char *kind : {"echo", "reverse", "upper"}) {
		lua_getfield(L, -1, kind);
		threads.emplace_back(client, heard.get(), std::string(kind), static_cast<int>(lua_tointeger(L, -1)));
		lua_pop(L, 1);
		vai_value v; /* while main waits, goroutines run on its thread, too */
		if (vai_recv_value(heard.get(), &v, VAI_FOREVER) != VAI_OK)
			return 1;
		size_t length;
		const char *text = vai_value_to_string(&v, &length);
		std::printf("%.*s\n", static_cast<int>(length), text);
		vai_value_drop(&v);
	}
	for (std::thread &t : threads)
		t.join();
	vai_stop();
	lua_close(L);
	return 0;
}

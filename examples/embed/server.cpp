/* SPDX-License-Identifier: MIT */
/* vai in a server of C++: each kind of connection has a thread of the program and a Lua state of its own, with a handler
 * in Lua; every connection is a goroutine. All states share one scheduler, so connections run on all cores, whatever their
 * kind, and one kind can be closed while the others go on. Clients are plain threads of the program, which vai does not
 * know. */
#include <arpa/inet.h>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vai_lua.h>
#include <vector>

namespace {

/* What every kind's state runs. `seen` is shared by all of them. */
const char *const script = R"lua(
local vai, kind, seen = ...
local kinds = {
	echo = function(line) return line end,
	upper = function(line) return line:upper() end,
	reverse = function(line) return line:reverse() end,
}
local answer = kinds[kind]
local listener = assert(vai.net.listen("tcp", "127.0.0.1:0"))
vai.net.serve(listener, function(conn)
	for line in conn:lines() do
		seen:send(kind)
		conn:write(answer(line), "\n")
	end
	conn:close()
end)
return tonumber(listener:addr():match(":(%d+)$"))
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

/* A kind of connections: its thread opens a state, says on which port it serves, and closes the state when it is told
 * to stop. The state is this thread's alone. */
class Kind {
public:
	Kind(std::string kind, vai_chan *seen)
		: stop(vai_chan_new_values(0)), thread([this, kind, seen] { run(kind, seen); })
	{
	}
	~Kind()
	{
		vai_close(stop.get()); /* which any thread may do: it ends the wait in run() */
		thread.join();
	}
	int port() { return opened.get_future().get(); }

private:
	void run(const std::string &kind, vai_chan *seen)
	{
		lua_State *L = luaL_newstate();
		luaL_openlibs(L);
		bool fails = luaL_loadstring(L, script) != LUA_OK;
		luaL_requiref(L, "vai", luaopen_vai, 0);
		lua_pushstring(L, kind.c_str());
		vai_lua_pushchan(L, seen);
		fails = fails || lua_pcall(L, 3, 1, 0) != LUA_OK;
		if (fails)
			std::fprintf(stderr, "%s: %s\n", kind.c_str(), lua_tostring(L, -1));
		opened.set_value(fails ? 0 : static_cast<int>(lua_tointeger(L, -1)));
		vai_value v; /* while this waits, goroutines run on the thread, too */
		while (!fails && vai_recv_value(stop.get(), &v, VAI_FOREVER) == VAI_OK)
			vai_value_drop(&v);
		lua_close(L); /* ends the connections of this kind, and no others */
	}

	Chan stop;
	std::promise<int> opened;
	std::thread thread; /* last: it uses the others */
};

} // namespace

int main()
{
	Chan seen(vai_chan_new_values(8));
	std::vector<std::unique_ptr<Kind>> kinds;
	for (const char *kind : {"echo", "reverse", "upper"})
		kinds.push_back(std::make_unique<Kind>(kind, seen.get()));
	for (auto &kind : kinds) {
		std::string reply;
		int port = kind->port();
		std::thread client([&] { reply = ask(port, "Hello"); });
		client.join();
		vai_value v; /* what some connection has sent, whichever state it belongs to */
		if (vai_recv_value(seen.get(), &v, 0) != VAI_OK)
			return 1;
		size_t length;
		const char *text = vai_value_to_string(&v, &length);
		std::printf("%.*s: %s\n", static_cast<int>(length), text, reply.c_str());
		vai_value_drop(&v);
		kind.reset(); /* the others go on */
	}
	return 0;
}

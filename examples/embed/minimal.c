/* vai in a host: a goroutine of C, one of Lua and a thread of the host's exchange values. doc/EMBEDDING.md */
#include <pthread.h>
#include <stdio.h>
#include <vai_lua.h>

static vai_chan *in, *out;

static void *host_thread(void *unused) /* a thread that vai does not know */
{
	vai_value v = vai_value_integer(20);
	vai_send_value(in, &v, 0); /* such a thread never waits */
	return unused;
}

static void doubles(void *unused) /* a goroutine of C */
{
	vai_value v;
	if (!unused && vai_recv_value(in, &v, VAI_FOREVER) == VAI_OK)
		v = vai_value_integer(2 * vai_value_to_integer(&v));
	vai_send_value(out, &v, VAI_FOREVER);
}

int main(void)
{
	pthread_t thread;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	if (vai_start(NULL) != VAI_OK || !(in = vai_chan_new_values(1)) || !(out = vai_chan_new_values(0)))
		return 1;
	luaL_requiref(L, "vai", luaopen_vai, 1);
	vai_go(doubles, NULL);
	pthread_create(&thread, NULL, host_thread, NULL);
	vai_lua_pushchan(L, out);
	lua_setglobal(L, "out");
	int failed =
		luaL_dostring(L, "local t = vai.async(function() return out:recv() + 2 end) print(select(2, t:join()))");
	pthread_join(thread, NULL);
	vai_stop();
	lua_close(L);
	return failed;
}

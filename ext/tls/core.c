/* SPDX-License-Identifier: MIT */
/* vai.tls.core: the part of vai.tls (lua/vai/tls.lua) that is written in C. */
#include "tls.h"

const struct vai__extension *vai__tls_base;
int vai__tls_index;

static struct context *context_at(lua_State *L, int idx)
{
	struct vai_obj *o = vai__tls_base->handle_test(L, idx, &vai__tls_context_class);
	if (!o)
		luaL_argerror(L, idx, "TLS context expected");
	return (struct context *)o;
}

/* over(conn, context [, server_name]) -> a connection; or nil, why. */
static int over(lua_State *L)
{
	const char *why;
	struct vai_obj *c = vai__tls_base->handle_test(L, 1, vai__tls_base->conn_class);
	struct context *context = context_at(L, 2);
	size_t nname = 0;
	const char *name = luaL_optlstring(L, 3, NULL, &nname);
	if (!c)
		luaL_argerror(L, 1, "connection expected");
	if (!vai__tls_base->conn_ops((vai_conn *)c)->shut)
		return luaL_argerror(L, 1, "a connection in both directions expected");
	bool whole = !name || strlen(name) == nname; /* a name with a zero in it would be checked only up to there */
	vai_conn *secure = whole ? vai__tls_over(context, (vai_conn *)c, name, &why) : NULL;
	if (!secure) {
		lua_pushnil(L);
		lua_pushstring(L, whole ? why : "the server's name contains NUL");
		lua_pushliteral(L, "ETLS");
		return 3;
	}
	vai__tls_base->push_new(L, (struct vai_obj *)secure);
	return 1;
}

static vai_conn *wrap_over(void *arg, vai_conn *c)
{
	const char *why;
	vai_conn *secure = vai__tls_over(arg, c, NULL, &why);
	if (secure)
		vai__obj_unref((struct vai_obj *)c); /* the new one has a reference of its own */
	return secure;
}

static void wrap_release(void *arg)
{
	vai__obj_unref(&((struct context *)arg)->obj);
}

/* wrap(listener, context): makes the connections that a new listener accepts TLS. */
static int wrap(lua_State *L)
{
	struct vai_obj *l = vai__tls_base->handle_test(L, 1, vai__tls_base->listener_class);
	struct context *context = context_at(L, 2);
	struct vai__listener_wrap w = {wrap_over, wrap_release, context};
	if (!l)
		luaL_argerror(L, 1, "listener expected");
	vai__obj_ref(&context->obj);
	vai__tls_base->listener_wrap((vai_listener *)l, &w);
	return 0;
}

static const luaL_Reg functions[] = {
	{"context", vai__tls_context},
	{"over", over},
	{"wrap", wrap},
	{NULL, NULL},
};

static void open_once(const struct vai__extension *base)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&mutex);
	if (!vai__tls_base) {
		vai__tls_base = base;
		/* OpenSSL must free nothing at exit, as other threads may be using it. */
		OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
		vai__tls_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		vai__tls_context_prepare();
		base->handle_register(&vai__tls_context_type);
	}
	pthread_mutex_unlock(&mutex);
}

VAI__QUICK_MODULE;

__attribute__((visibility("default"))) int luaopen_vai_tls_core(lua_State *L);

int luaopen_vai_tls_core(lua_State *L)
{
	open_once(vai__extension_of(L, "vai.tls"));
	luaL_newlib(L, functions);
	return 1;
}

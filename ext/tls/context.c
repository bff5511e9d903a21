/* SPDX-License-Identifier: MIT */
/* Contexts: what connections have in common. The SSL_CTX of a context never changes once a connection may use it:
 * reload makes another one and replaces it. */
#include "tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void context_destroy(struct vai_obj *o)
{
	struct context *c = VAI_CONTAINER(o, struct context, obj);
	for (int i = 0; i < SESSIONS; i++)
		SSL_SESSION_free(c->kept[i].session);
	SSL_CTX_free(c->ctx);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

const struct vai_class vai__tls_context_class = {"TLS context", context_destroy};

SSL *vai__tls_context_ssl(struct context *c)
{
	pthread_mutex_lock(&c->mutex);
	SSL *ssl = SSL_new(c->ctx);
	pthread_mutex_unlock(&c->mutex);
	return ssl;
}

/* ---- sessions ---- */

/* Finds the kept session for a server's name. Mutex held. */
static struct kept *find_kept(struct context *c, const char *name)
{
	for (int i = 0; i < SESSIONS; i++)
		if (c->kept[i].session && strcmp(c->kept[i].name, name) == 0)
			return &c->kept[i];
	return NULL;
}

void vai__tls_context_keep(struct context *c, const char *name, SSL_SESSION *session)
{
	pthread_mutex_lock(&c->mutex);
	struct kept *k = find_kept(c, name);
	if (!k)
		k = &c->kept[c->next_kept++ % SESSIONS];
	SSL_SESSION_free(k->session);
	k->session = session;
	snprintf(k->name, sizeof k->name, "%s", name);
	pthread_mutex_unlock(&c->mutex);
}

void vai__tls_context_resume(struct context *c, const char *name, SSL *ssl)
{
	pthread_mutex_lock(&c->mutex);
	struct kept *k = find_kept(c, name);
	if (k)
		SSL_set_session(ssl, k->session);
	pthread_mutex_unlock(&c->mutex);
}

/* Called by OpenSSL when the server has given a session. 1: the reference is taken over. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct session *s = SSL_get_ex_data(ssl, vai__tls_index);
	if (!s || !*s->name)
		return 0;
	vai__tls_context_keep(s->context, s->name, session);
	return 1;
}

/* ---- reading options ---- */

/* What a context is made of. Strings belong to the table at index 1. */
struct wanted {
	SSL_CTX *ctx;
	bool server, verify;
	char why[WHY_BYTES];
};

static bool wrong(struct wanted *w, const char *what, const char *which)
{
	unsigned long e = ERR_peek_error();
	char text[128];
	const char *reason = ERR_reason_error_string(e);
	if (ERR_SYSTEM_ERROR(e) && strerror_r(ERR_GET_REASON(e), text, sizeof text) == 0)
		reason = text;
	snprintf(w->why, sizeof w->why, "%s '%.200s'%s%s", what, which, reason ? ": " : "", reason ? reason : "");
	return false;
}

/* The string under a name in the table at idx, or NULL. It stays on the stack. */
static const char *text_at(lua_State *L, int idx, const char *name)
{
	int type = lua_getfield(L, idx, name);
	if (type != LUA_TNIL && type != LUA_TSTRING)
		luaL_error(L, "bad TLS option '%s' (string expected, got %s)", name, luaL_typename(L, -1));
	return lua_tostring(L, -1);
}

static const char *text_of(lua_State *L, const char *name)
{
	return text_at(L, 1, name);
}

static bool is_pem(const char *text)
{
	return strstr(text, "-----BEGIN") != NULL;
}

static bool add_authorities(struct wanted *w, const char *ca)
{
	ERR_clear_error();
	if (!is_pem(ca)) {
		struct stat st; /* OpenSSL accepts any name as one of a folder */
		bool ok = stat(ca, &st) == 0 && S_ISDIR(st.st_mode) ? SSL_CTX_load_verify_dir(w->ctx, ca) == 1
															: SSL_CTX_load_verify_file(w->ctx, ca) == 1;
		return ok || wrong(w, "ca", ca);
	}
	BIO *b = BIO_new_mem_buf(ca, -1);
	X509 *cert;
	int n = 0;
	while (b && (cert = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(w->ctx), cert);
		X509_free(cert);
		n++;
	}
	BIO_free(b);
	return n > 0 || wrong(w, "ca", "(text)");
}

static bool use_chain_text(SSL_CTX *ctx, const char *text)
{
	BIO *b = BIO_new_mem_buf(text, -1);
	X509 *cert = b ? PEM_read_bio_X509_AUX(b, NULL, NULL, NULL) : NULL;
	bool ok = cert && SSL_CTX_use_certificate(ctx, cert) == 1;
	X509_free(cert);
	while (ok && (cert = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
		ok = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
	BIO_free(b);
	return ok;
}

static bool use_key_text(SSL_CTX *ctx, const char *text)
{
	BIO *b = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;
	EVP_PKEY_free(key);
	BIO_free(b);
	return ok;
}

static bool use_own(struct wanted *w, const char *cert, const char *key)
{
	ERR_clear_error();
	bool text = is_pem(cert);
	if (!(text ? use_chain_text(w->ctx, cert) : SSL_CTX_use_certificate_chain_file(w->ctx, cert) == 1))
		return wrong(w, "cert", text ? "(text)" : cert);
	if (!key)
		key = cert;
	text = is_pem(key);
	ERR_clear_error();
	if (!(text ? use_key_text(w->ctx, key) : SSL_CTX_use_PrivateKey_file(w->ctx, key, SSL_FILETYPE_PEM) == 1))
		return wrong(w, "key", text ? "(text)" : key);
	return true;
}

/* ---- more certificates of a server ---- */

struct pair {
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* or NULL */
};

/* A certificate of the option `certs`; belongs to the SSL_CTX. */
struct named {
	size_t n;
	struct pair pairs[];
};

static int named_index; /* the index of that list in an SSL_CTX's data */

static void free_named(void *parent, void *p, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct named *all = p;
	(void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
	for (size_t i = 0; all && i < all->n; i++) {
		X509_free(all->pairs[i].cert);
		EVP_PKEY_free(all->pairs[i].key);
		sk_X509_pop_free(all->pairs[i].chain, X509_free);
	}
	free(all);
}

static bool is_for(X509 *cert, const char *name)
{
	return X509_check_host(cert, name, 0, 0, NULL) == 1;
}

/* Called by OpenSSL to choose the certificate for a client: the first that is valid for the name that the client asks
 * for; if there is none, or the client gives no name, that of the option `cert`. */
static int on_certificate(SSL *ssl, void *arg)
{
	const struct named *all = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (!name || is_for(SSL_get_certificate(ssl), name))
		return 1;
	for (size_t i = 0; i < all->n; i++) {
		const struct pair *p = &all->pairs[i];
		if (!is_for(p->cert, name))
			continue;
		SSL_certs_clear(ssl); /* otherwise one with another kind of key would be left beside it */
		return SSL_use_cert_and_key(ssl, p->cert, p->key, p->chain, 1);
	}
	return 1;
}

static bool read_pair(struct wanted *w, struct pair *p, const char *cert, const char *key)
{
	struct wanted one = {.ctx = SSL_CTX_new(TLS_server_method())};
	STACK_OF(X509) *chain = NULL;
	bool ok = one.ctx && use_own(&one, cert, key);
	if (ok) {
		p->cert = SSL_CTX_get0_certificate(one.ctx);
		p->key = SSL_CTX_get0_privatekey(one.ctx);
		X509_up_ref(p->cert);
		EVP_PKEY_up_ref(p->key);
		SSL_CTX_get0_chain_certs(one.ctx, &chain);
		p->chain = chain ? X509_chain_up_ref(chain) : NULL;
	}
	SSL_CTX_free(one.ctx);
	memcpy(w->why, one.why, sizeof w->why);
	return ok;
}

/* Reads the list under "certs" of pairs { cert =, key = }. */
static bool set_named(lua_State *L, struct wanted *w)
{
	int type = lua_getfield(L, 1, "certs"), list = lua_gettop(L);
	if (type == LUA_TNIL || !w->server)
		return true;
	if (type != LUA_TTABLE)
		luaL_error(L, "bad TLS option 'certs' (table expected, got %s)", luaL_typename(L, list));
	size_t n = lua_rawlen(L, list);
	struct named *all = calloc(1, sizeof *all + n * sizeof *all->pairs);
	if (!all || SSL_CTX_set_ex_data(w->ctx, named_index, all) != 1) {
		free(all);
		return luaL_error(L, "not enough memory") != 0;
	}
	for (; all->n < n; lua_settop(L, list)) {
		if (lua_rawgeti(L, list, (lua_Integer)all->n + 1) != LUA_TTABLE)
			luaL_error(L, "bad TLS option 'certs' (list of tables expected, got %s in it)", luaL_typename(L, -1));
		const char *cert = text_at(L, list + 1, "cert"), *key = text_at(L, list + 1, "key");
		if (!cert)
			return luaL_error(L, "bad TLS option 'certs' ('cert' is missing)") != 0;
		if (!read_pair(w, &all->pairs[all->n], cert, key))
			return false;
		all->n++;
	}
	SSL_CTX_set_cert_cb(w->ctx, on_certificate, all);
	return true;
}

/* ---- protocols ---- */

/* Chooses the protocol: the first of the server's that the client has, too. A client that offers only others is refused
 * (RFC 7301, 3.2), as it would speak a protocol that was not agreed on. */
static int on_alpn(
	SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned nin, void *arg)
{
	const unsigned char *own = arg;
	(void)ssl;
	unsigned char *picked;
	if (SSL_select_next_proto(&picked, n, own + 1, own[0], in, nin) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = picked;
	return SSL_TLSEXT_ERR_OK;
}

static void free_alpn(void *parent, void *p, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	(void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
	free(p);
}

static int alpn_index; /* the index of a server's list in an SSL_CTX's data */

void vai__tls_context_prepare(void)
{
	alpn_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_alpn);
	named_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_named);
}

/* Reads the list under "alpn" into its wire form, with its length in a byte before it; it is freed with the SSL_CTX. */
static bool set_alpn(lua_State *L, struct wanted *w)
{
	unsigned char wire[256];
	size_t at = 1, n;
	if (lua_getfield(L, 1, "alpn") != LUA_TTABLE)
		return true;
	for (int i = 1; lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
		const char *one = lua_tolstring(L, -1, &n);
		if (n == 0 || n > 64 || at + n + 1 > sizeof wire)
			return wrong(w, "alpn", one);
		wire[at++] = (unsigned char)n;
		memcpy(wire + at, one, n);
		at += n;
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	wire[0] = (unsigned char)(at - 1);
	if (at == 1)
		return true;
	if (!w->server)
		return SSL_CTX_set_alpn_protos(w->ctx, wire + 1, wire[0]) == 0;
	unsigned char *kept = malloc(at);
	if (!kept)
		return wrong(w, "alpn", "not enough memory");
	memcpy(kept, wire, at);
	SSL_CTX_set_ex_data(w->ctx, alpn_index, kept);
	SSL_CTX_set_alpn_select_cb(w->ctx, on_alpn, kept);
	return true;
}

static bool set_version(struct wanted *w, const char *version)
{
	if (!version || strcmp(version, "1.2") == 0)
		return SSL_CTX_set_min_proto_version(w->ctx, TLS1_2_VERSION) == 1;
	if (strcmp(version, "1.3") == 0)
		return SSL_CTX_set_min_proto_version(w->ctx, TLS1_3_VERSION) == 1;
	ERR_clear_error();
	return wrong(w, "min_version", version);
}

/* ---- making one ---- */

/* The system's authorities. Reading them takes tens of milliseconds, so all contexts of the process share them. */
static X509_STORE *system_store(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static X509_STORE *store;
	pthread_mutex_lock(&mutex);
	if (!store && (store = X509_STORE_new()) != NULL && X509_STORE_set_default_paths(store) != 1) {
		X509_STORE_free(store);
		store = NULL;
	}
	pthread_mutex_unlock(&mutex);
	return store;
}

static bool trust_system(struct wanted *w)
{
	X509_STORE *store = system_store();
	if (store)
		SSL_CTX_set1_cert_store(w->ctx, store);
	return store || wrong(w, "ca", "(the system's)");
}

static bool set_trust(lua_State *L, struct wanted *w)
{
	const char *ca = text_of(L, "ca"), *client_ca = text_of(L, "client_ca");
	if (w->server) {
		w->verify = client_ca != NULL;
		if (w->verify)
			SSL_CTX_set_verify(w->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, vai__tls_verify);
		else /* a handshake knows no other certificates in which it could look for a chain */
			SSL_CTX_set_mode(w->ctx, SSL_MODE_NO_AUTO_CHAIN);
		return !w->verify || add_authorities(w, client_ca);
	}
	w->verify = lua_getfield(L, 1, "verify") == LUA_TNIL || lua_toboolean(L, -1);
	SSL_CTX_set_verify(w->ctx, SSL_VERIFY_PEER, vai__tls_verify);
	return ca ? add_authorities(w, ca) : trust_system(w);
}

/* Makes a server's clients keep its sessions, in tickets: the server would otherwise keep up to 20,000 of them. One
 * ticket for a connection, as in Go: a client uses each once, and its next connection brings another. */
static void resume_by_tickets(SSL_CTX *ctx)
{
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"vai", 3);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
}

static bool set_all(lua_State *L, struct wanted *w)
{
	const char *cert = text_of(L, "cert"), *key = text_of(L, "key");
	SSL_CTX_set_options(w->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(w->ctx, SSL_MODE_RELEASE_BUFFERS);
	if (!w->server) {
		SSL_CTX_set_session_cache_mode(w->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(w->ctx, on_session);
	} else {
		resume_by_tickets(w->ctx);
	}
	if (w->server && !cert) {
		snprintf(w->why, sizeof w->why, "a server needs 'cert'");
		return false;
	}
	return set_version(w, text_of(L, "min_version")) && set_alpn(L, w) && set_trust(L, w) &&
		(!cert || use_own(w, cert, key)) && set_named(L, w);
}

/* Fills *w from the options. In a protected call, as it raises for options of wrong types. */
static int fill(lua_State *L)
{
	struct wanted *w = lua_touserdata(L, 2);
	luaL_checkstack(L, 16, NULL);
	lua_pushboolean(L, set_all(L, w));
	return 1;
}

/* Makes the SSL_CTX for the options at index 1. False: w->why says why not; or it raises. */
static bool make(lua_State *L, struct wanted *w)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_getfield(L, 1, "server");
	w->server = lua_toboolean(L, -1);
	w->ctx = SSL_CTX_new(w->server ? TLS_server_method() : TLS_client_method());
	if (!w->ctx)
		return luaL_error(L, "not enough memory");
	lua_pushcfunction(L, fill);
	lua_pushvalue(L, 1);
	lua_pushlightuserdata(L, w);
	int status = lua_pcall(L, 2, 1, 0);
	if (status == LUA_OK && lua_toboolean(L, -1))
		return true;
	SSL_CTX_free(w->ctx);
	if (status != LUA_OK)
		lua_error(L);
	return false;
}

static int refused(lua_State *L, const struct wanted *w)
{
	lua_pushnil(L);
	lua_pushstring(L, *w->why ? w->why : "bad TLS options");
	lua_pushliteral(L, "ETLS");
	return 3;
}

int vai__tls_context(lua_State *L)
{
	struct wanted w = {.ctx = NULL};
	if (!make(L, &w))
		return refused(L, &w);
	struct context *c = calloc(1, sizeof *c);
	if (!c) {
		SSL_CTX_free(w.ctx);
		return luaL_error(L, "not enough memory");
	}
	vai__obj_init(&c->obj, &vai__tls_context_class);
	pthread_mutex_init(&c->mutex, NULL);
	c->ctx = w.ctx;
	c->verify = w.verify;
	c->server = w.server;
	vai__tls_base->push_new(L, &c->obj);
	return 1;
}

/* _reload(options): later connections use these certificates. Open ones keep theirs. */
static int context_reload(lua_State *L)
{
	struct wanted w = {.ctx = NULL};
	struct context *c = (struct context *)vai__tls_base->handle_test(L, 1, &vai__tls_context_class);
	if (!c)
		return luaL_error(L, "calling '_reload' on bad self (TLS context expected)");
	lua_settop(L, 2);
	lua_insert(L, 1); /* the options are at index 1 now */
	if (!make(L, &w))
		return refused(L, &w);
	pthread_mutex_lock(&c->mutex);
	SSL_CTX *old = c->ctx;
	c->ctx = w.ctx;
	c->verify = w.verify;
	pthread_mutex_unlock(&c->mutex);
	SSL_CTX_free(old);
	lua_pushboolean(L, 1);
	return 1;
}

static const luaL_Reg methods[] = {
	{"_reload", context_reload},
	{NULL, NULL},
};
const struct vai__handle_type vai__tls_context_type = {&vai__tls_context_class, "vai.tls_context", methods, NULL};

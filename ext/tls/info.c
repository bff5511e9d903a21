/* SPDX-License-Identifier: MIT */
/* What conn:info() returns for a TLS connection. */
#include "tls.h"
#include <stdio.h>
#include <time.h>

void vai__tls_name(X509_NAME *name, char *buf, size_t n)
{
	BIO *b = BIO_new(BIO_s_mem());
	*buf = 0;
	if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) > 0) {
		int k = BIO_read(b, buf, (int)n - 1);
		buf[k > 0 ? k : 0] = 0;
	}
	BIO_free(b);
}

/* Writes one name of a certificate as text. */
static void name_text(const GENERAL_NAME *g, char *buf, size_t n)
{
	*buf = 0;
	if (g->type == GEN_DNS || g->type == GEN_EMAIL || g->type == GEN_URI) {
		snprintf(buf, n, "%.*s", ASN1_STRING_length(g->d.ia5), (const char *)ASN1_STRING_get0_data(g->d.ia5));
	} else if (g->type == GEN_IPADD) {
		const unsigned char *p = ASN1_STRING_get0_data(g->d.iPAddress);
		int len = ASN1_STRING_length(g->d.iPAddress);
		size_t at = 0;
		for (int i = 0; len == 4 && i < 4; i++)
			at += (size_t)snprintf(buf + at, n - at, "%s%d", i ? "." : "", p[i]);
		for (int i = 0; len == 16 && i < 16; i += 2)
			at += (size_t)snprintf(buf + at, n - at, "%s%x", i ? ":" : "", p[i] << 8 | p[i + 1]);
	}
}

void vai__tls_names(X509 *cert, char *buf, size_t n)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t at = 0;
	*buf = 0;
	for (int i = 0; list && i < sk_GENERAL_NAME_num(list) && at < n; i++) {
		char one[NAME_BYTES];
		name_text(sk_GENERAL_NAME_value(list, i), one, sizeof one);
		if (*one)
			at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? ", " : "", one);
	}
	GENERAL_NAMES_free(list);
}

static void set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

static void push_names(lua_State *L, X509 *cert)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	lua_newtable(L);
	for (int i = 0; list && i < sk_GENERAL_NAME_num(list); i++) {
		char one[NAME_BYTES];
		name_text(sk_GENERAL_NAME_value(list, i), one, sizeof one);
		if (*one) {
			lua_pushstring(L, one);
			lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
		}
	}
	GENERAL_NAMES_free(list);
}

static void push_peer(lua_State *L, X509 *cert)
{
	char text[NAME_BYTES];
	struct tm tm;
	lua_newtable(L);
	vai__tls_name(X509_get_subject_name(cert), text, sizeof text);
	set_string(L, "subject", text);
	vai__tls_name(X509_get_issuer_name(cert), text, sizeof text);
	set_string(L, "issuer", text);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
		lua_pushinteger(L, (lua_Integer)timegm(&tm));
		lua_setfield(L, -2, "not_after");
	}
	push_names(L, cert);
	lua_setfield(L, -2, "names");
}

/* What is read from OpenSSL first, before Lua may raise. */
struct facts {
	const char *version, *cipher;
	char alpn[64];
	bool resumed;
	X509 *peer;
	char error[WHY_BYTES];
};

static void read_facts(struct session *s, struct facts *f)
{
	const unsigned char *alpn;
	unsigned n;
	pthread_mutex_lock(&s->mutex);
	f->version = SSL_get_version(s->ssl);
	f->cipher = SSL_get_cipher_name(s->ssl);
	SSL_get0_alpn_selected(s->ssl, &alpn, &n);
	snprintf(f->alpn, sizeof f->alpn, "%.*s", (int)n, n ? (const char *)alpn : "");
	f->resumed = SSL_session_reused(s->ssl);
	f->peer = SSL_get1_peer_certificate(s->ssl);
	snprintf(f->error, sizeof f->error, "%s", *s->why ? s->why : s->verify_error);
	pthread_mutex_unlock(&s->mutex);
}

static int push_all(lua_State *L)
{
	const struct facts *f = lua_touserdata(L, 1);
	lua_newtable(L);
	set_string(L, "version", f->version);
	set_string(L, "cipher", f->cipher);
	if (*f->alpn)
		set_string(L, "alpn", f->alpn);
	lua_pushboolean(L, f->resumed);
	lua_setfield(L, -2, "resumed");
	if (*f->error)
		set_string(L, "error", f->error);
	if (f->peer) {
		push_peer(L, f->peer);
		lua_setfield(L, -2, "peer");
	}
	return 1;
}

void vai__tls_info(vai_conn *c, void *state)
{
	lua_State *L = state;
	struct facts f = {0};
	read_facts(vai__tls_session(c), &f);
	lua_pushcfunction(L, push_all);
	lua_pushlightuserdata(L, &f);
	int failed = lua_pcall(L, 1, 1, 0);
	X509_free(f.peer);
	if (failed)
		lua_error(L);
}

/* SPDX-License-Identifier: MIT */
/* What the files of vai.tls.core share.
 *
 * A session (struct session) is the state of a connection of the kind "tls". OpenSSL reads from and writes to memory
 * (two BIOs); the session moves bytes between these and the connection below, which never waits. So no goroutine parks
 * inside OpenSSL, whose queue of errors belongs to the thread. For each call of OpenSSL the queue is cleared before and
 * read right after, under the session's mutex, which a reader and a writer share.
 *
 * Functions with a lua_State are called by the goroutine whose state it is; the others by any goroutine. None of them
 * parks. */
#ifndef VAI_TLS_H
#define VAI_TLS_H

#include <lua.h>
#include <lauxlib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include "bind/extension.h"

#if OPENSSL_VERSION_NUMBER < 0x30000000L /* Debian 11 has OpenSSL 1.1: the names of version 3 for it */
#define SSL_get1_peer_certificate SSL_get_peer_certificate
#define SSL_CTX_load_verify_file(ctx, file) SSL_CTX_load_verify_locations(ctx, file, NULL)
#define SSL_CTX_load_verify_dir(ctx, dir) SSL_CTX_load_verify_locations(ctx, NULL, dir)
#define ERR_SYSTEM_ERROR(e) (ERR_GET_LIB(e) == ERR_LIB_SYS)
#endif

enum { WHY_BYTES = 400, NAME_BYTES = 256, SESSIONS = 64 };

/* The functions of vai.so, and the index of the struct session in an SSL's data: set when the module is first
 * opened. */
extern const struct vai__extension *vai__tls_base;
extern int vai__tls_index;

/* ---- context.c: certificates and settings, shared by connections ---- */

struct context {
	struct vai_obj obj;
	pthread_mutex_t mutex; /* guards what follows */
	SSL_CTX *ctx;          /* replaced as a whole by reload */
	bool verify;
	bool server;
	/* Sessions of a client, by the server's name: they make the next handshake shorter. */
	struct kept {
		char name[NAME_BYTES];
		SSL_SESSION *session;
	} kept[SESSIONS];
	unsigned next_kept;
};
extern const struct vai_class vai__tls_context_class;
extern const struct vai__handle_type vai__tls_context_type;

/* Registers the indices with OpenSSL. Called once, before the other functions. */
void vai__tls_context_prepare(void);
/* context{...} -> a context; or nil, why. */
int vai__tls_context(lua_State *L);
/* A new SSL of the context as it is now, with its own reference to what it needs. NULL: out of memory. */
SSL *vai__tls_context_ssl(struct context *c);
void vai__tls_context_keep(struct context *c, const char *name, SSL_SESSION *session);
/* Makes ssl go on with the session that is kept for the server's name, if there is one. */
void vai__tls_context_resume(struct context *c, const char *name, SSL *ssl);

/* ---- session.c ---- */

struct session {
	pthread_mutex_t mutex; /* guards all that follows */
	SSL *ssl;
	BIO *in, *out;
	vai_conn *inner;         /* borrowed from the connection */
	struct context *context; /* with a reference */
	char name[NAME_BYTES];   /* the server's name, in a client */
	char verify_error[WHY_BYTES];
	char why[WHY_BYTES]; /* the first fatal error, which stays */
	const char *code;
	bool failed, done /* the handshake */, inner_ended, said_bye;
	bool heard; /* the peer has sent something since the handshake */
};

/* A connection over `inner`; server_name: for clients, otherwise NULL. Takes its own references. NULL: out of memory,
 * or *why. */
vai_conn *vai__tls_over(struct context *context, vai_conn *inner, const char *server_name, const char **why);
/* The session of a connection, or NULL if it is of another kind. */
struct session *vai__tls_session(vai_conn *c);

/* ---- verify.c ---- */

int vai__tls_verify(int ok, X509_STORE_CTX *store);

/* ---- info.c ---- */

void vai__tls_info(vai_conn *c, void *L);
/* Writes a name as "CN = a, O = b", at most n bytes with the zero. */
void vai__tls_name(X509_NAME *name, char *buf, size_t n);
/* Writes the names that the certificate is valid for: "a, b"; at most n bytes with the zero. */
void vai__tls_names(X509 *cert, char *buf, size_t n);

#endif

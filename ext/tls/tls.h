/* SPDX-License-Identifier: MIT */
/* What the files of vai.tls.core share.
 *
 * A session (struct session) is what a connection of the kind "tls" has as its state. OpenSSL reads from and writes to
 * memory (two BIOs), and this moves bytes between that and the connection below, which never waits: so no goroutine
 * parks inside OpenSSL, whose queue of errors belongs to the thread. Around each call of OpenSSL the queue is cleared
 * before and read right after, under the session's mutex, which one who reads and one who writes share. */
#ifndef VAI_TLS_H
#define VAI_TLS_H

#include <lua.h>
#include <lauxlib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include "bind/extension.h"

#if OPENSSL_VERSION_NUMBER < 0x30000000L /* Debian 11's, under the names of the next */
#define SSL_get1_peer_certificate SSL_get_peer_certificate
#define SSL_CTX_load_verify_file(ctx, file) SSL_CTX_load_verify_locations(ctx, file, NULL)
#define SSL_CTX_load_verify_dir(ctx, dir) SSL_CTX_load_verify_locations(ctx, NULL, dir)
#define ERR_SYSTEM_ERROR(e) (ERR_GET_LIB(e) == ERR_LIB_SYS)
#endif

enum { WHY_BYTES = 400, NAME_BYTES = 256, SESSIONS = 64 };

/* vai.so's functions, and the number of SSL's data that is its struct session: set when the module is first opened. */
extern const struct vai__extension *vai__tls_base;
extern int vai__tls_index;

/* ---- context.c: certificates and settings, shared by connections ---- */

struct context {
	struct vai_obj obj;
	pthread_mutex_t mutex; /* for what follows */
	SSL_CTX *ctx;          /* replaced as a whole by reload */
	bool verify;
	bool server;
	/* A client's sessions, by the name of the server: the next handshake with it is shorter. */
	struct kept {
		char name[NAME_BYTES];
		SSL_SESSION *session;
	} kept[SESSIONS];
	unsigned next_kept;
};
extern const struct vai_class vai__tls_context_class;
extern const struct vai__handle_type vai__tls_context_type;

/* Once, before the rest. */
void vai__tls_context_prepare(void);
/* context{...} -> a context, or nil, why. */
int vai__tls_context(lua_State *L);
/* A new SSL of the context as it is now, with a reference of what it needs. NULL: out of memory. */
SSL *vai__tls_context_ssl(struct context *c);
void vai__tls_context_keep(struct context *c, const char *name, SSL_SESSION *session);
/* Lets ssl go on with the session that is kept for the name, if there is one. */
void vai__tls_context_resume(struct context *c, const char *name, SSL *ssl);

/* ---- session.c ---- */

struct session {
	pthread_mutex_t mutex; /* for all that follows */
	SSL *ssl;
	BIO *in, *out;
	vai_conn *inner;         /* borrowed of the connection */
	struct context *context; /* a reference */
	char name[NAME_BYTES];   /* of the server, for a client */
	char verify_error[WHY_BYTES];
	char why[WHY_BYTES]; /* the first fatal error: it stays */
	const char *code;
	bool failed, done /* the handshake */, inner_ended, said_bye;
	bool heard; /* the peer has sent something since the handshake */
};

/* A connection over `inner`; server_name: for clients, or NULL. Takes no reference over. NULL: out of memory, or
 * *why. */
vai_conn *vai__tls_over(struct context *context, vai_conn *inner, const char *server_name, const char **why);
/* The session of a connection, or NULL. */
struct session *vai__tls_session(vai_conn *c);

/* ---- verify.c ---- */

int vai__tls_verify(int ok, X509_STORE_CTX *store);

/* ---- info.c ---- */

void vai__tls_info(vai_conn *c, void *L);
/* "CN = a, O = b" */
void vai__tls_name(X509_NAME *name, char *buf, size_t n);
/* The names that the certificate is for: "a, b". */
void vai__tls_names(X509 *cert, char *buf, size_t n);

#endif

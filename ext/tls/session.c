/* SPDX-License-Identifier: MIT */
/* Connections of the kind "tls": see tls.h. A record that OpenSSL has made is always sent as a whole, sooner or later:
 * what the connection below does not accept at once stays in `out`, and is sent before anything else. So a write that a
 * limit ends leaves whole records behind, and the next write goes on after them; nothing is made twice. */
#include "tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { PIECE = 16384, UNREAD_MOST = 65536 };

static const struct vai__conn_ops tls_ops;

struct session *vai__tls_session(vai_conn *c)
{
	return vai__tls_base->conn_ops(c) == &tls_ops ? vai__tls_base->conn_state(c) : NULL;
}

static ssize_t inner_recv(struct session *s, void *p, size_t n)
{
	return vai__tls_base->conn_ops(s->inner)->recv(s->inner, p, n);
}

/* ---- errors ---- */

static int fail(struct session *s, const char *code, const char *why)
{
	if (!s->failed) {
		snprintf(s->why, sizeof s->why, "%s", why);
		s->code = code;
		s->failed = true;
	}
	return VAI__KIND_FAILED;
}

/* Notes the error of a call of OpenSSL. Called on the same thread, with nothing in between. */
static int fail_ssl(struct session *s, int error)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(e);
	if (*s->verify_error && s->context->verify && !s->done)
		return fail(s, "ECERT", s->verify_error);
	if (s->inner_ended)
		return fail(s, "ECONNRESET",
			s->done ? "the peer has cut the connection off (no close_notify)"
					: "the peer has ended the connection in the handshake");
	if (error == SSL_ERROR_SYSCALL && e == 0)
		reason = "the connection is broken";
	char text[WHY_BYTES];
	bool alert = e && ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET;
	if (alert && !reason) /* OpenSSL before 3 knows all alerts, but some of them not as errors */
		reason = SSL_alert_desc_string_long(ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET);
	snprintf(text, sizeof text, "%s%s", alert ? "the peer says: " : "", reason ? reason : "TLS failed");
	return fail(s, "ETLS", text);
}

/* ---- moving bytes; mutex held ---- */

/* Sends what is in `out`. VAI_OK, or why not all of it was sent. */
static VAI_NOINLINE int push_out(struct session *s)
{
	static _Thread_local char dropped[PIECE];
	char *p;
	long n;
	while ((n = BIO_get_mem_data(s->out, &p)) > 0) {
		struct iovec iov = {p, (size_t)n};
		ssize_t sent = vai__tls_base->conn_ops(s->inner)->send(s->inner, &iov, 1);
		if (sent < 0)
			return (int)sent;
		for (ssize_t left = sent; left > 0;) {
			int k = BIO_read(s->out, dropped, left < PIECE ? (int)left : PIECE);
			if (k <= 0)
				return VAI__ERRNO(EIO);
			left -= k;
		}
	}
	return VAI_OK;
}

/* Receives bytes for OpenSSL. VAI_OK, or why there are none. */
static VAI_NOINLINE int pull_in(struct session *s)
{
	static _Thread_local char pulled[PIECE + 512];
	ssize_t got = inner_recv(s, pulled, sizeof pulled);
	if (got < 0)
		return (int)got;
	s->heard |= s->done;
	if (got == 0) {
		s->inner_ended = true;
		BIO_set_mem_eof_return(s->in, 0);
	} else if (BIO_write(s->in, pulled, (int)got) != got) {
		return VAI_ENOMEM;
	}
	return VAI_OK;
}

/* ---- the handshake ---- */

/* Does one step of the handshake. VAI_OK: it is done. *dir: the direction to wait for after EAGAIN. */
static int handshake_step(struct session *s, enum vai__dir *dir)
{
	for (;;) {
		if (s->failed)
			return VAI__KIND_FAILED;
		ERR_clear_error();
		int r = SSL_do_handshake(s->ssl), error = SSL_get_error(s->ssl, r);
		if (r != 1 && error != SSL_ERROR_WANT_READ)
			fail_ssl(s, error);
		int rc = push_out(s); /* also an alert */
		if (s->failed)
			return VAI__KIND_FAILED;
		*dir = VAI__WRITE;
		if (rc != VAI_OK || r == 1) {
			s->done |= rc == VAI_OK;
			return rc;
		}
		*dir = VAI__READ;
		rc = pull_in(s);
		if (rc != VAI_OK)
			return rc;
	}
}

static int tls_begin(vai_g *self, vai_conn *c, const struct vai__iowait *w)
{
	struct session *s = vai__tls_base->conn_state(c);
	for (;;) {
		enum vai__dir dir = VAI__READ;
		pthread_mutex_lock(&s->mutex);
		int rc = handshake_step(s, &dir);
		pthread_mutex_unlock(&s->mutex);
		if (rc == VAI__ERRNO(EAGAIN))
			rc = vai__tls_base->desc_wait(self, vai__tls_base->conn_desc(c), dir, w);
		else
			return rc;
		if (rc != VAI_OK)
			return rc;
	}
}

/* ---- data ---- */

static ssize_t recv_some(struct session *s, void *p, size_t n)
{
	for (;;) {
		if (s->failed)
			return VAI__KIND_FAILED;
		ERR_clear_error();
		int r = SSL_read(s->ssl, p, n < INT32_MAX ? (int)n : INT32_MAX), error = SSL_get_error(s->ssl, r);
		if (r > 0)
			return r;
		if (error == SSL_ERROR_ZERO_RETURN)
			return 0;
		if (error != SSL_ERROR_WANT_READ) {
			fail_ssl(s, error);
			push_out(s);
			return VAI__KIND_FAILED;
		}
		push_out(s); /* sends answers to what was read; what is left is sent later */
		int rc = pull_in(s);
		if (rc != VAI_OK)
			return rc;
	}
}

static ssize_t tls_recv(vai_conn *c, void *p, size_t n)
{
	struct session *s = vai__tls_base->conn_state(c);
	pthread_mutex_lock(&s->mutex);
	ssize_t got = recv_some(s, p, n);
	pthread_mutex_unlock(&s->mutex);
	return got;
}

/* Sends one record with the first bytes of iov; small pieces share a record. */
static VAI_NOINLINE ssize_t send_record(struct session *s, const struct iovec *iov, int n)
{
	static _Thread_local char joined[PIECE];
	const char *p = iov->iov_base;
	size_t len = iov->iov_len < PIECE ? iov->iov_len : PIECE;
	if (n > 1 && len < PIECE) {
		len = 0;
		for (int i = 0; i < n && len < PIECE; i++) {
			size_t k = iov[i].iov_len < PIECE - len ? iov[i].iov_len : PIECE - len;
			memcpy(joined + len, iov[i].iov_base, k);
			len += k;
		}
		p = joined;
	}
	ERR_clear_error();
	int r = SSL_write(s->ssl, p, (int)len);
	return r > 0 ? r : fail_ssl(s, SSL_get_error(s->ssl, r));
}

static ssize_t tls_send(vai_conn *c, const struct iovec *iov, int n)
{
	struct session *s = vai__tls_base->conn_state(c);
	pthread_mutex_lock(&s->mutex);
	ssize_t sent = s->failed ? VAI__KIND_FAILED : push_out(s);
	if (sent == VAI_OK && s->said_bye)
		sent = VAI__ERRNO(EPIPE);
	if (sent == VAI_OK) {
		sent = send_record(s, iov, n);
		int rc = push_out(s);
		if (sent > 0 && rc != VAI_OK && rc != VAI__ERRNO(EAGAIN))
			sent = rc;
	}
	pthread_mutex_unlock(&s->mutex);
	return sent;
}

static int tls_flush(vai_conn *c)
{
	struct session *s = vai__tls_base->conn_state(c);
	pthread_mutex_lock(&s->mutex);
	int rc = push_out(s);
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

/* Tells the peer, once, that nothing follows; reading goes on. Mutex held. */
static void say_bye(struct session *s)
{
	if (s->said_bye || s->failed || !s->done)
		return;
	s->said_bye = true;
	ERR_clear_error();
	SSL_shutdown(s->ssl);
}

static int tls_shut(vai_conn *c)
{
	struct session *s = vai__tls_base->conn_state(c);
	pthread_mutex_lock(&s->mutex);
	say_bye(s);
	int rc = s->failed ? VAI__KIND_FAILED : VAI_OK;
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

/* Tells the peer that the connection ends, and takes in what has come: session tickets, and the peer's own end. If a
 * socket is closed while it has bytes that nobody has read, the system also throws away what it has yet to send. Mutex
 * held. */
static VAI_NOINLINE void leave(struct session *s)
{
	static _Thread_local char dropped[PIECE];
	ssize_t n, all = 0;
	say_bye(s);
	push_out(s);
	while (s->done && all < UNREAD_MOST && (n = recv_some(s, dropped, sizeof dropped)) > 0)
		all += n;
}

static void tls_bye(vai_conn *c)
{
	struct session *s = vai__tls_base->conn_state(c);
	if (pthread_mutex_trylock(&s->mutex) != 0)
		return;
	leave(s);
	pthread_mutex_unlock(&s->mutex);
}

/* Whether the system has bytes that the peer's system has not acknowledged. */
static bool is_sending(vai_conn *c)
{
	int n = 0;
	return ioctl(vai__tls_base->desc_fd(vai__tls_base->conn_desc(c)), SIOCOUTQ, &n) == 0 && n > 0;
}

/* A TLS 1.3 server sends session tickets when it has the client's last message of the handshake: so a client that has
 * received nothing since then is about to get them. */
static int tls_settle(vai_conn *c)
{
	struct session *s = vai__tls_base->conn_state(c);
	pthread_mutex_lock(&s->mutex);
	leave(s);
	bool tickets = s->done && !s->failed && !s->heard && !s->context->server && SSL_version(s->ssl) >= TLS1_3_VERSION;
	pthread_mutex_unlock(&s->mutex);
	return tickets && is_sending(c) ? VAI__ERRNO(EAGAIN) : VAI_OK;
}

static void tls_why(vai_conn *c, char *buf, size_t n, const char **code)
{
	struct session *s = vai__tls_base->conn_state(c);
	pthread_mutex_lock(&s->mutex);
	snprintf(buf, n, "%s", s->why);
	*code = s->code ? s->code : "ETLS";
	pthread_mutex_unlock(&s->mutex);
}

/* ---- life ---- */

static void free_session(struct session *s)
{
	SSL_free(s->ssl); /* frees the BIOs, too */
	vai__obj_unref(&s->context->obj);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static void tls_destroy(void *state)
{
	free_session(state);
}

static const struct vai__conn_ops tls_ops = {.name = "tls",
	.recv = tls_recv,
	.send = tls_send,
	.shut = tls_shut,
	.begin = tls_begin,
	.flush = tls_flush,
	.settle = tls_settle,
	.bye = tls_bye,
	.why = tls_why,
	.info = vai__tls_info,
	.destroy = tls_destroy,
	.is_socket = true};

static bool is_address(const char *name)
{
	struct in6_addr a;
	return inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1;
}

/* Sets what a client asks for: the name that the certificate must be valid for, and its last session with that server.
 * The dot at the end of a complete name is for the resolver only: certificates do not have it, and servers must not get
 * it (RFC 6066). */
static bool set_name(struct session *s, const char *given)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
	const char *name = s->name;
	size_t n = strlen(given);
	snprintf(s->name, sizeof s->name, "%.*s", (int)(n > 1 && given[n - 1] == '.' ? n - 1 : n), given);
	vai__tls_context_resume(s->context, name, s->ssl);
	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(s->ssl, name) == 1 && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

static bool set_up(struct session *s, const char *server_name)
{
	s->ssl = vai__tls_context_ssl(s->context);
	s->in = BIO_new(BIO_s_mem());
	s->out = BIO_new(BIO_s_mem());
	if (!s->ssl || !s->in || !s->out) {
		BIO_free(s->in);
		BIO_free(s->out);
		return false;
	}
	BIO_set_mem_eof_return(s->in, -1);
	BIO_set_mem_eof_return(s->out, -1);
	SSL_set_bio(s->ssl, s->in, s->out);
	SSL_set_ex_data(s->ssl, vai__tls_index, s);
	if (s->context->server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	return !server_name || set_name(s, server_name);
}

vai_conn *vai__tls_over(struct context *context, vai_conn *inner, const char *server_name, const char **why)
{
	struct vai__bytes early;
	struct session *s = calloc(1, sizeof *s);
	*why = "not enough memory";
	if (!s)
		return NULL;
	pthread_mutex_init(&s->mutex, NULL);
	s->inner = vai__tls_base->conn_base(inner);
	s->context = context;
	vai__obj_ref(&context->obj);
	if (server_name && strlen(server_name) >= NAME_BYTES)
		*why = "the server's name is too long";
	vai_conn *c = set_up(s, server_name) ? vai__tls_base->conn_over(inner, &tls_ops, s) : NULL;
	if (!c) {
		free_session(s);
		return NULL;
	}
	vai__tls_base->conn_take_buffer(inner, &early);
	if (early.n > 0)
		BIO_write(s->in, early.p + early.at, (int)early.n);
	vai__tls_base->conn_bytes_free(&early);
	return c;
}

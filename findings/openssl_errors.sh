#!/bin/bash
# SPDX-License-Identifier: MIT
# OpenSSL keeps no memory of what ended a connection: after a fatal alert from the peer the first call fails with a reason, and the
# next write reports SSL_ERROR_ZERO_RETURN, which its manual explains as "closed for writing" by a close_notify alert.
. "$(dirname "$0")/packages.sh"
unpack bookworm libssl3=3.0.20-1~deb12u2 libssl-dev=3.0.20-1~deb12u2
cat >"$folder/p.c" <<'C'
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

struct end {
	SSL *ssl;
	BIO *in, *out;
};

static struct end made(SSL_CTX *ctx, int client)
{
	struct end e = {SSL_new(ctx), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
	SSL_set_bio(e.ssl, e.in, e.out);
	if (client)
		SSL_set_connect_state(e.ssl);
	else
		SSL_set_accept_state(e.ssl);
	return e;
}

static void carry(struct end *from, struct end *to)
{
	char bytes[16384];
	int n;
	while ((n = BIO_read(from->out, bytes, sizeof bytes)) > 0)
		BIO_write(to->in, bytes, n);
}

static const char *kind(int error)
{
	return error == SSL_ERROR_SSL ? "SSL" : error == SSL_ERROR_ZERO_RETURN ? "ZERO_RETURN"
			: error == SSL_ERROR_WANT_READ ? "WANT_READ" : error == SSL_ERROR_SYSCALL ? "SYSCALL" : "?";
}

int main(void)
{
	int rc, error;
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	struct end server = made(ctx, 0), client = made(ctx, 1);
	SSL_do_handshake(client.ssl);
	carry(&client, &server);
	SSL_do_handshake(server.ssl); /* it has no certificate: an alert goes to the client */
	ERR_clear_error();
	carry(&server, &client);
	rc = SSL_do_handshake(client.ssl);
	error = SSL_get_error(client.ssl, rc);
	printf("handshake %s (%s)", kind(error), ERR_reason_error_string(ERR_peek_error()));
	ERR_clear_error();
	error = SSL_get_error(client.ssl, SSL_write(client.ssl, "x", 1));
	printf("; then a write %s, reasons left: %s\n", kind(error), ERR_peek_error() ? "yes" : "none");
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -lssl -lcrypto
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
saw "$("$folder/p")" \
	"handshake SSL (sslv3 alert handshake failure); then a write ZERO_RETURN, reasons left: none"
echo "so: the first fatal error stays with the connection and is what every later call gives (ext/tls/core.c)"

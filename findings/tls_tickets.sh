#!/bin/bash
# SPDX-License-Identifier: MIT
# A TLS 1.3 server of OpenSSL's sends session tickets that nobody asked for. A client that writes, sees no error, says close_notify and
# closes leaves them unread in its socket: so the kernel resets the connection and throws away what it had still to send. The same
# program with TLS 1.2 loses nothing.
. "$(dirname "$0")/packages.sh"
use_openssl
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ALL = 200000 };
static char sent[ALL], got[16384];

static void *server(void *fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate_file(ctx, "cert.pem", SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, "key.pem", SSL_FILETYPE_PEM);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, *(int *)fd);
	int n, all = 0;
	if (SSL_accept(ssl) != 1)
		printf("no handshake");
	poll(NULL, 0, 600); /* it has other work first */
	while ((n = SSL_read(ssl, got, sizeof got)) > 0)
		all += n;
	printf("received all: %s, end: %s", all == ALL ? "yes" : "no",
		SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN ? "close_notify" : "broken");
	return NULL;
}

static void try(const char *name, int version)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	socklen_t len = sizeof to;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0);
	bind(listener, (struct sockaddr *)&to, sizeof to);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&to, &len);
	connect(out, (struct sockaddr *)&to, sizeof to);
	int in = accept(listener, NULL, NULL);
	pthread_t thread;
	pthread_create(&thread, NULL, server, &in);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, out);
	SSL_connect(ssl);
	poll(NULL, 0, 200);
	printf("%s: wrote %d, ", name, SSL_write(ssl, sent, ALL));
	SSL_shutdown(ssl);
	printf("closed %d, ", close(out));
	pthread_join(thread, NULL);
	close(in);
}

int main(void)
{
	try("TLS 1.2", TLS1_2_VERSION);
	try("; TLS 1.3", TLS1_3_VERSION);
	putchar('\n');
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -lssl -lcrypto
saw "$(cd "$folder" && ./p)" "TLS 1.2: wrote 200000, closed 0, received all: yes, end: close_notify; TLS 1.3: wrote 200000, closed 0, received all: no, end: broken"
echo "so: closing a TLS connection of vai takes in what has come, and a client waits for the tickets (ext/tls/session.c)"

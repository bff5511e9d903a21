#!/bin/bash
# SPDX-License-Identifier: MIT
# A server that wants a client's certificate refuses one that has none. By TLS 1.2 the client's handshake fails; by TLS 1.3 OpenSSL
# calls it finished, the client's first write succeeds, and the refusal comes when it reads.
. "$(dirname "$0")/packages.sh"
use_openssl
cat >"$folder/p.c" <<'C'
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *server(void *fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate_file(ctx, "cert.pem", SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, "key.pem", SSL_FILETYPE_PEM);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, *(int *)fd);
	SSL_accept(ssl);
	return NULL;
}

static const char *why(int did)
{
	return did > 0 ? "succeeds" : ERR_reason_error_string(ERR_peek_error());
}

static void try(int version, const char *name)
{
	int fds[2];
	char byte;
	pthread_t thread;
	socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	pthread_create(&thread, NULL, server, &fds[1]);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fds[0]);
	ERR_clear_error();
	int did = SSL_connect(ssl);
	printf("%s: connect %s; ", name, why(did));
	pthread_join(thread, NULL); /* the server has refused */
	if (did > 0) {
		printf("write %s; ", why(SSL_write(ssl, "x", 1)));
		printf("read %s; ", why(SSL_read(ssl, &byte, 1)));
	}
}

int main(int n, char **args)
{
	signal(SIGPIPE, SIG_IGN);
	chdir(args[1]);
	try(TLS1_2_VERSION, "TLS 1.2");
	try(TLS1_3_VERSION, "TLS 1.3");
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -lssl -lcrypto
saw "$("$folder/p" "$folder")" "TLS 1.2: connect sslv3 alert handshake failure; TLS 1.3: connect succeeds; write succeeds; read tlsv13 alert certificate required; "
echo "so: after a dial with TLS 1.3 the first read tells that the server wants a certificate; doc/API.md says so"

#!/bin/bash
# SPDX-License-Identifier: MIT
# http-parser takes a 304's Content-Length for a body that follows, though a 304 never has one (RFC 9110, 6.4.1): the next response
# on the connection vanishes in it, unless on_headers_complete returns 1, which its header describes for answers to HEAD only.
. "$(dirname "$0")/packages.sh"
unpack bookworm libhttp-parser2.9=2.9.4-5 libhttp-parser-dev=2.9.4-5
cat >"$folder/p.c" <<'C'
#include <http_parser.h>
#include <stdio.h>
#include <string.h>

static const char answers[] = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 64\r\n\r\n"
			      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
static int messages, body, say_none;

static int on_headers(http_parser *p)
{
	return say_none && p->status_code == 304;
}

static int on_message(http_parser *p)
{
	(void)p;
	messages++;
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
	(void)p, (void)at;
	body += (int)len;
	return 0;
}

int main(void)
{
	for (say_none = 0; say_none < 2; say_none++) {
		http_parser p;
		http_parser_settings s;
		http_parser_settings_init(&s);
		s.on_headers_complete = on_headers;
		s.on_message_complete = on_message;
		s.on_body = on_body;
		messages = body = 0;
		http_parser_init(&p, HTTP_RESPONSE);
		http_parser_execute(&p, &s, answers, sizeof answers - 1);
		printf("%s%d answers, %d bytes of bodies", say_none ? "; told that there is no body: " : "", messages, body);
	}
	putchar('\n');
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -lhttp_parser
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
saw "of a 304 and a 200: $("$folder/p")" \
	"of a 304 and a 200: 0 answers, 40 bytes of bodies; told that there is no body: 2 answers, 2 bytes of bodies"
echo "so: vai.http says after each head of a 1xx, 204 or 304 that no body follows"

/* SPDX-License-Identifier: MIT */
/* http-parser's reading of heads for heads.lua: from stdin (length in decimal, line end, bytes; again and again), a line
 * each on stdout: method, minor version, length (-1: chunked), keep-alive, bytes of the head, target, with tabs between
 * them; or "no" and why. */
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *target;
static size_t ntarget;

static int on_target(http_parser *p, const char *at, size_t n)
{
	(void)p;
	if (!target)
		target = at;
	ntarget += n;
	return 0;
}

static int on_complete(http_parser *p)
{
	http_parser_pause(p, 1);
	return 0;
}

static void show(http_parser *p, size_t n)
{
	int64_t length = p->flags & F_CHUNKED ? -1 : p->content_length == UINT64_MAX ? 0 : (int64_t)p->content_length;
	printf("%s\t%d\t%lld\t%d\t%zu\t%.*s\n", http_method_str(p->method), p->http_minor, (long long)length,
		http_should_keep_alive(p), n, (int)ntarget, target ? target : "");
}

int main(void)
{
	static const http_parser_settings settings = {.on_url = on_target, .on_headers_complete = on_complete};
	static char text[1 << 20];
	size_t n;
	while (scanf("%zu", &n) == 1 && getchar() == '\n' && n <= sizeof text && fread(text, 1, n, stdin) == n) {
		http_parser p;
		http_parser_init(&p, HTTP_REQUEST);
		target = NULL;
		ntarget = 0;
		size_t used = http_parser_execute(&p, &settings, text, n);
		enum http_errno e = HTTP_PARSER_ERRNO(&p);
		if (e == HPE_PAUSED)
			show(&p, used + 1); /* it stands on the head's last byte */
		else
			printf("no\t%s\n", e == HPE_OK ? "unfinished" : http_errno_name(e));
	}
	return 0;
}

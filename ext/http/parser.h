/* SPDX-License-Identifier: MIT */
/* The parser library: llhttp if the system has it, otherwise http-parser 2.9 (VAI_LLHTTP says which; the Makefile asks
 * pkg-config). Both have the same callbacks; this file gives one name to what they call differently. */
#ifndef VAI_HTTP_PARSER_H
#define VAI_HTTP_PARSER_H

#include <stddef.h>

#ifdef VAI_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser;
typedef llhttp_settings_t parser_settings;
#define PARSER_LIBRARY "llhttp"
#define PARSER_REQUEST HTTP_REQUEST
#define PARSER_RESPONSE HTTP_RESPONSE

static inline void parser_init(parser *p, llhttp_type_t type, const parser_settings *s, void *data)
{
	llhttp_init(p, type, s);
	p->data = data;
}

/* NULL: the head was taken, and on_headers_complete has stopped the parser. Otherwise what is wrong with it. */
static inline const char *parser_run(parser *p, const parser_settings *s, const char *text, size_t n)
{
	(void)s;
	llhttp_errno_t e = llhttp_execute(p, text, n);
	return e == HPE_OK || e == HPE_PAUSED_UPGRADE ? NULL : llhttp_get_error_reason(p);
}
#else
#include <http_parser.h>
typedef http_parser parser;
typedef http_parser_settings parser_settings;
#define PARSER_LIBRARY "http-parser"
#define PARSER_REQUEST HTTP_REQUEST
#define PARSER_RESPONSE HTTP_RESPONSE

static inline void parser_init(parser *p, enum http_parser_type type, const parser_settings *s, void *data)
{
	(void)s;
	http_parser_init(p, type);
	p->data = data;
}

/* NULL: the head was taken, and on_headers_complete has stopped the parser. Otherwise what is wrong with it. */
static inline const char *parser_run(parser *p, const parser_settings *s, const char *text, size_t n)
{
	http_parser_execute(p, s, text, n);
	return HTTP_PARSER_ERRNO(p) == HPE_OK ? NULL : http_errno_description(HTTP_PARSER_ERRNO(p));
}
#endif

#endif

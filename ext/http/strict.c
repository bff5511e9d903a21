/* SPDX-License-Identifier: MIT */
/* The first look at a head. Whatever two programs on the way could read in two ways is refused, even if the parser
 * library would accept it. Lines end in CR LF and nothing else; names are tokens with the colon right behind; no line
 * is continued; there is one Host, and one Content-Length in plain digits or one Transfer-Encoding that is "chunked",
 * but not both. */
#include "http.h"
#include <strings.h>

static bool refuse(struct head *h, int status, const char *why)
{
	h->status = status;
	h->why = why;
	return false;
}

static bool is_same(const char *p, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(p, name, n) == 0;
}

/* ---- values ---- */

/* Whether the list of words in a value contains this one. */
static bool has_word(const char *p, size_t n, const char *word)
{
	size_t i = 0;
	while (i < n) {
		while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == ','))
			i++;
		size_t begin = i;
		while (i < n && p[i] != ',')
			i++;
		size_t end = i;
		while (end > begin && (p[end - 1] == ' ' || p[end - 1] == '\t'))
			end--;
		if (is_same(p + begin, end - begin, word))
			return true;
	}
	return false;
}

static bool read_length(struct head *h, const char *p, size_t n)
{
	if (n == 0 || n > 18)
		return refuse(h, 400, "bad Content-Length");
	h->length = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return refuse(h, 400, "bad Content-Length");
		h->length = 10 * h->length + (p[i] - '0');
	}
	return h->lengths++ == 0 || refuse(h, 400, "Content-Length twice");
}

static bool read_coding(struct head *h, const char *p, size_t n)
{
	if (h->codings++ > 0)
		return refuse(h, 400, "Transfer-Encoding twice");
	if (!is_same(p, n, "chunked"))
		return refuse(h, h->request ? 501 : 502, "a Transfer-Encoding other than chunked");
	h->chunked = true;
	return true;
}

/* A blank, a tab, one of "#,/<>?@\ : a bit for each byte below 128. (The line has no other control character.) */
static bool is_no_host(unsigned char c)
{
	static const uint64_t refused[2] = {0xd000900d00000200, 0x0000000010000001};
	return c < 128 && (refused[c >> 6] >> (c & 63) & 1);
}

static bool read_host(struct head *h, const char *p, size_t n)
{
	if (h->hosts++ > 0)
		return refuse(h, 400, "Host twice");
	for (size_t i = 0; i < n; i++)
		if (is_no_host((unsigned char)p[i]))
			return refuse(h, 400, "bad Host");
	h->host = p;
	h->nhost = n;
	return true;
}

/* ---- lines ---- */

static bool read_header(struct head *h, const char *name, size_t nname, const char *value, size_t n)
{
	if (is_same(name, nname, "content-length"))
		return read_length(h, value, n);
	if (is_same(name, nname, "transfer-encoding"))
		return read_coding(h, value, n);
	if (h->request && is_same(name, nname, "host"))
		return read_host(h, value, n);
	if (is_same(name, nname, "connection")) {
		h->close |= has_word(value, n, "close");
		h->keep_alive |= has_word(value, n, "keep-alive");
		h->upgrade |= has_word(value, n, "upgrade");
	} else if (is_same(name, nname, "expect")) {
		if (!is_same(value, n, "100-continue"))
			return refuse(h, 417, "an unknown Expect");
		h->expect = true;
	} else if (is_same(name, nname, "range") || (nname > 3 && strncasecmp(name, "if-", 3) == 0)) {
		h->conditional = true;
	}
	return true;
}

static bool header_line(struct head *h, const char *p, size_t n)
{
	size_t colon = 0;
	if (*p == ' ' || *p == '\t')
		return refuse(h, 400, "a continued header line");
	while (colon < n && is_token((unsigned char)p[colon]))
		colon++;
	if (colon == 0 || colon == n || p[colon] != ':')
		return refuse(h, 400, "bad header name");
	if (has_control(p + colon + 1, n - colon - 1))
		return refuse(h, 400, "a control character in a header");
	const char *value = p + colon + 1, *end = p + n;
	bool frames = is_same(p, colon, "content-length") || is_same(p, colon, "transfer-encoding");
	if (frames && memchr(value, '\t', n - colon - 1)) /* http-parser takes a tab for part of the value */
		return refuse(h, 400, "a tab beside a length or a coding");
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return read_header(h, p, colon, value, (size_t)(end - value));
}

static bool read_version(struct head *h, const char *p, size_t n)
{
	if (n != 8 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1')) {
		bool other = n >= 5 && memcmp(p, "HTTP/", 5) == 0;
		return refuse(h, other ? 505 : 400, other ? "a version other than HTTP/1" : "bad request line");
	}
	h->minor = p[7] - '0';
	return true;
}

/* Reads METHOD SP TARGET SP VERSION, with one blank each. */
static bool request_line(struct head *h, const char *p, size_t n)
{
	size_t i = 0, target;
	while (i < n && is_token((unsigned char)p[i]))
		i++;
	if (i == 0 || i == n || p[i] != ' ')
		return refuse(h, 400, "bad request line");
	target = ++i;
	while (i < n && (unsigned char)p[i] > ' ' && (unsigned char)p[i] < 0x7f)
		i++;
	if (i == target || i == n || p[i] != ' ')
		return refuse(h, 400, "bad request target");
	return read_version(h, p + i + 1, n - i - 1);
}

/* Reads VERSION SP NNN [SP reason]. */
static bool status_line(struct head *h, const char *p, size_t n)
{
	if (n < 12 || p[8] != ' ' || (n > 12 && p[12] != ' '))
		return refuse(h, 502, "bad status line");
	for (int i = 9; i < 12; i++)
		if (p[i] < (i == 9 ? '1' : '0') || p[i] > '9')
			return refuse(h, 502, "bad status line");
	if (has_control(p + 12, n - 12))
		return refuse(h, 502, "bad status line");
	return read_version(h, p, 8);
}

static bool check_whole(struct head *h)
{
	if (h->lengths && h->codings)
		return refuse(h, 400, "Content-Length with Transfer-Encoding");
	if (h->codings && h->minor == 0)
		return refuse(h, 400, "Transfer-Encoding in HTTP/1.0");
	if (h->request && h->minor == 1 && h->hosts == 0)
		return refuse(h, 400, "no Host");
	return true;
}

bool vai__http_strict(struct head *h, const char *text, size_t n)
{
	bool first = true, ok = true;
	while (ok && n > 2) {
		size_t len = (size_t)((const char *)memchr(text, '\n', n) - text) - 1;
		if (first)
			ok = h->request ? request_line(h, text, len) : status_line(h, text, len);
		else
			ok = header_line(h, text, len);
		if (ok && memchr(text, '\r', len))
			ok = refuse(h, 400, "a bare CR");
		first = false;
		text += len + 2;
		n -= len + 2;
	}
	return ok && (first ? refuse(h, 400, "an empty line in place of a head") : check_whole(h));
}

/* SPDX-License-Identifier: MIT */
/* See addr.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net/addr.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535 };

static const struct vai__network networks[] = {
	{"tcp", AF_UNSPEC, SOCK_STREAM},
	{"tcp4", AF_INET, SOCK_STREAM},
	{"tcp6", AF_INET6, SOCK_STREAM},
	{"udp", AF_UNSPEC, SOCK_DGRAM},
	{"udp4", AF_INET, SOCK_DGRAM},
	{"udp6", AF_INET6, SOCK_DGRAM},
	{"unix", AF_UNIX, SOCK_STREAM},
	{"unixgram", AF_UNIX, SOCK_DGRAM},
};

const struct vai__network *vai__addr_network_find(const char *name)
{
	for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
		if (strcmp(networks[i].name, name) == 0)
			return &networks[i];
	return NULL;
}

const char *vai__addr_network_name(int family, int type)
{
	if (family == AF_UNIX)
		return type == SOCK_DGRAM ? "unixgram" : "unix";
	return type == SOCK_DGRAM ? "udp" : "tcp";
}

/* ---- reading ---- */

static bool copy_part(char *to, size_t max, const char *from, size_t len)
{
	if (len > max || memchr(from, 0, len))
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

/* Returns the colon before the port, or NULL and *why. */
static const char *find_colon(const char *text, size_t len, const char **why)
{
	const char *end = text + len, *colon = end;
	if (len > 0 && *text == '[') {
		const char *close = memchr(text, ']', len);
		if (!close)
			*why = "no ']'";
		else if (close + 1 == end || close[1] != ':')
			*why = "no port";
		return *why ? NULL : close + 1;
	}
	while (colon > text && colon[-1] != ':')
		colon--;
	if (colon == text)
		*why = "no port";
	else if (memchr(text, ':', (size_t)(colon - 1 - text)))
		*why = "too many colons: write [host]:port";
	return *why ? NULL : colon - 1;
}

/* Whether the service is a number, but not that of a port. getaddrinfo would take its lower 16 bits. */
static bool is_bad_number(const char *service)
{
	const char *digits = service + (*service == '-' || *service == '+');
	return *digits && !digits[strspn(digits, "0123456789")] && (digits != service || vai__addr_port(service) < 0);
}

const char *vai__addr_split(const char *text, size_t len, char *host, char *service)
{
	const char *why = NULL, *colon = find_colon(text, len, &why);
	if (!colon)
		return why;
	bool bracket = *text == '[';
	size_t host_len = (size_t)(colon - text) - (bracket ? 2 : 0);
	if (!copy_part(host, VAI__HOST_MAX, text + bracket, host_len))
		return "bad host name";
	if (!copy_part(service, VAI__SERVICE_MAX, colon + 1, (size_t)(text + len - colon - 1)) || is_bad_number(service))
		return "bad port";
	return NULL;
}

int vai__addr_port(const char *service)
{
	char *end;
	if (!*service)
		return 0;
	long n = strtol(service, &end, 10);
	return *service >= '0' && *service <= '9' && !*end && n <= PORT_MAX ? (int)n : -1;
}

static void set_v4(struct vai__addr *a, struct in_addr in, int port)
{
	memset(a, 0, sizeof *a);
	a->len = sizeof a->u.in;
	a->u.in.sin_family = AF_INET;
	a->u.in.sin_addr = in;
	a->u.in.sin_port = htons((uint16_t)port);
}

static void set_v6(struct vai__addr *a, struct in6_addr in6, int port)
{
	memset(a, 0, sizeof *a);
	a->len = sizeof a->u.in6;
	a->u.in6.sin6_family = AF_INET6;
	a->u.in6.sin6_addr = in6;
	a->u.in6.sin6_port = htons((uint16_t)port);
}

/* Reads an address such as "fe80::1%eth0"; after the % comes the name or the number of an interface. */
static bool read_v6(struct vai__addr *a, const char *host, int port)
{
	char text[VAI__HOST_MAX + 1];
	struct in6_addr in6;
	const char *zone = strchr(host, '%');
	size_t len = zone ? (size_t)(zone - host) : strlen(host);
	if (!copy_part(text, VAI__HOST_MAX, host, len) || inet_pton(AF_INET6, text, &in6) != 1)
		return false;
	set_v6(a, in6, port);
	if (zone) {
		unsigned index = if_nametoindex(zone + 1);
		a->u.in6.sin6_scope_id = index ? index : (uint32_t)strtoul(zone + 1, NULL, 10);
	}
	return true;
}

bool vai__addr_numeric(struct vai__addr *a, int family, const char *host, int port)
{
	struct in_addr in = {.s_addr = htonl(INADDR_ANY)};
	if (!*host && family == AF_INET)
		set_v4(a, in, port);
	else if (!*host)
		set_v6(a, in6addr_any, port);
	else if (family != AF_INET6 && inet_pton(AF_INET, host, &in) == 1)
		set_v4(a, in, port);
	else
		return family != AF_INET && read_v6(a, host, port);
	return true;
}

const char *vai__addr_unix(struct vai__addr *a, const char *path, size_t len)
{
	bool abstract = len > 0 && *path == '@';
	memset(a, 0, sizeof *a);
	a->u.un.sun_family = AF_UNIX;
	if (len == 0)
		return "empty";
	if (len >= sizeof a->u.un.sun_path + abstract)
		return "too long for the path of a socket";
	if (!abstract && memchr(path, 0, len))
		return "a zero in it";
	memcpy(a->u.un.sun_path, path, len);
	if (abstract)
		a->u.un.sun_path[0] = '\0';
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
	return NULL;
}

/* ---- writing ---- */

static void v6_host(const struct sockaddr_in6 *in6, char *buf)
{
	char zone[IF_NAMESIZE];
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, buf, INET_ADDRSTRLEN);
		return;
	}
	inet_ntop(AF_INET6, &in6->sin6_addr, buf, INET6_ADDRSTRLEN);
	if (in6->sin6_scope_id == 0)
		return;
	size_t n = strlen(buf);
	if (if_indextoname(in6->sin6_scope_id, zone))
		snprintf(buf + n, VAI__ADDR_TEXT - n, "%%%s", zone);
	else
		snprintf(buf + n, VAI__ADDR_TEXT - n, "%%%u", (unsigned)in6->sin6_scope_id);
}

/* An abstract name may have any bytes; a path ends at its zero; an unnamed socket has "". */
static void unix_text(const struct vai__addr *a, char *buf)
{
	size_t len = a->len > offsetof(struct sockaddr_un, sun_path) ? a->len - offsetof(struct sockaddr_un, sun_path) : 0;
	const char *path = a->u.un.sun_path;
	bool abstract = len > 0 && !*path;
	if (!abstract)
		len = strnlen(path, len);
	for (size_t i = 0; i < len; i++)
		buf[i] = path[i] ? path[i] : '@';
	buf[len] = '\0';
}

void vai__addr_host(const struct vai__addr *a, char *buf)
{
	*buf = '\0';
	if (a->u.sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->u.in.sin_addr, buf, INET_ADDRSTRLEN);
	else if (a->u.sa.sa_family == AF_INET6)
		v6_host(&a->u.in6, buf);
	else if (a->u.sa.sa_family == AF_UNIX)
		unix_text(a, buf);
}

void vai__addr_text(const struct vai__addr *a, char *buf)
{
	char host[VAI__ADDR_TEXT];
	vai__addr_host(a, host);
	if (a->u.sa.sa_family == AF_INET)
		snprintf(buf, VAI__ADDR_TEXT, "%.40s:%u", host, ntohs(a->u.in.sin_port));
	else if (a->u.sa.sa_family == AF_INET6)
		snprintf(buf, VAI__ADDR_TEXT, strchr(host, ':') ? "[%.80s]:%u" : "%.40s:%u", host, ntohs(a->u.in6.sin6_port));
	else
		memcpy(buf, host, strlen(host) + 1);
}

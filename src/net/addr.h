/* SPDX-License-Identifier: MIT */
/* Socket addresses and their text: "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", a path, "@name" of Linux's
 * abstract ones. Pure functions; any thread. */
#ifndef VAI_ADDR_H
#define VAI_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct vai__addr {
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

/* An address of IPv4 or IPv6 alone: smaller than struct vai__addr, for records that keep many. */
union vai__addr_inet {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

enum { VAI__ADDR_TEXT = 160, VAI__HOST_MAX = 255, VAI__SERVICE_MAX = 63 };

/* What a network's name ("tcp4", "unix", ...) stands for. */
struct vai__network {
	const char *name;
	int family; /* AF_UNSPEC: IPv4 and IPv6 */
	int type;
};
/* The network of that name; NULL: no network has it. A constant. */
const struct vai__network *vai__addr_network_find(const char *name);
/* The name of the network that sockets of this family and type belong to. A constant. */
const char *vai__addr_network_name(int family, int type);

/* Splits "host:port" into its parts, without brackets; either may be empty. host has room for VAI__HOST_MAX bytes and a
 * zero, service for VAI__SERVICE_MAX. Returns NULL, or a constant text that says what is wrong with the address. */
const char *vai__addr_split(const char *text, size_t len, char *host, char *service);
/* The number of a port, from 0 to 65535, or -1 if `service` is no such number. "" is 0. */
int vai__addr_port(const char *service);
/* Makes an address from numbers. False: host is a name. An empty host is the wildcard. */
bool vai__addr_numeric(struct vai__addr *a, int family, const char *host, int port);
/* Makes the address of a Unix socket from its path. NULL, or a constant text that says what is wrong with the path. */
const char *vai__addr_unix(struct vai__addr *a, const char *path, size_t len);
/* Writes all of the address: at most VAI__ADDR_TEXT bytes with the terminating zero. */
void vai__addr_text(const struct vai__addr *a, char *buf);
/* Writes the address without its port and brackets, at most VAI__ADDR_TEXT bytes with the terminating zero. */
void vai__addr_host(const struct vai__addr *a, char *buf);

#endif

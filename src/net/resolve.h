/* SPDX-License-Identifier: MIT */
/* Names and addresses, by getaddrinfo and getnameinfo on a few threads of their own: those calls cannot be interrupted,
 * the goroutine that waits for one can. Any goroutine; the first two functions park, until `limit` (absolute) at the
 * latest. */
#ifndef VAI_RESOLVE_H
#define VAI_RESOLVE_H

#include "net/addr.h"
#include "sched/sched.h"

enum { VAI__ADDRS_MAX = 16 };

/* Results beyond those of descriptor.h: what getaddrinfo says. */
#define VAI__GAI_ERROR(e) (-2000 + (e))

/* The addresses of host and service, at most VAI__ADDRS_MAX, in the order of the system's preference: how
 * many. family: AF_UNSPEC, AF_INET, AF_INET6; type: SOCK_STREAM or SOCK_DGRAM. Numbers need no thread. */
int vai__resolve(
	vai_g *self, const char *host, const char *service, int family, int type, int64_t limit, struct vai__addr *out);
/* The name of an address: VAI_OK or as above. */
int vai__resolve_name(vai_g *self, const struct vai__addr *a, int64_t limit, char name[VAI__HOST_MAX + 1]);
/* The runtime has ended: requests of goroutines that never run again are given up. */
void vai__resolve_stop(void);

#endif

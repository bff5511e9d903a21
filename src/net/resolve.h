/* SPDX-License-Identifier: MIT */
/* Looking up names and addresses, by getaddrinfo and getnameinfo on a few threads of their own: those calls cannot be
 * interrupted, but the goroutine that waits for one can. Any goroutine may call; the first two functions park, until
 * `limit` (absolute, ns) at the latest. */
#ifndef VAI_RESOLVE_H
#define VAI_RESOLVE_H

#include "net/addr.h"
#include "sched/sched.h"

enum { VAI__ADDRS_MAX = 16 };

/* An error of getaddrinfo as a result, beyond those of descriptor.h. */
#define VAI__GAI_ERROR(e) (-2000 + (e))

/* Looks up the addresses of host and service. Returns how many it has written to out, at most VAI__ADDRS_MAX, in the
 * order of the system's preference; or an error. family: AF_UNSPEC, AF_INET, AF_INET6; type: SOCK_STREAM or SOCK_DGRAM.
 * A numeric host needs no thread and does not park. */
int vai__resolve(
	vai_g *self, const char *host, const char *service, int family, int type, int64_t limit, struct vai__addr *out);
/* Looks up the name of an address. VAI_OK, or an error as above. */
int vai__resolve_name(vai_g *self, const struct vai__addr *a, int64_t limit, char name[VAI__HOST_MAX + 1]);
/* Gives up the requests of goroutines that never run again. Called when the runtime has ended. */
void vai__resolve_stop(void);

#endif

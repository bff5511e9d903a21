/* SPDX-License-Identifier: MIT */
/* Connecting to the first of several addresses that answers (RFC 8305, "happy eyeballs"). Both functions are called by
 * the goroutine that has made the struct, and park, until `limit` (absolute, ns) at the latest. Results are those of
 * descriptor.h and resolve.h. */
#ifndef VAI_DIAL_H
#define VAI_DIAL_H

#include "net/addr.h"
#include "net/descriptor.h"
#include "net/resolve.h"

/* One attempt to reach a name. It lies in Lua's memory: see descriptor.h. */
struct vai__dial {
	const struct vai__network *net;
	struct vai__addr list[VAI__ADDRS_MAX];
	struct vai__desc *tries[VAI__ADDRS_MAX]; /* the attempts under way; NULL: failed, or not begun */
	int n, begun;
	const struct vai__addr *reached; /* the address in `list` that is connected */
};

/* Fills d->list from the text of an address, and parks to look up names. VAI_OK; VAI_EINVAL, and *why says what is
 * wrong with the text; or another result. listening: an empty host stands for all addresses of this machine. */
int vai__dial_find(vai_g *self, struct vai__dial *d, const struct vai__network *net, const char *text, size_t len,
	bool listening, int64_t limit, const char **why);
/* Connects to the addresses in d->list. VAI_OK: *out is connected and the caller's. */
int vai__dial_run(vai_g *self, struct vai__dial *d, int64_t limit, struct vai__desc **out);

#endif

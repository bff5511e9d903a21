/* SPDX-License-Identifier: MIT */
/* Connecting, to the first of several addresses that answers (RFC 8305, "happy eyeballs"). Both functions park, until
 * `limit` (absolute) at the latest; the goroutine that has made the struct calls. Results are those of descriptor.h and
 * resolve.h. */
#ifndef VAI_DIAL_H
#define VAI_DIAL_H

#include "net/addr.h"
#include "net/descriptor.h"
#include "net/resolve.h"

/* One attempt to reach an address. Lies in Lua's memory: see descriptor.h. */
struct vai__dial {
	const struct vai__network *net;
	struct vai__addr list[VAI__ADDRS_MAX];
	struct vai__desc *tries[VAI__ADDRS_MAX]; /* those under way; NULL: failed */
	int n, begun;
	const struct vai__addr *reached; /* of the list, once it is connected */
};

/* Fills d->list from the address's text; waits for names. VAI_OK, or *why says what is wrong with the
 * text (VAI_EINVAL), or another result. listening: an empty host is every address of this machine's. */
int vai__dial_find(vai_g *self, struct vai__dial *d, const struct vai__network *net, const char *text, size_t len,
	bool listening, int64_t limit, const char **why);
/* VAI_OK: *out is connected and the caller's. */
int vai__dial_run(vai_g *self, struct vai__dial *d, int64_t limit, struct vai__desc **out);

#endif

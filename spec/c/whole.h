/* SPDX-License-Identifier: MIT */
/* How much the tests do: VAI_SPEC_WHOLE=1 asks for sizes and repetitions that are cut down otherwise, as
 * spec/lua/support/program.lua says. Any thread. */
#ifndef VAI_TEST_WHOLE_H
#define VAI_TEST_WHOLE_H

#include <stdlib.h>
#include <string.h>

/* n, or much more in a whole run. */
static inline int spec_count(int n, int whole)
{
	const char *wish = getenv("VAI_SPEC_WHOLE");
	return wish && strcmp(wish, "1") == 0 ? whole : n;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Lua programs made from bytes, for the fuzzer of function templates. */
#ifndef VAI_SPEC_PROGRAM_H
#define VAI_SPEC_PROGRAM_H

#include <stdbool.h>
#include "fuzz.h"

enum { PROGRAM_MAX = 32768 };

struct program {
	char text[PROGRAM_MAX];
	size_t len;
	bool loses_writes; /* it assigns a captured local */
};

/* A chunk that sets some globals and returns a function of (put, x, y). The function ends soon,
 * prints nothing but through put, and does not depend on the order of pairs(). */
void program_make(struct program *p, struct fuzz *f);

#endif

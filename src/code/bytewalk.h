/* SPDX-License-Identifier: MIT */
/* What the reader of bytecode (bytecode.c) and the look at one function's instructions (bytewalk.c) share. */
#ifndef VAI_BYTEWALK_H
#define VAI_BYTEWALK_H

#include "code/bytecode.h"

/* A constant; s is NULL unless it is a string. */
struct vai__bc_const {
	const char *s;
	size_t len;
};

/* One function while it is read. Pointers lead into the bytes, k into a block. */
struct vai__bc_func {
	const unsigned char *code;
	size_t ncode; /* instructions of 4 bytes */
	struct vai__bc_const *k;
	size_t nk;
	size_t nups;
	int16_t own[256]; /* which upvalue of the outermost function each one is; -1: none */
	int line;
	const signed char *lines; /* one difference per instruction */
	size_t nlines;
	const unsigned char *abs, *abs_end; /* pairs of an instruction's place and its line */
	size_t nabs;
};

/* Adds what f does to bc. VAI_OK, VAI_EINVAL or VAI_ENOMEM. */
int vai__bytewalk(const struct vai__bc_func *f, struct vai__bytecode *bc);

#endif

/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: the input as a stream of decisions. At its end every decision
 * is 0, which each target takes for the simplest case, so that all generation ends. */
#ifndef VAI_SPEC_FUZZ_H
#define VAI_SPEC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(cond, ...) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: check failed: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			abort(); \
		} \
	} while (0)

struct fuzz {
	const uint8_t *p, *end;
};

static inline unsigned fuzz_byte(struct fuzz *f)
{
	return f->p < f->end ? *f->p++ : 0;
}

static inline unsigned fuzz_below(struct fuzz *f, unsigned n)
{
	return fuzz_byte(f) % n;
}

static inline uint64_t fuzz_word(struct fuzz *f)
{
	uint64_t x = 0;
	for (int i = 0; i < 8; i++)
		x = x << 8 | fuzz_byte(f);
	return x;
}

#endif

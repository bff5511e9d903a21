/* SPDX-License-Identifier: MIT */
/* The bound of a goroutine's memory (spawn's option `memory`): set, asked for and widened here. It is enforced when an
 * arena asks for more, in arena_chunk.c. */
#include <stdint.h>
#include "state/arena.h"

enum { HEADROOM_MIN = 65536 /* bytes by which the bound is widened, at least */ };

void vai__memory_limit(struct vai_vm *vm, size_t bytes)
{
	vm->arena->limit = bytes;
}

bool vai__memory_is_limited(const struct vai_vm *vm)
{
	return vm->arena && vm->arena->limit != SIZE_MAX;
}

bool vai__memory_limit_allows(const struct vai_vm *vm, size_t bytes)
{
	return !vm->arena || bytes <= vm->arena->limit;
}

void vai__memory_limit_widen(struct vai_vm *vm)
{
	size_t more = vm->arena->limit / 8;
	vm->arena->limit += more > HEADROOM_MIN ? more : HEADROOM_MIN;
}

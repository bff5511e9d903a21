/* SPDX-License-Identifier: MIT */
/* What explore.c and host.c ask of machine.c besides sim.h. */
#ifndef VAI_SIM_MACHINE_H
#define VAI_SIM_MACHINE_H

#include "sim.h"

void machine_make(void);
int machine_steps(void);
/* From now on steps are taken at addresses that threads were seen to share. True: there are more than
 * there were. */
bool machine_learn(void);
/* At all addresses. */
void machine_all(bool on);
void machine_futex_wait(const volatile unsigned *word, unsigned expect, int64_t deadline);
void machine_futex_wake(const volatile unsigned *word, int n);

void sim_load(const volatile void *p, void *to, size_t size, int order, const char *where);
void sim_store(volatile void *p, const void *from, size_t size, int order, const char *where);
void sim_swap(volatile void *p, const void *from, void *old, size_t size, const char *where);
bool sim_compare(volatile void *p, void *expect, const void *from, size_t size, const char *where);
void sim_modify(volatile void *p, uint64_t with, void *old, size_t size, int op, const char *where);
void sim_fence(int order, const char *where);
/* Whether the next read-modify-write of this thread is a load and a store. */
void sim_tear(int on);
void *sim_malloc(size_t n);
void *sim_calloc(size_t n, size_t size);
void *sim_realloc(void *p, size_t n);
void *sim_aligned_alloc(size_t align, size_t n);
void sim_free(void *p);

#endif

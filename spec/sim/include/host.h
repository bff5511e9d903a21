/* SPDX-License-Identifier: MIT */
/* Included before every source under test: threads and the heap are the simulation's. */
#ifndef VAI_SIM_HOST_H
#define VAI_SIM_HOST_H

#include <pthread.h>
#include <stdlib.h>
#include "bugs.h"

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg);
void *sim_malloc(size_t n);
void *sim_calloc(size_t n, size_t size);
void *sim_realloc(void *p, size_t n);
void *sim_aligned_alloc(size_t align, size_t n);
void sim_free(void *p);

#define pthread_create(t, a, f, arg) sim_pthread_create(t, a, f, arg)
#define pthread_detach(t) ((void)(t), 0)
#define pthread_join(t, r) ((void)(t), 0)
#define pthread_setname_np(t, name) ((void)(t), 0)
#define malloc(n) sim_malloc(n)
#define calloc(n, size) sim_calloc(n, size)
#define realloc(p, n) sim_realloc(p, n)
#define aligned_alloc(align, n) sim_aligned_alloc(align, n)
#define free(p) sim_free(p)

#endif

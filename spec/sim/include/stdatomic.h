/* SPDX-License-Identifier: MIT */
/* Instead of the compiler's own: every access is a step of the simulated machine. The types stay what
 * they are, so the sources compile unchanged. */
#ifndef VAI_SIM_STDATOMIC_H
#define VAI_SIM_STDATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
	memory_order_relaxed = __ATOMIC_RELAXED,
	memory_order_consume = __ATOMIC_CONSUME,
	memory_order_acquire = __ATOMIC_ACQUIRE,
	memory_order_release = __ATOMIC_RELEASE,
	memory_order_acq_rel = __ATOMIC_ACQ_REL,
	memory_order_seq_cst = __ATOMIC_SEQ_CST
} memory_order;

typedef _Atomic(bool) atomic_bool;
typedef _Atomic(int) atomic_int;
typedef _Atomic(unsigned) atomic_uint;
typedef _Atomic(long) atomic_long;
typedef _Atomic(unsigned long) atomic_ulong;
typedef _Atomic(size_t) atomic_size_t;
typedef _Atomic(uintptr_t) atomic_uintptr_t;

void sim_load(const volatile void *p, void *to, size_t size, int order, const char *where);
void sim_store(volatile void *p, const void *from, size_t size, int order, const char *where);
/* Swaps: *old is what was there. The comparing one only if that was *expect; else it goes to *expect. */
void sim_swap(volatile void *p, const void *from, void *old, size_t size, const char *where);
bool sim_compare(volatile void *p, void *expect, const void *from, size_t size, const char *where);
/* op is one of + - & | ^ */
void sim_modify(volatile void *p, uint64_t with, void *old, size_t size, int op, const char *where);
void sim_fence(int order, const char *where);

#define SIM_TEXT_(x) #x
#define SIM_TEXT(x) SIM_TEXT_(x)
#define SIM_HERE(what) __FILE__ ":" SIM_TEXT(__LINE__) ": " what
/* The value's type without the qualifier. */
#define SIM_PLAIN(p) __typeof__((void)0, *(p))

#define ATOMIC_VAR_INIT(v) (v)
#define atomic_init(p, v) (*(p) = (v))

#define atomic_load_explicit(p, order) \
	__extension__({ \
		__auto_type sim_p = (p); \
		SIM_PLAIN(sim_p) sim_v; \
		sim_load(sim_p, &sim_v, sizeof sim_v, (order), SIM_HERE("load " #p)); \
		sim_v; \
	})
#define atomic_store_explicit(p, v, order) \
	__extension__({ \
		__auto_type sim_p = (p); \
		SIM_PLAIN(sim_p) sim_v = (v); \
		sim_store(sim_p, &sim_v, sizeof sim_v, (order), SIM_HERE("store " #p)); \
	})
#define atomic_exchange_explicit(p, v, order) \
	__extension__({ \
		__auto_type sim_p = (p); \
		SIM_PLAIN(sim_p) sim_v = (v), sim_old; \
		sim_swap(sim_p, &sim_v, &sim_old, sizeof sim_v, SIM_HERE("exchange " #p)); \
		(void)(order); \
		sim_old; \
	})
#define atomic_compare_exchange_strong_explicit(p, e, v, order, failed) \
	__extension__({ \
		__auto_type sim_p = (p); \
		SIM_PLAIN(sim_p) sim_v = (v); \
		(void)(order); \
		(void)(failed); \
		sim_compare(sim_p, (e), &sim_v, sizeof sim_v, SIM_HERE("compare-exchange " #p)); \
	})
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define SIM_MODIFY(p, v, op, name) \
	__extension__({ \
		__auto_type sim_p = (p); \
		SIM_PLAIN(sim_p) sim_old; \
		sim_modify(sim_p, (uint64_t)(v), &sim_old, sizeof sim_old, op, SIM_HERE(name " " #p)); \
		sim_old; \
	})
#define atomic_fetch_add_explicit(p, v, order) SIM_MODIFY(p, v, '+', "add")
#define atomic_fetch_sub_explicit(p, v, order) SIM_MODIFY(p, v, '-', "sub")
#define atomic_fetch_and_explicit(p, v, order) SIM_MODIFY(p, v, '&', "and")
#define atomic_fetch_or_explicit(p, v, order) SIM_MODIFY(p, v, '|', "or")
#define atomic_fetch_xor_explicit(p, v, order) SIM_MODIFY(p, v, '^', "xor")

#define atomic_load(p) atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, v) atomic_store_explicit(p, v, memory_order_seq_cst)
#define atomic_exchange(p, v) atomic_exchange_explicit(p, v, memory_order_seq_cst)
#define atomic_compare_exchange_strong(p, e, v) atomic_compare_exchange_strong_explicit(p, e, v, 5, 5)
#define atomic_compare_exchange_weak(p, e, v) atomic_compare_exchange_strong_explicit(p, e, v, 5, 5)
#define atomic_fetch_add(p, v) SIM_MODIFY(p, v, '+', "add")
#define atomic_fetch_sub(p, v) SIM_MODIFY(p, v, '-', "sub")
#define atomic_fetch_and(p, v) SIM_MODIFY(p, v, '&', "and")
#define atomic_fetch_or(p, v) SIM_MODIFY(p, v, '|', "or")
#define atomic_thread_fence(order) sim_fence((order), SIM_HERE("fence"))
#define atomic_signal_fence(order) __atomic_signal_fence(order)

#endif

/* SPDX-License-Identifier: MIT */
/* Short names for C11's atomic operations with an explicit order. cas_X_Y compares and exchanges with
 * order X on success and Y on failure; without Y the failure is relaxed. */
#ifndef VAI_ATOMIC_H
#define VAI_ATOMIC_H

#include <stdatomic.h>

#define atomic_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define atomic_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define atomic_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define atomic_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define atomic_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define atomic_store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define atomic_exchange_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define atomic_exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define atomic_exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

#define atomic_fetch_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define atomic_fetch_add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)

#define atomic_fetch_sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define atomic_fetch_sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define atomic_fetch_sub_seq_cst(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)

#define atomic_cas_strong_relaxed(p, old, v) \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_relaxed, memory_order_relaxed)
#define atomic_cas_strong_acquire(p, old, v) \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_acquire, memory_order_relaxed)
#define atomic_cas_strong_acq_rel(p, old, v) \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_acq_rel, memory_order_relaxed)
#define atomic_cas_strong_seq_cst(p, old, v) \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_seq_cst, memory_order_relaxed)
#define atomic_cas_strong_seq_cst_acquire(p, old, v) \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_seq_cst, memory_order_acquire)
#define atomic_cas_strong_seq_cst_seq_cst(p, old, v) \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_seq_cst, memory_order_seq_cst)

#define atomic_cas_weak_relaxed(p, old, v) \
	atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_relaxed, memory_order_relaxed)
#define atomic_cas_weak_acquire(p, old, v) \
	atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_acquire, memory_order_relaxed)
#define atomic_cas_weak_release(p, old, v) \
	atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_release, memory_order_relaxed)
#define atomic_cas_weak_acq_rel(p, old, v) \
	atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_acq_rel, memory_order_relaxed)
#define atomic_cas_weak_acq_rel_acquire(p, old, v) \
	atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_acq_rel, memory_order_acquire)

#endif

/* SPDX-License-Identifier: MIT */
/* Locks over a fork. They are taken in the order of their ranks, as everywhere; but the debug builds' checks of ranks
 * are left out, because several of these locks have the same rank. */
#include "base/fork.h"
#include <pthread.h>
#include "base/fatal.h"

enum { MAX_LOCKS = 256 };

static struct {
	struct vai_lock *lock;
	enum vai_rank rank;
} held[MAX_LOCKS];
static int nheld;
static bool (*is_running)(void);
static void (*in_child)(void);
static bool was_running;

bool vai__forked;

void vai__fork_holds(struct vai_lock *l, enum vai_rank rank)
{
	int at = nheld++;
	VAI_ASSERT(at < MAX_LOCKS);
	for (; at > 0 && held[at - 1].rank > rank; at--)
		held[at] = held[at - 1];
	held[at].lock = l;
	held[at].rank = rank;
}

static void prepare(void)
{
	for (int i = 0; i < nheld; i++) {
		unsigned zero = 0;
		if (!atomic_cas_strong_acquire(&held[i].lock->word, &zero, 1))
			vai__lock_slow(held[i].lock);
	}
	was_running = is_running();
}

static void release(void)
{
	for (int i = nheld - 1; i >= 0; i--)
		atomic_store_release(&held[i].lock->word, 0);
}

static void child(void)
{
	release();
	if (!was_running)
		return;
	vai__forked = true;
	in_child();
}

int vai__fork_watch(bool (*running)(void), void (*f)(void))
{
	is_running = running;
	in_child = f;
	return pthread_atfork(prepare, release, child) == 0 ? VAI_OK : VAI_ENOMEM;
}

/* SPDX-License-Identifier: MIT */
/* Buffers. A slice has a reference to the store of its buffer, and an offset and a length; it does not keep the
 * buffer's object.
 *
 * One word of the store counts the pins of either kind and says whether a resize is under way, which it is only while
 * nothing is pinned. Where the bytes are and how many there are is changed by that resize alone. */
#include "data/bytes.h"
#include <string.h>
#include "base/heap.h"
#include "base/memory_budget.h"
#include "base/futex.h"
#include "base/mem.h"
#include "base/san.h"

/* The store's word: short pins in its lower bits, long ones above them, and a bit for a resize. */
#define SHORT_ONE ((uint64_t)1)
#define LONG_ONE ((uint64_t)1 << 32)
#define RESIZING ((uint64_t)1 << 63)
#define SHORT_MASK (LONG_ONE - 1)
#define LONG_MASK (RESIZING - LONG_ONE)

struct store {
	atomic_uint refs;
	_Atomic(uint64_t) word, size;
	char *p;                    /* the bytes; changed only by a resize */
	struct vai__budget *budget; /* the sandbox's budget that the bytes are charged to, or NULL */
};

struct vai_bytes {
	struct vai_obj obj;
	struct store *store;
	bool slice;
	uint64_t at, n; /* of a slice */
};

/* ---- life ---- */

static void destroy(struct vai_obj *o)
{
	vai_bytes *b = VAI_CONTAINER(o, vai_bytes, obj);
	struct store *s = b->store;
	vai__mem_free(b, sizeof *b);
	if (atomic_fetch_sub_acq_rel(&s->refs, 1) != 1)
		return;
	vai__memory_budget_give(s->budget, (size_t)atomic_load_relaxed(&s->size));
	vai__heap_free(s->p);
	vai__mem_free(s, sizeof *s);
}

const struct vai_class vai__bytes_class = {"buffer", destroy};

static vai_bytes *new_bytes(struct store *s)
{
	vai_bytes *b = vai__mem_zalloc(sizeof *b);
	if (!b)
		return NULL;
	vai__obj_init(&b->obj, &vai__bytes_class);
	b->store = s;
	return b;
}

vai_bytes *vai__bytes_new(uint64_t n)
{
	struct store *s = vai__mem_zalloc(sizeof *s);
	vai_bytes *b = s ? new_bytes(s) : NULL;
	const bool within = b && vai__memory_budget_take((size_t)n, &s->budget);
	char *p = within ? vai__heap_zero(n ? (size_t)n : 1, 1) : NULL;
	if (!p) {
		if (within)
			vai__memory_budget_give(s->budget, (size_t)n);
		if (b)
			vai__mem_free(b, sizeof *b);
		vai__mem_free(s, sizeof *s);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	atomic_init(&s->size, n);
	s->p = p;
	return b;
}

vai_bytes *vai__bytes_slice(vai_bytes *b, uint64_t at, uint64_t n, int *rc)
{
	char *p;
	*rc = vai__bytes_pin(b, VAI_PIN_SHORT, at, n, &p);
	if (*rc != VAI_OK)
		return NULL;
	vai__bytes_unpin(b, VAI_PIN_SHORT);
	vai_bytes *slice = new_bytes(b->store);
	if (!slice)
		return NULL;
	atomic_fetch_add_relaxed(&b->store->refs, 1);
	slice->slice = true;
	slice->at = b->at + at;
	slice->n = n;
	return slice;
}

uint64_t vai__bytes_length(vai_bytes *b)
{
	return b->slice ? b->n : atomic_load_acquire(&b->store->size);
}

bool vai__bytes_is_slice(const vai_bytes *b)
{
	return b->slice;
}

/* ---- pins ---- */

static uint64_t one(enum vai__bytes_pin how)
{
	return how == VAI_PIN_LONG ? LONG_ONE : SHORT_ONE;
}

int vai__bytes_pin(vai_bytes *b, enum vai__bytes_pin how, uint64_t at, uint64_t n, char **p)
{
	struct store *s = b->store;
	uint64_t w = atomic_load_relaxed(&s->word);
	do {
		while (w & RESIZING) {
			vai__cpu_relax();
			w = atomic_load_relaxed(&s->word);
		}
	} while (!atomic_cas_weak_acquire(&s->word, &w, w + one(how)));
	const uint64_t size = atomic_load_relaxed(&s->size);
	int rc = VAI_OK;
	if (b->slice && b->at + b->n > size)
		rc = VAI_ECLOSED;
	else if (at > (b->slice ? b->n : size) || n > (b->slice ? b->n : size) - at)
		rc = VAI_ERANGE;
	*p = s->p + b->at + at;
	if (rc != VAI_OK)
		vai__bytes_unpin(b, how);
	return rc;
}

void vai__bytes_unpin(vai_bytes *b, enum vai__bytes_pin how)
{
	atomic_fetch_sub_explicit(&b->store->word, one(how), memory_order_release);
}

/* ---- other sizes ---- */

/* Begins a resize. True: nothing is pinned, and nothing will be until the word is 0. False: there is a long pin, or
 * another resize is under way. Spins while there are short pins. */
static bool begin_resize(struct store *s)
{
	uint64_t w = 0;
	while (!atomic_cas_weak_acquire(&s->word, &w, RESIZING)) {
		if (w & (LONG_MASK | RESIZING))
			return false;
		if (w & SHORT_MASK)
			vai__cpu_relax();
		w = 0;
	}
	return true;
}

int vai__bytes_resize(vai_bytes *b, uint64_t n)
{
	struct store *s = b->store;
	if (!begin_resize(s))
		return VAI_EAGAIN;
	const uint64_t size = atomic_load_relaxed(&s->size);
	const size_t more = n > size ? (size_t)(n - size) : 0;
	const bool within = vai__memory_budget_charge(s->budget, more);
	char *p = within ? vai__heap_resize(s->p, (size_t)n) : NULL;
	if (within)
		vai__memory_budget_give(s->budget, !p ? more : n < size ? (size_t)(size - n) : 0);
	if (p) {
		if (n > size)
			memset(p + size, 0, (size_t)(n - size));
		s->p = p;
		atomic_store_release(&s->size, n);
	}
	atomic_store_release(&s->word, 0);
	return p ? VAI_OK : VAI_ENOMEM;
}

/* ---- copying ---- */

#ifdef VAI_TSAN
/* ThreadSanitizer does not look here: what goroutines write to the same bytes at the same time is the script's
 * affair. */
__attribute__((no_sanitize("thread"))) void vai__bytes_copy(char *to, const char *from, size_t n)
{
	volatile char *t = to;
	const volatile char *f = from;
	bool back = to > from; /* from the end, where the places overlap so */
	for (size_t i = 0; i < n; i++)
		t[back ? n - 1 - i : i] = f[back ? n - 1 - i : i];
}
#else
void vai__bytes_copy(char *to, const char *from, size_t n)
{
	memmove(to, from, n);
}
#endif

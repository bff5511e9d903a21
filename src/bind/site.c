/* SPDX-License-Identifier: MIT */
/* The table of sites. Entries are added and never change; an open hash table of their numbers finds them. A search
 * takes no lock, as an entry is complete before its number is in the table (release, acquire). Adding takes the lock.
 * If a program makes objects at more places than there is room for, objects of the later places have an unknown
 * origin. */
#include "bind/site.h"
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/hash.h"
#include "base/lock.h"

enum { MAX_SITES = 16384, SLOTS = 2 * MAX_SITES };

enum { RECENT = 64 };

struct site {
	uint32_t hash, number;
	int line;
	uint32_t len; /* the length of the source's name in the text; 0 if the text was cut */
	char text[];
};

/* A cache: for some line numbers, the site that was found last. */
static _Atomic(const struct site *) recent[RECENT];

static struct {
	struct vai_lock lock;
	_Atomic(uint32_t) n;            /* written under the lock */
	struct site *sites[MAX_SITES];  /* number 1 is the first */
	_Atomic(uint32_t) slots[SLOTS]; /* numbers; 0: free */
} all = {.lock = {
#ifdef VAI_DEBUG_LOCKS
			 .rank = VAI_RANK_RUNTIME
#endif
		 }};

/* Returns the number of the site with this text; or 0, with the slot in which it is to be entered. */
static uint32_t find(const char *text, uint32_t hash, uint32_t *slot)
{
	for (uint32_t i = hash % SLOTS;; i = (i + 1) % SLOTS) {
		uint32_t n = atomic_load_acquire(&all.slots[i]);
		*slot = i;
		if (n == 0 || (all.sites[n - 1]->hash == hash && strcmp(all.sites[n - 1]->text, text) == 0))
			return n;
	}
}

static struct site *new_site(const char *text, uint32_t hash)
{
	size_t size = strlen(text) + 1;
	const char *colon = strrchr(text, ':');
	struct site *s = malloc(sizeof *s + size);
	if (!s)
		return NULL;
	*s = (struct site){.hash = hash};
	if (colon && size < VAI__SITE_SIZE) {
		s->len = (uint32_t)(colon - text);
		s->line = (int)strtol(colon + 1, NULL, 10);
	}
	memcpy(s->text, text, size);
	return s;
}

static VAI_NOINLINE uint32_t add(const char *text, uint32_t hash)
{
	uint32_t slot, n;
	struct site *s = atomic_load_relaxed(&all.n) < MAX_SITES ? new_site(text, hash) : NULL;
	if (!s)
		return 0;
	vai__lock(&all.lock);
	n = find(text, hash, &slot);
	const uint32_t last = atomic_load_relaxed(&all.n);
	if (n == 0 && last < MAX_SITES) {
		all.sites[last] = s;
		s->number = n = last + 1;
		atomic_store_relaxed(&all.n, n);
		atomic_store_release(&all.slots[slot], n);
		s = NULL;
	}
	vai__unlock(&all.lock);
	free(s);
	return n;
}

void vai__site_format(char *buf, size_t size, const char *src, int line)
{
	char digits[12];
	size_t nd = 0, len = strlen(src);
	do
		digits[nd++] = (char)('0' + line % 10);
	while ((line /= 10) > 0);
	if (len > size - nd - 2)
		len = size - nd - 2;
	memcpy(buf, src, len);
	buf[len++] = ':';
	while (nd > 0)
		buf[len++] = digits[--nd];
	buf[len] = '\0';
}

static VAI_NOINLINE const struct site *look_up(const char *src, int line)
{
	char text[VAI__SITE_SIZE];
	vai__site_format(text, sizeof text, src, line);
	uint32_t n = vai__site_number(text);
	if (!n)
		return NULL;
	if (all.sites[n - 1]->len)
		atomic_store_release(&recent[line % RECENT], all.sites[n - 1]);
	return all.sites[n - 1];
}

/* The site of the innermost Lua function; NULL: unknown. */
static const struct site *here(lua_State *L)
{
	lua_Debug ar;
	for (int level = 1; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline <= 0)
			continue;
		const struct site *s = atomic_load_acquire(&recent[ar.currentline % RECENT]);
		if (s && s->line == ar.currentline && strncmp(s->text, ar.short_src, s->len) == 0 && !ar.short_src[s->len])
			return s;
		return look_up(ar.short_src, ar.currentline);
	}
	return NULL;
}

uint32_t vai__site_here(lua_State *L)
{
	const struct site *s = here(L);
	return s ? s->number : 0;
}

const char *vai__site_text_here(lua_State *L)
{
	const struct site *s = here(L);
	return s ? s->text : NULL;
}

uint32_t vai__site_number(const char *text)
{
	uint32_t slot;
	if (!*text)
		return 0;
	uint32_t hash = (uint32_t)vai__hash_bytes(text, strlen(text)), n = find(text, hash, &slot);
	return n ? n : add(text, hash);
}

const char *vai__site_text(uint32_t site)
{
	return site ? all.sites[site - 1]->text : "";
}

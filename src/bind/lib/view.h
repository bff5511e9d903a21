/* SPDX-License-Identifier: MIT */
/* How a state sees a block of frozen tables: a view, which knows the proxies that the state has for tables of the
 * block. Called by the goroutine whose state it is. */
#ifndef VAI_VIEW_H
#define VAI_VIEW_H

#include "bind/arg.h"
#include "data/frozen.h"

struct vai__view_proxy {
	uint64_t table;
	const void *address; /* NULL: the proxy is gone */
	uint64_t at;         /* where the last `next` stood: a guess for the following one */
	uint32_t misses;     /* or the number of the next free proxy */
};

struct vai__view_index {
	uint32_t *slots; /* numbers of proxies; 0: free */
	size_t used;
};

struct vai__view {
	struct vai_obj obj;
	vai_frozen *block; /* with a reference */
	struct vai__view_proxy *proxies;
	struct vai__view_index by_table, by_address;
	uint32_t changes, names;   /* how often a proxy was set; how many field names the state keeps */
	uint32_t cap, fresh, free; /* proxies have numbers from 1 to cap; those from `fresh` on have never been used */
	uint32_t found, shown;     /* indices of the proxy searched for last and of the one shown last */
	/* The entry that a walk came to last, if its key is a name that the state keeps: address of the name, or NULL; the
	 * table; the entry's number. */
	const void *name;
	uint64_t name_table, name_at;
};
extern const struct vai_class vai__view_class;

/* A view of the block; its reference is not taken over. NULL: out of memory. */
struct vai__view *vai__view_new(vai_frozen *block);
/* The number of the table's proxy, which may be gone; 0: it never had one. */
uint32_t vai__view_find_table(const struct vai__view *v, uint64_t table);
/* The proxy at this address, or NULL. */
struct vai__view_proxy *vai__view_find(struct vai__view *v, const void *address);
/* A number for a new proxy. proxies: stack index of the weak list of proxies. 0: out of memory. */
uint32_t vai__view_number(lua_State *L, struct vai__view *v, int proxies);
/* Makes the proxy with that number the table's. */
void vai__view_set(struct vai__view *v, uint32_t number, uint64_t table, const void *address);

/* Two searches that guess first. A walk through records asks for the record behind the one that was shown last, which
 * got the next number when the records were first walked through, and then for that record itself or the table that it
 * is in. By the time that a walk comes round again, the indices that a search reads have left the cache. */
static inline uint32_t vai__view_by_table(const struct vai__view *v, uint64_t table)
{
	const uint32_t next = v->shown + 1;
	if (VAI_LIKELY(next < v->fresh - 1) && v->proxies[next].table == table && v->proxies[next].address)
		return next + 1;
	return vai__view_find_table(v, table);
}

static inline struct vai__view_proxy *vai__view_by_address(struct vai__view *v, const void *address)
{
	struct vai__view_proxy *p = &v->proxies[v->shown];
	if (VAI_LIKELY(p->address == address && address))
		return p;
	p = &v->proxies[v->found];
	return p->address == address && address ? p : vai__view_find(v, address);
}

/* Notes that the proxy with that number has just been shown to the script. */
static inline void vai__view_note(struct vai__view *v, uint32_t number)
{
	v->shown = number - 1;
}

#endif

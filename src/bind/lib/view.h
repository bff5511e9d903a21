/* SPDX-License-Identifier: MIT */
/* A view: what one state knows of a block of frozen tables, which is the proxies that the state has for the block's
 * tables. Called by the goroutine whose state it is. */
#ifndef VAI_VIEW_H
#define VAI_VIEW_H

#include "bind/arg.h"
#include "data/frozen.h"

struct vai__view_proxy {
	uint64_t table;
	const void *address; /* of the proxy, which is a Lua table; NULL: the proxy is gone */
	uint64_t at;         /* the entry that `next` returned last, where the following `next` looks first */
	uint32_t misses;     /* reads that came to C; of a free proxy, the number of the next free one */
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
	uint32_t changes, names;   /* how often a proxy was set; how many names of fields the state keeps */
	uint32_t cap, fresh, free; /* proxies have numbers from 1 to cap; those from `fresh` on have never been used */
	uint32_t found, shown;     /* the proxy that was searched for last, and the one that the script got last */
	/* The entry that a walk returned last, if its key is a name that the state keeps: the name's address, or NULL;
	 * the table; the number of the entry. */
	const void *name;
	uint64_t name_table, name_at;
};
extern const struct vai_class vai__view_class;

/* Makes a view of the block, with a reference of its own. NULL: out of memory. */
struct vai__view *vai__view_new(vai_frozen *block);
/* The number of the table's proxy, which may be gone; 0: the table has had none since its number was freed. */
uint32_t vai__view_find_table(const struct vai__view *v, uint64_t table);
/* The proxy at this address, or NULL. */
struct vai__view_proxy *vai__view_find(struct vai__view *v, const void *address);
/* A number for a new proxy. proxies: stack index of the weak list of proxies. 0: out of memory. */
uint32_t vai__view_number(lua_State *L, struct vai__view *v, int proxies);
/* Makes the proxy with that number the table's. */
void vai__view_set(struct vai__view *v, uint32_t number, uint64_t table, const void *address);

/* Two searches that try the likely proxies first. A walk through records asks for the record behind the one that the
 * script got last, which has the next number if the records were walked through in this order before; then it asks
 * for that record itself, or for the table that the record is in. This saves reading the indices, which have left the
 * processor's cache when a long walk comes back to them. */
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

/* Notes that the script has just got the proxy with that number. */
static inline void vai__view_note(struct vai__view *v, uint32_t number)
{
	v->shown = number - 1;
}

#endif

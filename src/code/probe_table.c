/* SPDX-License-Identifier: MIT */
/* Finds out where this Lua's struct Table has the address of its node block (the entries that are not in the list)
 * and, in one byte, the logarithm of the number of nodes. Tables of four sizes are made in a state of their own, once
 * per process, and compared with the blocks that the state has allocated. Unless exactly one place fits each, nothing
 * is known, and vai__probe_table_print returns 0 for every table. */
#include "code/probe_table.h"
#include <lauxlib.h>
#include <pthread.h>
#include <string.h>
#include "base/hash.h"
#include "code/noted_blocks.h"
#ifdef VAI_VALGRIND
#include <valgrind/memcheck.h>
#endif

enum { SIZES = 4, WORDS = 16, LANES = 4 };

static const int exponents[SIZES] = {2, 3, 5, 8};
static pthread_once_t once = PTHREAD_ONCE_INIT;         /* several states may open at once */
static size_t nodes_offset, exponent_offset, node_size; /* nodes_offset 0: not found */

static const void *word_at(const void *object, size_t offset)
{
	const void *word;
	memcpy(&word, (const char *)object + offset, sizeof word);
	return word;
}

/* Sets the offsets, if they are clear. Table i on the stack has 1 << exponents[i] nodes; its word k is the address of
 * a block of sizes[i][k] bytes, or of no block (0). */
static void set_offsets(lua_State *L, size_t words, size_t sizes[SIZES][WORDS])
{
	size_t found = 0, exponent = 0;
	int nfound = 0, nexponents = 0;
	for (size_t k = 1; k < words; k++) {
		const size_t node = sizes[0][k] >> exponents[0];
		bool fits = node >= 2 * sizeof(void *);
		for (int i = 0; i < SIZES; i++)
			fits = fits && sizes[i][k] == node << exponents[i];
		nfound += fits;
		if (fits) {
			found = k * sizeof(void *);
			node_size = node;
		}
	}
	for (size_t at = sizeof(void *); at < words * sizeof(void *); at++) {
		bool fits = true;
		for (int i = 0; i < SIZES; i++)
			fits = fits && ((const unsigned char *)lua_topointer(L, i + 1))[at] == exponents[i];
		nexponents += fits;
		if (fits)
			exponent = at;
	}
	if (nfound == 1 && nexponents == 1) {
		exponent_offset = exponent;
		nodes_offset = found;
	}
}

/* Makes the tables and compares them. Argument: struct vai__noted_blocks. */
static int compare_tables(lua_State *L)
{
	const struct vai__noted_blocks *b = lua_touserdata(L, 1);
	size_t words = WORDS, sizes[SIZES][WORDS];
	lua_settop(L, 0);
	luaL_checkstack(L, SIZES, NULL);
	lua_gc(L, LUA_GCSTOP);
	for (int i = 0; i < SIZES; i++) {
		lua_createtable(L, 0, 1 << exponents[i]);
		const void *table = lua_topointer(L, -1);
		const size_t n = vai__noted_blocks_size(b, table) / sizeof(void *);
		words = n < words ? n : words;
		for (size_t k = 0; k < words; k++)
			sizes[i][k] = vai__noted_blocks_size(b, word_at(table, k * sizeof(void *)));
	}
	set_offsets(L, words, sizes);
	return 0;
}

static void probe_tables(void)
{
	vai__noted_blocks_call(compare_tables);
}

/* A hash of n bytes at p. Each step is a bijection of its lane, so that a difference is not lost, and the processor
 * works on the lanes at the same time. */
static uint64_t hash_nodes(const char *p, size_t n)
{
	uint64_t lane[LANES] = {n}, word;
	for (; n >= sizeof lane; p += sizeof lane, n -= sizeof lane) {
		for (int i = 0; i < LANES; i++) {
			memcpy(&word, p + (size_t)i * sizeof word, sizeof word);
			lane[i] = ((lane[i] << 23 | lane[i] >> 41) ^ word) * VAI__HASH_FACTOR;
		}
	}
	for (int i = 1; i < LANES; i++)
		lane[0] = vai__hash_step(lane[0], lane[i]);
	return vai__hash_more(lane[0], p, n);
}

uint64_t vai__probe_table_print(const void *table)
{
	pthread_once(&once, probe_tables);
	if (!nodes_offset)
		return 0;
	const size_t size = node_size << ((const unsigned char *)table)[exponent_offset];
	const void *nodes = word_at(table, nodes_offset);
#ifdef VAI_VALGRIND
	VALGRIND_MAKE_MEM_DEFINED(nodes, size); /* nodes have padding, which Lua does not write */
#endif
	return hash_nodes(nodes, size) | 1;
}

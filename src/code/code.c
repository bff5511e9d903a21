/* SPDX-License-Identifier: MIT */
/* Code objects and the process-wide table that finds them by their bytes.
 *
 * The table owns nothing: an entry is taken out with its last reference. An entry whose count has reached zero is on
 * its way out and is not found. The code objects that were asked for last are kept alive by a ring of references, so
 * that the same function does not come and go. A code object is one block. Any thread may call. */
#include "code/code.h"
#include <lauxlib.h>
#include <string.h>
#include "base/fork.h"
#include "base/hash.h"
#include "base/mem.h"
#include "code/bytecode.h"
#include "code/probe_lua.h"
#include "sched/sched.h"
#include "stdlib/catalog.h"

enum {
	BUCKETS = 1024,
	KEPT = 64,
	LONG = 8192 /* bytes of a helper's bytecode above which each template that holds it would be large */
};

static struct {
	struct vai_lock lock;
	struct vai_code *buckets[BUCKETS]; /* under lock */
	struct vai_code *kept[KEPT];       /* under lock; one reference each */
	unsigned next_kept;                /* under lock */
} table;

static __attribute__((constructor)) void init_table(void)
{
	vai__lock_init(&table.lock, VAI_RANK_CODE);
	vai__fork_holds(&table.lock, VAI_RANK_CODE);
}

static _Atomic(uint64_t) last_id;

void (*vai__code_templates_drop)(struct vai_code *code);

/* ---- the table ---- */

static struct vai_code **bucket_of(uint64_t hash)
{
	return &table.buckets[(hash >> 20) % BUCKETS];
}

static bool ref_if_alive(struct vai_code *code)
{
	unsigned n = atomic_load_relaxed(&code->obj.refs);
	while (n > 0)
		if (atomic_cas_weak_relaxed(&code->obj.refs, &n, n + 1))
			return true;
	return false;
}

/* The code object with these bytes, with a reference; NULL: there is none. Under the lock. */
static struct vai_code *find(uint64_t hash, const char *bytes, size_t size)
{
	const uint64_t setup = vai__home_self()->setup_id;
	for (struct vai_code *c = *bucket_of(hash); c; c = c->next)
		if (c->hash == hash && c->size == size && c->setup == setup && memcmp(c->bytes, bytes, size) == 0 &&
			ref_if_alive(c))
			return c;
	return NULL;
}

/* Puts code into the ring of those that are kept alive. Takes over a reference, and returns that of the object which
 * falls out. Under the lock. */
static struct vai_code *keep(struct vai_code *code)
{
	struct vai_code **slot = &table.kept[table.next_kept++ % KEPT], *old = *slot;
	*slot = code;
	return old;
}

static void destroy(struct vai_obj *obj)
{
	struct vai_code *code = VAI_CONTAINER(obj, struct vai_code, obj);
	vai__lock(&table.lock);
	struct vai_code **link = bucket_of(code->hash);
	while (*link != code)
		link = &(*link)->next;
	*link = code->next;
	vai__unlock(&table.lock);
	if (code->template)
		vai__code_templates_drop(code);
	vai__mem_free(code, code->alloc);
}

static const struct vai_class code_class = {"code", destroy};

/* Enters code into the table. If another thread was faster, drops it and returns that thread's. */
static struct vai_code *publish(struct vai_code *code)
{
	vai__lock(&table.lock);
	struct vai_code *known = find(code->hash, code->bytes, code->size), *old = NULL;
	if (!known) {
		struct vai_code **bucket = bucket_of(code->hash);
		code->next = *bucket;
		*bucket = code;
		vai__obj_ref(&code->obj);
		old = keep(code);
	}
	vai__unlock(&table.lock);
	if (old)
		vai__obj_unref(&old->obj);
	if (!known)
		return code;
	vai__mem_free(code, code->alloc);
	return known;
}

void vai__code_forget(void)
{
	struct vai_code *kept[KEPT];
	vai__lock(&table.lock);
	memcpy(kept, table.kept, sizeof kept);
	memset(table.kept, 0, sizeof table.kept);
	vai__unlock(&table.lock);
	for (int i = 0; i < KEPT; i++)
		if (kept[i])
			vai__obj_unref(&kept[i]->obj);
}

/* ---- making one ---- */

/* Where the parts of the block go: first the object, then what its fields point to, the
 * strings last. */
struct layout {
	size_t upvals, names, fields, strings, total;
};

static struct layout lay_out(const struct vai__bytecode *bc, size_t size)
{
	struct layout l;
	l.upvals = (sizeof(struct vai_code) + 15) & ~(size_t)15;
	l.names = l.upvals + (size_t)bc->nups * sizeof(struct vai__upval);
	l.fields = l.names + bc->nnames * sizeof(struct vai__name);
	l.strings = l.fields + bc->nnames * sizeof(struct vai__field);
	l.total = l.strings + size + bc->source_len + 2;
	for (int i = 0; i < bc->nups; i++)
		l.total += bc->upvals[i].len + 1;
	for (size_t i = 0; i < bc->nnames; i++)
		l.total += bc->names[i].len + 1;
	return l;
}

static const char *put_string(char **at, const char *s, size_t len)
{
	char *p = *at;
	if (len > 0)
		memcpy(p, s, len);
	p[len] = '\0';
	*at = p + len + 1;
	return p;
}

static void put_name(struct vai__name *out, const struct vai__bc_name *n, char **strings)
{
	out->name = put_string(strings, n->s, n->len);
	out->read = n->read;
	out->whole = n->whole;
	out->stock = vai__catalog_global(n->s, n->len) >= 0;
	out->assigned_line = n->assigned_line;
	out->written_line = n->written_line;
}

/* Whether the name can be that of a global: it is there and has no NUL inside. */
static bool usable(const struct vai__bc_name *n)
{
	return n->len > 0 && !memchr(n->s, '\0', n->len);
}

static void put_facts(struct vai_code *code, const struct vai__bytecode *bc, struct vai__name *names, char **strings)
{
	for (int i = 0; i < bc->nups; i++) {
		const struct vai__bc_upval *from = &bc->upvals[i];
		struct vai__upval *up = &code->upvals[i];
		up->name = from->name ? put_string(strings, from->name, from->len) : NULL;
		up->assigned_line = from->assigned_line;
		up->written_line = from->written_line;
		up->whole = from->whole;
		code->assigns |= up->assigned_line && !(up->name && strcmp(up->name, "_ENV") == 0);
		up->names = names;
		for (size_t k = 0; k < bc->nnames; k++)
			if (bc->names[k].up == i && usable(&bc->names[k]))
				put_name(&names[up->nnames++], &bc->names[k], strings);
		names += up->nnames;
		code->nnames += up->nnames;
	}
}

/* The name of the table that a field is of: its string is there already, as that of the upvalue's name. */
static const char *name_of_table(const struct vai_code *code, const struct vai__bc_name *n)
{
	for (int i = 0; i < code->nups; i++)
		for (int k = 0; i == n->up && k < code->upvals[i].nnames; k++)
			if (strlen(code->upvals[i].names[k].name) == n->len &&
				memcmp(code->upvals[i].names[k].name, n->s, n->len) == 0)
				return code->upvals[i].names[k].name;
	return NULL;
}

static bool is_field(const struct vai__bc_name *n)
{
	return n->up <= VAI__BC_METHOD || n->up >= VAI__BC_METHOD_OF;
}

/* The upvalue that the method n is called on, if it holds the same all the time, else -1. */
static int owner_of_method(const struct vai__bytecode *bc, const struct vai__bc_name *n)
{
	int up = n->up - VAI__BC_METHOD_OF;
	return up >= 0 && !bc->upvals[up].assigned_line ? up : -1;
}

static void put_fields(struct vai_code *code, const struct vai__bytecode *bc, char **strings)
{
	for (size_t k = 0; k < bc->nnames; k++) {
		const struct vai__bc_name *n = &bc->names[k];
		if (!is_field(n) || !usable(n))
			continue;
		const char *owner = "string";
		if (n->up <= VAI__BC_FIELD)
			owner = name_of_table(code, &bc->names[VAI__BC_FIELD - n->up]);
		if (!owner)
			continue;
		struct vai__field *f = &code->fields[code->nfields++];
		f->name = put_string(strings, n->s, n->len);
		f->table = owner;
		f->on = owner_of_method(bc, n);
		f->lib = vai__catalog_lib(owner);
		f->entry = f->lib < 0 ? -1 : vai__catalog_find(&vai__catalog.libs[f->lib].names, n->s, n->len);
	}
}

static struct vai_code *assemble(const char *bytes, size_t size, uint64_t hash, const struct vai__bytecode *bc)
{
	struct layout l = lay_out(bc, size);
	char *block = vai__mem_zalloc(l.total);
	if (!block)
		return NULL;
	char *strings = block + l.strings;
	struct vai_code *code = (struct vai_code *)(void *)block;
	vai__obj_init(&code->obj, &code_class);
	code->id = atomic_fetch_add_relaxed(&last_id, 1) + 1;
	code->setup = vai__home_self()->setup_id;
	code->hash = hash;
	code->size = size;
	code->alloc = l.total;
	code->bytes = put_string(&strings, bytes, size);
	code->source = bc->source ? put_string(&strings, bc->source, bc->source_len) : "=?";
	code->line = bc->line;
	code->uses_require = bc->uses_require;
	code->any_library = bc->any_library;
	code->any_global = bc->any_global;
	code->any_method = bc->any_method;
	code->nups = bc->nups;
	code->upvals = (struct vai__upval *)(void *)(block + l.upvals);
	put_facts(code, bc, (struct vai__name *)(void *)(block + l.names), &strings);
	code->fields = (struct vai__field *)(void *)(block + l.fields);
	put_fields(code, bc, &strings);
	return code;
}

static struct vai_code *make(const char *bytes, size_t size, uint64_t hash)
{
	struct vai__bytecode bc;
	int result = vai__probe_opcodes_known() ? vai__bytecode_read(bytes, size, &bc) : VAI_EINVAL;
	if (result == VAI_ENOMEM)
		return NULL;
	if (result != VAI_OK)
		memset(&bc, 0, sizeof bc);
	struct vai_code *code = assemble(bytes, size, hash, &bc);
	if (code)
		code->analyzed = result == VAI_OK;
	vai__bytecode_free(&bc);
	return code;
}

struct vai_code *vai__code_from(const char *bytes, size_t size)
{
	uint64_t hash = vai__hash_bytes(bytes, size);
	vai__lock(&table.lock);
	struct vai_code *code = find(hash, bytes, size);
	vai__unlock(&table.lock);
	if (code)
		return code;
	code = make(bytes, size, hash);
	return code ? publish(code) : NULL;
}

/* ---- helpers ---- */

void vai__code_note_helper(struct vai_code *code, const struct vai_code *helper)
{
	for (int i = 0; i < VAI__HELPERS; i++) {
		struct vai__helper *h = &code->helpers[i];
		uint64_t id = 0;
		if (atomic_compare_exchange_strong(&h->id, &id, helper->id) || id == helper->id) {
			atomic_fetch_add_relaxed(&h->seen, 1);
			return;
		}
	}
}

/* The code object of that number, with a reference; NULL: there is none any more, or it is longer than LONG. */
static struct vai_code *find_id(uint64_t id)
{
	struct vai_code *c = NULL;
	vai__lock(&table.lock);
	for (int i = 0; !c && i < BUCKETS; i++)
		for (c = table.buckets[i]; c && c->id != id;)
			c = c->next;
	if (c && (c->size > LONG || !ref_if_alive(c)))
		c = NULL;
	vai__unlock(&table.lock);
	return c;
}

int vai__code_helpers(struct vai_code *code, unsigned spawns, struct vai_code *helpers[VAI__HELPERS])
{
	int n = 0;
	for (int i = 0; i < VAI__HELPERS; i++) {
		const struct vai__helper *h = &code->helpers[i];
		uint64_t id = atomic_load_relaxed(&h->id);
		if (id && atomic_load_relaxed(&h->seen) >= spawns && (helpers[n] = find_id(id)) != NULL)
			n++;
	}
	return n;
}

/* ---- loading it ---- */

struct source {
	const struct vai_code *code;
	bool read;
};

static const char *read_code(lua_State *L, void *ud, size_t *size)
{
	struct source *s = ud;
	(void)L;
	*size = s->read ? 0 : s->code->size;
	s->read = true;
	return s->code->bytes;
}

int vai__code_load(lua_State *L, const struct vai_code *code)
{
	struct source s = {code, false};
	return lua_load(L, read_code, &s, code->source, "b");
}

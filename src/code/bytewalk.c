/* SPDX-License-Identifier: MIT */
/* Finds out what one function's instructions do with the outermost function's upvalues.
 *
 * A single pass in the order of the code keeps, for each register, where its value came from: an upvalue, a field of
 * one, a library function that writes into its argument. Branches are not followed: a register is taken to hold what
 * the instructions just read have put there, and after an unconditional jump nothing is known of it. So a write may
 * be missed, but a write that is reported is done on some path. Uses err on the other side: if the pass cannot follow
 * a table any further, the table counts as used as a whole. Opcodes are those of Lua 5.4. */
#include "code/bytewalk.h"
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "stdlib/catalog.h"

enum opcode {
	MOVE = 0,
	LOADK = 3,
	LOADKX = 4,
	LOADNIL = 8,
	GETUPVAL = 9,
	SETUPVAL = 10,
	GETTABUP = 11,
	GETTABLE = 12,
	GETI = 13,
	GETFIELD = 14,
	SETTABUP = 15,
	SETTABLE = 16,
	SETI = 17,
	SETFIELD = 18,
	SELF = 20,
	MMBIN = 46,
	MMBINK = 48,
	CLOSE = 54,
	TBC = 55,
	JMP = 56,
	EQ = 57,
	TEST = 66,
	TESTSET = 67,
	CALL = 68,
	TAILCALL = 69,
	RETURN = 70,
	RETURN1 = 72,
	FORLOOP = 73,
	TFORPREP = 75,
	TFORLOOP = 77,
	SETLIST = 78,
	CLOSURE = 79,
	VARARG = 80,
	VARARGPREP = 81,
	EXTRAARG = 82
};

enum { JUMP_BY_0 = (1 << 24) - 1 }; /* the operand of a jump by no instruction */

/* Where a register's value came from. */
enum origin {
	UNKNOWN,
	STRING,  /* the function's constant string number `name`, loaded to be a key: instructions name only 256 of them */
	UPVALUE, /* the upvalue itself */
	GLOBALS, /* the upvalue's field _G */
	INSIDE,  /* a table inside the upvalue's table, reached by a computed key */
	NAMED,   /* the upvalue's field `name`, or a table inside that (deep) */
	LIBRARY, /* the upvalue's field "table" */
	WRITER,  /* table.insert, table.remove, table.sort or rawset, which write into their first argument */
	MOVER    /* table.move, which writes into its fifth argument if it gets five, otherwise into its first */
};

struct value {
	uint32_t name; /* place in bc->names; STRING: number of the constant */
	int16_t up;
	uint8_t origin;
	bool deep;
	uint8_t loader; /* load, loadfile and dofile: which argument is the environment of the code; 0: another function */
	bool keyed;     /* the value may be a field that was read by a key of run time, so it may be a string's method */
	uint32_t arrives; /* a jump brings a keyed value in this register to that place, whatever is set between; or 0 */
	uint32_t around;  /* a jump brings this value to that place, whatever is set between */
};

struct walk {
	const struct vai__bc_func *f;
	struct vai__bytecode *bc;
	uint32_t op;
	size_t pc;
	int line;
	const unsigned char *abs; /* the next entry of the list of absolute lines */
	bool closed;              /* a closure was made, which may have captured locals and sees what is assigned to them */
	struct value reg[256 + 2];
};

/* ---- lines ---- */

/* Reads a number of the list of absolute lines, whose bounds the reader (bytecode.c) has checked. */
static size_t abs_number(const unsigned char **p)
{
	size_t x = 0;
	unsigned b;
	do {
		b = *(*p)++;
		x = x << 7 | (b & 0x7f);
	} while (!(b & 0x80));
	return x;
}

static void advance_line(struct walk *w)
{
	const struct vai__bc_func *f = w->f;
	if (w->pc >= f->nlines) {
		w->line = -1;
	} else if (f->lines[w->pc] != -0x80) {
		w->line = (int)((unsigned)w->line + (unsigned)f->lines[w->pc]);
	} else if (w->abs < f->abs_end) {
		abs_number(&w->abs);
		w->line = (int)abs_number(&w->abs);
	}
}

/* Notes the current line in *line, unless an earlier line of the source is there. */
static void note_line(const struct walk *w, int *line)
{
	int here = w->line > 0 ? w->line : -1;
	if (*line == 0 || (here > 0 && here < *line))
		*line = here;
}

/* ---- names ---- */

/* The slot of the name in bc->index, or the empty slot where it goes. */
static uint32_t *find_slot(struct vai__bytecode *bc, const char *s, size_t len, int up)
{
	size_t mask = bc->cap_names * 2 - 1, i = (size_t)vai__hash_step(vai__hash_bytes(s, len), (uint64_t)up) & mask;
	for (;; i = (i + 1) & mask) {
		if (!bc->index[i])
			return &bc->index[i];
		const struct vai__bc_name *n = &bc->names[bc->index[i] - 1];
		if (n->up == up && n->len == len && memcmp(n->s, s, len) == 0)
			return &bc->index[i];
	}
}

static int grow_names(struct vai__bytecode *bc)
{
	size_t old = bc->cap_names, cap = old ? old * 2 : 8;
	struct vai__bc_name *names = vai__mem_alloc(cap * sizeof *names);
	uint32_t *index = vai__mem_zalloc(cap * 2 * sizeof *index);
	if (!names || !index) {
		vai__mem_free(names, cap * sizeof *names);
		vai__mem_free(index, cap * 2 * sizeof *index);
		return VAI_ENOMEM;
	}
	if (old) {
		memcpy(names, bc->names, bc->nnames * sizeof *names);
		vai__mem_free(bc->names, old * sizeof *names);
		vai__mem_free(bc->index, old * 2 * sizeof *index);
	}
	bc->names = names;
	bc->index = index;
	bc->cap_names = cap;
	for (size_t i = 0; i < bc->nnames; i++)
		*find_slot(bc, names[i].s, names[i].len, names[i].up) = (uint32_t)i + 1;
	return VAI_OK;
}

/* The place of upvalue up's field k in bc->names; negative: VAI_ENOMEM or VAI_EINVAL. */
static int64_t name_at(struct walk *w, int up, unsigned k)
{
	struct vai__bytecode *bc = w->bc;
	if (k >= w->f->nk)
		return VAI_EINVAL;
	const struct vai__bc_const *c = &w->f->k[k];
	if (bc->nnames == bc->cap_names && grow_names(bc) != VAI_OK)
		return VAI_ENOMEM;
	const char *s = c->s ? c->s : "";
	uint32_t *slot = find_slot(bc, s, c->len, up);
	if (!*slot) {
		bc->names[bc->nnames] = (struct vai__bc_name){.s = s, .len = c->len, .up = up};
		*slot = (uint32_t)++bc->nnames;
	}
	return *slot - 1;
}

static bool key_is(const struct walk *w, unsigned k, const char *s)
{
	const struct vai__bc_const *c = &w->f->k[k];
	return c->s && c->len == strlen(s) && memcmp(c->s, s, c->len) == 0;
}

/* ---- what values come from and go into ---- */

static bool is_keyed(const struct walk *w, const struct value *v)
{
	return v->keyed || (v->arrives > 0 && w->pc >= v->arrives);
}

/* The pass cannot follow v any further. If v is a table, any of its fields may be used; if v may be a method of
 * strings, it may be called. */
static void use_whole(struct walk *w, const struct value *v)
{
	w->bc->any_global |= v->loader > 0;
	w->bc->any_method |= is_keyed(w, v) && (w->op & 0x7f) != TEST;
	if (v->origin == UPVALUE)
		w->bc->upvals[v->up].whole = true;
	else if (v->origin == GLOBALS || ((v->origin == NAMED || v->origin == LIBRARY) && !v->deep))
		w->bc->names[v->name].whole = true;
}

/* Register a gets the value v. */
static void put(struct walk *w, unsigned a, struct value v)
{
	struct value *r = &w->reg[a];
	if (w->pc < r->around)
		use_whole(w, r);
	v.keyed = is_keyed(w, &v);
	v.around = 0;
	v.arrives = w->pc < r->arrives ? r->arrives : 0;
	*r = v;
}

static void put_unknown(struct walk *w, unsigned a)
{
	put(w, a, (struct value){.up = -1, .deep = true});
}

static int own_upvalue(const struct walk *w, unsigned i)
{
	return i < w->f->nups ? w->f->own[i] : -1;
}

/* For a function that loads code, by its name: which argument is the environment of that code; UINT8_MAX: none is. 0:
 * the function loads no code. */
static uint8_t env_of_loader(const struct walk *w, unsigned k)
{
	if (key_is(w, k, "load"))
		return 4;
	if (key_is(w, k, "loadfile"))
		return 3;
	return key_is(w, k, "dofile") ? UINT8_MAX : 0;
}

/* Register a gets field K[k] of the upvalue. */
static int read_name(struct walk *w, unsigned a, int up, unsigned k)
{
	int64_t name = name_at(w, up, k);
	if (name < 0)
		return (int)name;
	w->bc->names[name].read = true;
	struct value v = {.name = (uint32_t)name, .up = (int16_t)up, .origin = NAMED};
	if (key_is(w, k, "_G"))
		v.origin = GLOBALS;
	else if (key_is(w, k, "table"))
		v.origin = LIBRARY;
	else if (key_is(w, k, "rawset"))
		v.origin = WRITER;
	else if (key_is(w, k, "require") || key_is(w, k, "package"))
		w->bc->uses_require = true;
	else if ((v.loader = env_of_loader(w, k)) > 0)
		w->bc->any_library = true;
	put(w, a, v);
	return VAI_OK;
}

static void use_range(struct walk *w, unsigned from, unsigned n)
{
	for (; n > 0 && from < 256; from++, n--)
		use_whole(w, &w->reg[from]);
}

static int assign_name(struct walk *w, int up, unsigned k)
{
	int64_t name = name_at(w, up, k);
	if (name < 0)
		return (int)name;
	note_line(w, &w->bc->names[name].assigned_line);
	return VAI_OK;
}

/* Notes a write into the table that v is. */
static void write_into(struct walk *w, const struct value *v)
{
	int *line = NULL;
	if (v->origin == UPVALUE || v->origin == INSIDE)
		line = &w->bc->upvals[v->up].written_line;
	else if (v->origin == NAMED || v->origin == LIBRARY)
		line = &w->bc->names[v->name].written_line;
	if (line)
		note_line(w, line);
}

static int get_upvalue(struct walk *w, unsigned a, unsigned b)
{
	int up = own_upvalue(w, b);
	put(w, a, (struct value){.up = (int16_t)up, .origin = up >= 0 ? UPVALUE : UNKNOWN});
	return VAI_OK;
}

static int set_upvalue(struct walk *w, unsigned a, unsigned b)
{
	int up = own_upvalue(w, b);
	use_whole(w, &w->reg[a]);
	if (up >= 0)
		note_line(w, &w->bc->upvals[up].assigned_line);
	return VAI_OK;
}

/* Notes that the function uses the field K[k] of a table that a name holds, or the method K[k]; up says which of these
 * (struct vai__bc_name). Nothing else is kept of such a use. */
static int note_field(struct walk *w, int up, unsigned k)
{
	int64_t name = k < w->f->nk && w->f->k[k].s ? name_at(w, up, k) : 0;
	return name < 0 ? (int)name : VAI_OK;
}

/* Register a gets field K[k] of a value that is a string (`string`), or of one that may be the metatable of strings. */
static int get_field_of_string(struct walk *w, unsigned a, bool string, unsigned k)
{
	put_unknown(w, a);
	if (k < w->f->nk && key_is(w, k, "__index"))
		w->bc->any_library = true;
	return string ? note_field(w, VAI__BC_METHOD, k) : VAI_OK;
}

static int get_field(struct walk *w, unsigned a, struct value from, unsigned k)
{
	if (from.origin == NAMED || from.origin == LIBRARY) {
		int r = note_field(w, VAI__BC_FIELD - (int)from.name, k);
		if (r != VAI_OK)
			return r;
	}
	if (from.origin == UPVALUE || from.origin == GLOBALS)
		return read_name(w, a, from.up, k);
	if (from.origin == STRING || from.origin == UNKNOWN)
		return get_field_of_string(w, a, from.origin == STRING, k);
	const bool library = from.origin == LIBRARY && k < w->f->nk;
	if (library && (key_is(w, k, "insert") || key_is(w, k, "remove") || key_is(w, k, "sort")))
		from.origin = WRITER;
	else if (library && key_is(w, k, "move"))
		from.origin = MOVER;
	else if (from.origin == LIBRARY)
		from.origin = NAMED;
	else if (from.origin == WRITER || from.origin == MOVER)
		from.origin = UNKNOWN;
	put(w, a, (struct value){.name = from.name, .up = from.up, .origin = from.origin, .deep = true});
	return VAI_OK;
}

static int load_constant(struct walk *w, unsigned a, uint32_t k)
{
	bool string = k < w->f->nk && w->f->k[k].s;
	put(w, a, (struct value){.name = k, .up = -1, .origin = string ? STRING : UNKNOWN});
	return VAI_OK;
}

/* Register a gets a field of register b; the key is a value in a register or, if `key` is NULL, a number. */
static int get_inside(struct walk *w, unsigned a, unsigned b, const struct value *key)
{
	struct value from = w->reg[b];
	if (key && key->origin == STRING)
		return get_field(w, a, from, key->name);
	if (key)
		use_whole(w, &from);
	w->bc->any_library |= from.origin == STRING;
	if (from.origin == UPVALUE)
		from.origin = INSIDE;
	else if (from.origin != INSIDE && from.origin != NAMED)
		from = (struct value){.up = -1};
	put(w, a, (struct value){from.name, from.up, from.origin, .deep = true, .keyed = key != NULL});
	return VAI_OK;
}

static void note_set(struct walk *w, unsigned k)
{
	if (VAI_UNLIKELY(w->bc->sought != NULL) && k < w->f->nk && key_is(w, k, w->bc->sought))
		w->bc->found = true;
}

static int set_field(struct walk *w, unsigned a, unsigned k)
{
	const struct value v = w->reg[a];
	note_set(w, k);
	write_into(w, &v);
	if (v.origin == UPVALUE || v.origin == GLOBALS)
		return assign_name(w, v.up, k);
	return VAI_OK;
}

static int set_inside(struct walk *w, unsigned a, const struct value *key)
{
	if (key->origin == STRING)
		return set_field(w, a, key->name);
	write_into(w, &w->reg[a]);
	return VAI_OK;
}

static int set_through_upvalue(struct walk *w, unsigned a, unsigned k)
{
	int up = own_upvalue(w, a);
	note_set(w, k);
	if (up < 0)
		return VAI_OK;
	write_into(w, &(struct value){.up = (int16_t)up, .origin = UPVALUE});
	return assign_name(w, up, k);
}

static void forget_from(struct walk *w, unsigned a)
{
	for (; a < 256; a++)
		put_unknown(w, a);
}

/* Called after an unconditional jump or a return. The next instruction is reached by other jumps only, so it is
 * unknown what registers hold, except that a register which was keyed is taken to be keyed still. */
static void forget_path(struct walk *w)
{
	for (struct value *r = w->reg; r < w->reg + 256; r++)
		if (w->pc >= r->around)
			*r = (struct value){.up = -1, .deep = true, .keyed = r->keyed, .arrives = r->arrives};
}

/* Whether the function v may call its first argument. Of the stock globals only pcall and xpcall do; fields of modules
 * and libraries are taken not to. */
static bool may_call(const struct walk *w, const struct value *v)
{
	if (v->origin == UNKNOWN || v->origin == UPVALUE)
		return true;
	if (v->origin != NAMED || v->deep)
		return false;
	const struct vai__bc_name *n = &w->bc->names[v->name];
	const bool protects =
		(n->len == 5 && memcmp(n->s, "pcall", 5) == 0) || (n->len == 6 && memcmp(n->s, "xpcall", 6) == 0);
	return protects || vai__catalog_global(n->s, n->len) < 0;
}

/* Whether the call of register a may call a string's method by a name that is known at run time only: s[name](s),
 * pcall(s[name], s). */
static bool calls_keyed(const struct walk *w, unsigned a)
{
	const struct value *f = &w->reg[a];
	return is_keyed(w, f) || (is_keyed(w, f + 1) && may_call(w, f));
}

/* The call of register a with b - 1 arguments. If b is 0 their number is known at run time only; a table.move that is
 * called so is not looked into. */
static int call(struct walk *w, unsigned a, unsigned b)
{
	if (w->reg[a].origin == WRITER)
		write_into(w, &w->reg[a + 1]);
	else if (w->reg[a].origin == MOVER && b > 1)
		write_into(w, &w->reg[b > 5 ? a + 5 : a + 1]);
	w->bc->any_method |= calls_keyed(w, a);
	w->bc->any_global |= w->reg[a].loader > 0 && (b == 0 || b <= w->reg[a].loader);
	use_range(w, w->closed ? 0 : a + 1, w->closed || b == 0 ? 256 : b - 1);
	forget_from(w, a);
	return VAI_OK;
}

static uint32_t opcode_at(const struct walk *w, size_t pc)
{
	uint32_t op;
	memcpy(&op, w->f->code + pc * 4, 4);
	return op & 0x7f;
}

/* The upvalue that register b holds on every path to this instruction: the instruction just before has loaded it and
 * is no operand of `and` or `or`, since such an operand follows a jump. -1: no upvalue is certain. */
static int certain_upvalue(const struct walk *w, unsigned b)
{
	if (w->pc < 1 || opcode_at(w, w->pc - 1) != GETUPVAL || w->reg[b].origin != UPVALUE)
		return -1;
	return w->pc >= 2 && opcode_at(w, w->pc - 2) == JMP ? -1 : w->reg[b].up;
}

/* The first half of a method call: register a + 1 gets the object, register a the method, which is unknown. */
static int self(struct walk *w, unsigned a, unsigned b)
{
	int up = certain_upvalue(w, b);
	put(w, a + 1, w->reg[b]);
	put_unknown(w, a);
	return w->op >> 15 & 1 ? note_field(w, up < 0 ? VAI__BC_METHOD : VAI__BC_METHOD_OF + up, w->op >> 24) : VAI_OK;
}

/* Whether an instruction with this opcode sets no register. */
static bool only_reads(unsigned op)
{
	return (op >= MMBIN && op <= MMBINK) || op == CLOSE || op == TBC || (op >= EQ && op <= TEST) || op == SETLIST ||
		op == VARARGPREP || op == EXTRAARG;
}

/* A jump leads from here to `to`. The values that registers hold now arrive there, whatever the code between sets them
 * to: notes that in each register. */
static void carry(struct walk *w, size_t to)
{
	for (unsigned a = 0; a < 256 && to > w->pc && to <= w->f->ncode; a++) {
		struct value *r = &w->reg[a];
		if (is_keyed(w, r) && r->arrives < to)
			r->arrives = (uint32_t)to;
		if (r->around < to)
			r->around = (uint32_t)to;
	}
}

/* A jump. It is conditional if the previous instruction is a test. If it leads back, the values that registers hold
 * now may be used by code that the pass has read already. */
static int jump(struct walk *w, unsigned previous)
{
	const bool conditional = previous >= EQ && previous <= TESTSET, back = w->op >> 7 < JUMP_BY_0;
	if (!conditional || back)
		use_range(w, 0, 256);
	carry(w, w->pc + 1 + (w->op >> 7) - JUMP_BY_0);
	if (!conditional)
		forget_path(w);
	return VAI_OK;
}

/* The pass loses sight of values that the instruction returns, captures or stores. */
static void hand_on(struct walk *w, unsigned op, unsigned a)
{
	const unsigned b = w->op >> 16 & 0xff, c = w->op >> 24;
	if (w->closed && op >= RETURN && op <= RETURN1)
		use_range(w, 0, 256);
	else if (op >= RETURN && op <= RETURN1)
		use_range(w, a, op == RETURN1 ? 1 : op > RETURN ? 0 : b > 0 ? b - 1 : 256);
	else if (op == SETLIST)
		use_range(w, a + 1, b > 0 ? b : 256);
	else if (op == CLOSURE || op == FORLOOP || op == TFORLOOP)
		use_range(w, 0, 256);
	else if (op == TEST || op == TESTSET)
		use_whole(w, &w->reg[op == TEST ? a : b]);
	else if (op >= TFORPREP && op < TFORLOOP)
		use_range(w, a, 3);
	else if (op >= SETTABUP && op <= SETFIELD && !(w->op >> 15 & 1))
		use_whole(w, &w->reg[c]);
}

static int other(struct walk *w, unsigned op, unsigned a, uint32_t previous)
{
	if (op >= RETURN && op <= RETURN1)
		forget_path(w);
	else if (op == VARARG || (op >= FORLOOP && op <= TFORLOOP))
		forget_from(w, a);
	else if (op == LOADNIL)
		for (unsigned last = a + (w->op >> 16 & 0xff); a <= last && a < 256; a++)
			put_unknown(w, a);
	else if (op == EXTRAARG && (previous & 0x7f) == LOADKX)
		load_constant(w, previous >> 7 & 0xff, w->op >> 7);
	else if (op == TESTSET)
		put(w, a, (struct value){.up = -1, .deep = true, .keyed = is_keyed(w, &w->reg[w->op >> 16 & 0xff])});
	else if (!only_reads(op))
		put_unknown(w, a);
	w->closed |= op == CLOSURE;
	return VAI_OK;
}

static int step(struct walk *w, uint32_t previous)
{
	unsigned op = w->op & 0x7f, a = w->op >> 7 & 0xff, b = w->op >> 16 & 0xff, c = w->op >> 24;
	int up;
	hand_on(w, op, a);
	switch ((enum opcode)op) {
	case MOVE: put(w, a, w->reg[b]); return VAI_OK;
	case GETUPVAL: return get_upvalue(w, a, b);
	case SETUPVAL: return set_upvalue(w, a, b);
	case GETTABUP:
		up = own_upvalue(w, b);
		put_unknown(w, a);
		return up >= 0 ? read_name(w, a, up, c) : VAI_OK;
	case GETFIELD: return get_field(w, a, w->reg[b], c);
	case GETTABLE: return get_inside(w, a, b, &w->reg[c]);
	case GETI: return get_inside(w, a, b, NULL);
	case SETTABUP: return set_through_upvalue(w, a, b);
	case SETFIELD: return set_field(w, a, b);
	case SETTABLE: return set_inside(w, a, &w->reg[b]);
	case SETI: write_into(w, &w->reg[a]); return VAI_OK;
	case LOADK: return load_constant(w, a, w->op >> 15);
	case SELF: return self(w, a, b);
	case CALL:
	case TAILCALL: return call(w, a, b);
	case JMP: return jump(w, previous & 0x7f);
	default: return op <= EXTRAARG ? other(w, op, a, previous) : VAI_EINVAL;
	}
}

int vai__bytewalk(const struct vai__bc_func *f, struct vai__bytecode *bc)
{
	struct walk *w = vai__mem_zalloc(sizeof *w);
	uint32_t previous = EXTRAARG;
	int result = VAI_OK;
	if (!w)
		return VAI_ENOMEM;
	w->f = f;
	w->bc = bc;
	w->line = f->line;
	w->abs = f->abs;
	for (w->pc = 0; w->pc < f->ncode && result == VAI_OK; w->pc++) {
		memcpy(&w->op, f->code + w->pc * 4, 4);
		advance_line(w);
		result = step(w, previous);
		previous = w->op;
	}
	vai__mem_free(w, sizeof *w);
	return result;
}

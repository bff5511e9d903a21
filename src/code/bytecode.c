/* SPDX-License-Identifier: MIT */
/* The reader of dumped bytecode: it undoes Lua 5.4's ldump.c. The bytes may be anything, so every length is checked
 * against what is left of them.
 *
 * A nested function's upvalue is traced to the outermost function's through the chain of "not in the stack"
 * descriptors, so each level needs only its parent's map. A function's instructions are looked at (bytewalk.c) after
 * its debug information has been read, which comes behind its nested functions. */
#include "code/bytecode.h"
#include <string.h>
#include "base/mem.h"
#include "code/bytewalk.h"

enum {
	MAX_NESTING = 200, /* as the compiler's own limit */
	KNIL = 0x00,
	KFALSE = 0x01,
	KTRUE = 0x11,
	KINT = 0x03,
	KFLOAT = 0x13,
	KSHORT = 0x04,
	KLONG = 0x14
};

struct reader {
	const unsigned char *p, *end;
	struct vai__bytecode *bc;
	int result; /* VAI_OK, or the first error */
	int nesting;
};

static bool fail(struct reader *r, int why)
{
	if (r->result == VAI_OK)
		r->result = why;
	return false;
}

static bool skip(struct reader *r, size_t n)
{
	if ((size_t)(r->end - r->p) < n)
		return fail(r, VAI_EINVAL);
	r->p += n;
	return true;
}

static bool read_byte(struct reader *r, unsigned *out)
{
	if (r->p == r->end)
		return fail(r, VAI_EINVAL);
	*out = *r->p++;
	return true;
}

static bool read_size(struct reader *r, size_t *out)
{
	size_t x = 0;
	unsigned b;
	do {
		if (x >> (sizeof x * 8 - 7) || !read_byte(r, &b))
			return fail(r, VAI_EINVAL);
		x = x << 7 | (b & 0x7f);
	} while (!(b & 0x80));
	*out = x;
	return true;
}

static bool read_int(struct reader *r, int *out)
{
	size_t x;
	if (!read_size(r, &x) || x > INT32_MAX)
		return fail(r, VAI_EINVAL);
	*out = (int)x;
	return true;
}

/* Reads a count of items that take at least `each` bytes each. */
static bool read_count(struct reader *r, size_t each, size_t *out)
{
	if (!read_size(r, out) || *out > INT32_MAX || *out > (size_t)(r->end - r->p) / each)
		return fail(r, VAI_EINVAL);
	return true;
}

static bool read_string(struct reader *r, const char **s, size_t *len)
{
	size_t n;
	if (!read_size(r, &n))
		return false;
	*s = n ? (const char *)r->p : NULL;
	*len = n ? n - 1 : 0;
	return skip(r, *len);
}

static bool read_constant(struct reader *r, struct vai__bc_const *k)
{
	unsigned type;
	k->s = NULL;
	k->len = 0;
	if (!read_byte(r, &type))
		return false;
	switch (type) {
	case KNIL:
	case KFALSE:
	case KTRUE: return true;
	case KINT:
	case KFLOAT: return skip(r, 8);
	case KSHORT:
	case KLONG: return read_string(r, &k->s, &k->len);
	default: return fail(r, VAI_EINVAL);
	}
}

static bool read_constants(struct reader *r, struct vai__bc_func *f)
{
	if (!read_count(r, 1, &f->nk))
		return false;
	f->k = vai__mem_alloc(f->nk * sizeof *f->k);
	if (!f->k)
		return fail(r, VAI_ENOMEM);
	for (size_t i = 0; i < f->nk; i++)
		if (!read_constant(r, &f->k[i]))
			return false;
	return true;
}

static bool read_upvalues(struct reader *r, struct vai__bc_func *f, const struct vai__bc_func *parent)
{
	if (!read_count(r, 3, &f->nups) || f->nups > 255)
		return fail(r, VAI_EINVAL);
	for (size_t i = 0; i < f->nups; i++, r->p += 3) {
		unsigned from = r->p[1];
		bool own = parent && r->p[0] == 0 && from < parent->nups;
		f->own[i] = parent ? own ? parent->own[from] : -1 : (int16_t)i;
	}
	return true;
}

static bool read_debug(struct reader *r, struct vai__bc_func *f)
{
	size_t n, len;
	const char *s;
	if (!read_count(r, 1, &f->nlines))
		return false;
	f->lines = (const signed char *)r->p;
	if (!skip(r, f->nlines) || !read_count(r, 2, &f->nabs))
		return false;
	f->abs = r->p;
	for (size_t i = 0; i < 2 * f->nabs; i++)
		if (!read_size(r, &len))
			return false;
	f->abs_end = r->p;
	if (!read_count(r, 3, &n))
		return false;
	while (n-- > 0)
		if (!read_string(r, &s, &len) || !read_size(r, &len) || !read_size(r, &len))
			return false;
	return true;
}

/* keep: f is the outermost function, and its upvalues' names are kept, in their order. */
static bool read_upvalue_names(struct reader *r, const struct vai__bc_func *f, bool keep)
{
	size_t n, len;
	const char *s;
	if (!read_count(r, 1, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!read_string(r, &s, &len))
			return false;
		if (keep && i < f->nups) {
			r->bc->upvals[i].name = s;
			r->bc->upvals[i].len = len;
		}
	}
	return true;
}

static bool read_function(struct reader *r, const struct vai__bc_func *parent);

static bool read_nested(struct reader *r, const struct vai__bc_func *f)
{
	size_t n;
	if (!read_count(r, 1, &n))
		return false;
	while (n-- > 0)
		if (!read_function(r, f))
			return false;
	return true;
}

static bool read_head(struct reader *r, struct vai__bc_func *f, bool outermost)
{
	const char *source;
	size_t len;
	int last;
	if (!read_string(r, &source, &len) || !read_int(r, &f->line) || !read_int(r, &last) || !skip(r, 3))
		return false;
	if (outermost) {
		r->bc->source = source;
		r->bc->source_len = len;
		r->bc->line = f->line;
	}
	if (!read_count(r, 4, &f->ncode))
		return false;
	f->code = r->p;
	return skip(r, f->ncode * 4);
}

static bool alloc_upvals(struct reader *r, size_t n)
{
	r->bc->upvals = vai__mem_zalloc((n + 1) * sizeof *r->bc->upvals);
	r->bc->nups = (int)n;
	return r->bc->upvals || fail(r, VAI_ENOMEM);
}

static bool read_parts(struct reader *r, struct vai__bc_func *f, const struct vai__bc_func *parent)
{
	if (!read_head(r, f, !parent) || !read_constants(r, f) || !read_upvalues(r, f, parent))
		return false;
	if (!parent && !alloc_upvals(r, f->nups))
		return false;
	if (!read_nested(r, f) || !read_debug(r, f) || !read_upvalue_names(r, f, !parent))
		return false;
	int walked = vai__bytewalk(f, r->bc);
	return walked == VAI_OK || fail(r, walked);
}

static bool read_function(struct reader *r, const struct vai__bc_func *parent)
{
	if (r->nesting++ == MAX_NESTING)
		return fail(r, VAI_EINVAL);
	struct vai__bc_func *f = vai__mem_zalloc(sizeof *f);
	if (!f)
		return fail(r, VAI_ENOMEM);
	bool ok = read_parts(r, f, parent);
	if (f->k)
		vai__mem_free(f->k, f->nk * sizeof *f->k);
	vai__mem_free(f, sizeof *f);
	r->nesting--;
	return ok;
}

/* Signature, version, format, data to catch conversions, sizes, test numbers. */
static bool read_header(struct reader *r)
{
	static const unsigned char head[] = "\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";
	const unsigned char *p = r->p;
	size_t n = sizeof head - 1;
	int64_t integer;
	double number;
	if (!skip(r, n + sizeof integer + sizeof number + 1))
		return false;
	memcpy(&integer, p + n, sizeof integer);
	memcpy(&number, p + n + sizeof integer, sizeof number);
	if (memcmp(p, head, n) != 0 || integer != 0x5678 || number != 370.5)
		return fail(r, VAI_EINVAL);
	return true;
}

static int read_bytes(const char *bytes, size_t size, struct vai__bytecode *out)
{
	struct reader r = {(const unsigned char *)bytes, (const unsigned char *)bytes + size, out, VAI_OK, 0};
	if (read_header(&r) && read_function(&r, NULL) && r.p != r.end)
		fail(&r, VAI_EINVAL);
	if (r.result != VAI_OK)
		vai__bytecode_free(out);
	return r.result;
}

int vai__bytecode_read(const char *bytes, size_t size, struct vai__bytecode *out)
{
	memset(out, 0, sizeof *out);
	return read_bytes(bytes, size, out);
}

bool vai__bytecode_sets(const char *bytes, size_t size, const char *name)
{
	struct vai__bytecode bc = {.sought = name};
	if (read_bytes(bytes, size, &bc) != VAI_OK)
		return false;
	const bool found = bc.found;
	vai__bytecode_free(&bc);
	return found;
}

void vai__bytecode_free(struct vai__bytecode *bc)
{
	if (bc->upvals)
		vai__mem_free(bc->upvals, ((size_t)bc->nups + 1) * sizeof *bc->upvals);
	if (bc->names)
		vai__mem_free(bc->names, bc->cap_names * sizeof *bc->names);
	if (bc->index)
		vai__mem_free(bc->index, bc->cap_names * 2 * sizeof *bc->index);
	memset(bc, 0, sizeof *bc);
}

/* SPDX-License-Identifier: MIT */
/* A pattern is a list of items, which take the stream of a call from its start to the end of the function, or of the
 * arguments: bytes that are the same in all, a code object, an object, a scalar. Places of references in the stream's
 * chain are bytes like others, until a scalar may move what follows. */
#include "transfer/call_pattern.h"
#include "base/mem.h"
#include "state/handle.h"

enum { MAX_ITEMS = 48, MAX_BYTES = 512, MAX_NESTED = 6, MAX_ARGS = 16 };

enum kind { SAME, ANY, CODE, OBJECT, CAPTURED, ARGUMENT };

struct walk {
	const unsigned char *p;
	const unsigned char *from; /* where the bytes begin that are not in an item yet */
	unsigned char *bytes;
	size_t nbytes;
	struct vai__call_pattern *pattern;
	struct vai_obj *objects[VAI__PATTERN_OBJECTS];
	int nested;
	bool moves; /* there was a scalar that may be of another length, so that what follows may lie elsewhere */
	bool fits;
};

static uint64_t code_id(const unsigned char *at)
{
	return VAI_CONTAINER((struct vai_obj *)(uintptr_t)vai__load64(at), struct vai_code, obj)->id;
}

/* Bytes of the scalar at p; 0: it is none. */
static inline size_t scalar_size(const unsigned char *p)
{
	switch (*p) {
	case T_NIL:
	case T_FALSE:
	case T_TRUE: return 1;
	case T_INT:
	case T_FLOAT: return 9;
	case T_SHORT: return 2 + (size_t)p[1];
	default: return 0;
	}
}

/* ---- making one ---- */

static void add(struct walk *w, enum kind kind, unsigned arg, size_t len)
{
	struct vai__call_pattern *p = w->pattern;
	if (p->nitems == MAX_ITEMS || len > UINT16_MAX)
		w->fits = false;
	else
		p->items[p->nitems++] = (struct vai__pattern_item){(uint8_t)kind, (uint8_t)arg, (uint16_t)len};
}

static void keep(struct walk *w, const unsigned char *from, size_t len)
{
	if (len > MAX_BYTES - w->nbytes) {
		w->fits = false;
		return;
	}
	memcpy(w->bytes + w->nbytes, from, len);
	w->nbytes += len;
}

/* Makes an item of the bytes up to p. */
static void flush(struct walk *w)
{
	size_t len = (size_t)(w->p - w->from);
	if (len > 0) {
		add(w, SAME, 0, len);
		keep(w, w->from, len);
	}
	w->from = w->p;
}

static void take(struct walk *w, enum kind kind, unsigned arg, size_t len)
{
	flush(w);
	add(w, kind, arg, len);
	w->from = w->p += len;
}

/* Walks over the place of the reference before, in the chain of references. */
static void take_place(struct walk *w)
{
	if (w->moves)
		take(w, ANY, 0, 8);
	else
		w->p += 8;
}

static void take_object(struct walk *w)
{
	struct vai__call_pattern *p = w->pattern;
	struct vai_obj *o = (struct vai_obj *)(uintptr_t)vai__load64(w->p);
	unsigned i = 0;
	if (vai__handle_is_proxied(o->cls)) { /* proxies are found by their addresses, which differ between clones */
		w->fits = false;
		return;
	}
	while (i < p->nobjects && w->objects[i] != o)
		i++;
	if (i == VAI__PATTERN_OBJECTS) {
		w->fits = false;
		return;
	}
	if (i == p->nobjects) {
		w->objects[i] = o;
		p->classes[i] = o->cls;
		p->nobjects++;
	}
	take(w, OBJECT, i, 8);
	take_place(w);
}

static void take_hole(struct walk *w, enum kind kind, int number)
{
	const unsigned char *at = w->p;
	flush(w);
	keep(w, at, scalar_size(at));
	take(w, kind, (unsigned)number, scalar_size(at));
	w->pattern->nholes++;
	w->moves = true;
}

static void walk_value(struct walk *w);

/* Up to T_END: names and values of globals. */
static void walk_globals(struct walk *w)
{
	while (w->fits && *w->p == T_NAME) {
		w->p++;
		w->fits = *w->p == T_SHORT;
		walk_value(w);
		walk_value(w);
	}
	w->fits = w->fits && *w->p++ == T_END;
}

static void walk_function(struct walk *w)
{
	struct vai__call_pattern *p = w->pattern;
	if (p->ncodes == VAI__PATTERN_CODES || w->nested == MAX_NESTED) {
		w->fits = false;
		return;
	}
	w->p += FUNC_CODE - 1;
	p->codes[p->ncodes] = code_id(w->p);
	take(w, CODE, p->ncodes++, 8);
	take_place(w);
	const int nups = *w->p++;
	w->nested++;
	for (int i = 1; i <= nups && w->fits; i++) {
		if (w->nested == 1 && scalar_size(w->p) > 0)
			take_hole(w, CAPTURED, i);
		else
			walk_value(w);
	}
	walk_globals(w);
	w->nested--;
}

static void walk_value(struct walk *w)
{
	if (!w->fits)
		return;
	size_t scalar = scalar_size(w->p);
	if (scalar > 0) {
		w->p += scalar;
		return;
	}
	switch (*w->p++) {
	case T_LIGHT:
	case T_CFUNC: w->p += 8; break;
	case T_CLOSURE:
	case T_REF: w->p += 4; break;
	case T_JOIN: w->p += 5; break;
	case T_GLOBALS: break;
	case T_OBJECT: take_object(w); break;
	case T_FUNC: walk_function(w); break;
	default: w->fits = false; /* tables, and what runs code or depends on the state */
	}
}

/* Goes on with n arguments if all of them are scalars and objects, and stays where it is otherwise. */
static void walk_arguments(struct walk *w, unsigned n)
{
	struct vai__call_pattern *p = w->pattern;
	const struct vai__call_pattern function = *p;
	const struct walk before = *w;
	w->fits = n <= MAX_ARGS;
	for (unsigned i = 1; i <= n && w->fits; i++) {
		if (scalar_size(w->p) > 0)
			take_hole(w, ARGUMENT, (int)i);
		else if (*w->p++ == T_OBJECT)
			take_object(w);
		else
			w->fits = false;
	}
	flush(w);
	p->nargs = n;
	if (w->fits)
		return;
	*p = function;
	*w = before;
	w->fits = p->nslots == 0;
}

struct vai__call_pattern *vai__call_pattern_new(const vai_msg *msg)
{
	const struct vai__block *b = vai__msg_tag(msg) == M_BLOCK ? vai__msg_block(msg) : NULL;
	if (!b || b->data[0] != T_FUNC)
		return NULL;
	size_t alloc = sizeof(struct vai__call_pattern) + MAX_ITEMS * sizeof(struct vai__pattern_item) + MAX_BYTES;
	struct vai__call_pattern *p = vai__mem_zalloc(alloc);
	if (!p)
		return NULL;
	unsigned char *bytes = (unsigned char *)p + alloc - MAX_BYTES;
	p->alloc = alloc;
	p->bytes = bytes;
	p->nslots = b->nslots;
	struct walk w = {.p = b->data, .from = b->data, .bytes = bytes, .pattern = p, .fits = true};
	walk_value(&w);
	flush(&w);
	if (w.fits)
		walk_arguments(&w, b->nvalues - 1);
	p->size = (size_t)(w.p - b->data);
	if (w.fits)
		return p;
	vai__call_pattern_free(p);
	return NULL;
}

void vai__call_pattern_free(struct vai__call_pattern *pattern)
{
	if (pattern)
		vai__mem_free(pattern, pattern->alloc);
}

/* ---- comparing ---- */

/* Notes the object at p as number i. False: it is of another class, or not the one that it was before, or one that has
 * another number. */
static bool is_object(const struct vai__call_pattern *pattern, const unsigned char *p, unsigned i,
	struct vai_obj *objects[VAI__PATTERN_OBJECTS], unsigned *met)
{
	struct vai_obj *o = (struct vai_obj *)(uintptr_t)vai__load64(p);
	if (i < *met)
		return objects[i] == o;
	for (unsigned k = 0; k < *met; k++)
		if (objects[k] == o)
			return false;
	objects[(*met)++] = o;
	return o->cls == pattern->classes[i];
}

bool vai__call_pattern_fits(
	const struct vai__call_pattern *pattern, const vai_msg *msg, struct vai_obj *objects[VAI__PATTERN_OBJECTS])
{
	const struct vai__block *b = vai__msg_block(msg);
	const unsigned char *p = b->data, *end = p + b->len, *bytes = pattern->bytes;
	const struct vai__pattern_item *item = pattern->items;
	unsigned met = 0;
	if ((pattern->nargs > 0 || pattern->nslots > 0) && b->nvalues != 1 + pattern->nargs)
		return false;
	if (VAI_UNLIKELY(pattern->nslots > 0) && b->nslots != pattern->nslots)
		return false;
	for (unsigned n = pattern->nitems; n > 0; n--, item++) {
		size_t len = item->len;
		if ((size_t)(end - p) < len)
			return false;
		switch ((enum kind)item->kind) {
		case SAME:
			if (memcmp(p, bytes, len) != 0)
				return false;
			bytes += len;
			break;
		case ANY: break;
		case CODE:
			if (code_id(p) != pattern->codes[item->arg])
				return false;
			break;
		case OBJECT:
			if (!is_object(pattern, p, item->arg, objects, &met))
				return false;
			break;
		case CAPTURED:
		case ARGUMENT:
			bytes += len;
			if ((len = scalar_size(p)) == 0)
				return false;
		}
		p += len;
	}
	return true;
}

const unsigned char *vai__call_pattern_differences(const struct vai__call_pattern *pattern, const unsigned char *stream,
	void (*f)(void *arg, int upvalue, int argument, const unsigned char *value), void *arg)
{
	const unsigned char *p = stream, *bytes = pattern->bytes;
	const struct vai__pattern_item *item = pattern->items;
	if (pattern->nholes == 0)
		return p + pattern->size;
	for (unsigned n = pattern->nitems; n > 0; n--, item++) {
		size_t len = item->len;
		const bool captured = item->kind == CAPTURED, hole = captured || item->kind == ARGUMENT;
		if (hole) {
			len = scalar_size(p);
			if (len != item->len || memcmp(p, bytes, len) != 0)
				f(arg, captured ? item->arg : 0, item->arg, p);
		}
		if (hole || item->kind == SAME)
			bytes += item->len;
		p += len;
	}
	return p;
}

void vai__call_pattern_each_code(const struct vai__call_pattern *pattern, const vai_msg *msg,
	void (*f)(void *arg, const struct vai_code *code), void *arg)
{
	const unsigned char *p = vai__msg_block(msg)->data;
	for (unsigned i = 0; i < pattern->nitems; p += pattern->items[i++].len)
		if (pattern->items[i].kind == CODE)
			f(arg, VAI_CONTAINER((struct vai_obj *)(uintptr_t)vai__load64(p), struct vai_code, obj));
}

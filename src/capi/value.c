/* SPDX-License-Identifier: MIT */
/* vai.h: Lua's values without Lua: making and reading messages (transfer/message.h). */
#include <string.h>
#include "capi/capi.h"
#include "transfer/message.h"

/* 2^63: doubles below it fit into int64_t. */
#define INT_LIMIT 9223372036854775808.0

vai_value vai_value_boolean(bool b)
{
	vai_value v;
	vai__msg_bool(&v, b);
	return v;
}

vai_value vai_value_integer(int64_t i)
{
	vai_value v;
	vai__msg_set(&v, M_INT, (uint64_t)i);
	return v;
}

vai_value vai_value_number(double n)
{
	vai_value v;
	vai__msg_number(&v, n);
	return v;
}

vai_value vai_value_pointer(void *p)
{
	vai_value v;
	vai__msg_set(&v, M_LIGHT, (uintptr_t)p);
	return v;
}

int vai_value_string(vai_value *out, const char *bytes, size_t length)
{
	return vai__msg_string(out, bytes, length);
}

int vai_value_chan(vai_value *out, vai_chan *ch)
{
	if (vai__capi_kind(ch) != VAI__CAPI_VALUES)
		return VAI_EINVAL;
	vai__msg_set(out, M_OBJECT, (uintptr_t)vai_ref(ch));
	return VAI_OK;
}

static struct vai_obj *object_of(const vai_value *v)
{
	return vai__msg_tag(v) == M_OBJECT ? (struct vai_obj *)(uintptr_t)v->w[1] : NULL;
}

enum vai_type vai_value_type(const vai_value *v)
{
	size_t len;
	switch (vai__msg_tag(v)) {
	case M_NIL: return VAI_T_NIL;
	case M_FALSE:
	case M_TRUE: return VAI_T_BOOLEAN;
	case M_INT: return VAI_T_INTEGER;
	case M_FLOAT: return VAI_T_NUMBER;
	case M_LIGHT: return VAI_T_POINTER;
	case M_OBJECT: return object_of(v)->cls == &vai__chan_class ? VAI_T_CHAN : VAI_T_OTHER;
	default: return vai__msg_string_of(v, &len) ? VAI_T_STRING : VAI_T_OTHER;
	}
}

bool vai_value_to_boolean(const vai_value *v)
{
	return vai__msg_tag(v) == M_TRUE;
}

double vai_value_to_number(const vai_value *v)
{
	double n;
	memcpy(&n, &v->w[1], sizeof n);
	return vai__msg_tag(v) == M_FLOAT ? n : vai__msg_tag(v) == M_INT ? (double)(int64_t)v->w[1] : 0;
}

int64_t vai_value_to_integer(const vai_value *v)
{
	double n = vai_value_to_number(v);
	if (vai__msg_tag(v) == M_INT)
		return (int64_t)v->w[1];
	return n >= -INT_LIMIT && n < INT_LIMIT ? (int64_t)n : 0;
}

void *vai_value_to_pointer(const vai_value *v)
{
	return vai__msg_tag(v) == M_LIGHT ? (void *)(uintptr_t)v->w[1] : NULL;
}

const char *vai_value_to_string(const vai_value *v, size_t *length)
{
	size_t n = 0;
	const char *s = vai__msg_string_of(v, &n);
	if (length)
		*length = n;
	return s;
}

vai_chan *vai_value_to_chan(const vai_value *v)
{
	struct vai_obj *o = object_of(v);
	return o && o->cls == &vai__chan_class ? (vai_chan *)o : NULL;
}

void vai_value_drop(vai_value *v)
{
	vai__msg_drop(v);
}

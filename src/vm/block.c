/* SPDX-License-Identifier: MIT */
/* Messages without Lua: making simple ones, dropping any. Any thread may call. */
#include "vm/block.h"
#include "base/mem.h"
#include "vm/codec.h"

struct vai__block *vai__block_new(size_t len)
{
	const size_t head = offsetof(struct vai__block, data);
	if (len > SIZE_MAX / 2)
		return NULL;
	struct vai__block *b = vai__mem_alloc(head + len);
	if (b)
		*b = (struct vai__block){.size = head + len, .len = len};
	return b;
}

void vai__block_unref_all(const unsigned char *data, size_t last)
{
	while (last) {
		struct vai_obj *o = (struct vai_obj *)(uintptr_t)vai__load64(data + last);
		last = (size_t)vai__load64(data + last + 8);
		vai__obj_unref(o);
	}
}

void vai__block_free(struct vai__block *b)
{
	if (!b)
		return;
	vai__block_unref_all(b->data, b->last_ref);
	vai__mem_free(b, b->size);
}

void vai__msg_drop(vai_msg *msg)
{
	unsigned tag = vai__msg_tag(msg);
	uint64_t word = msg->w[1];
	*msg = (vai_msg){{0, 0, 0, 0}};
	if (tag == M_BLOCK)
		vai__block_free((struct vai__block *)(uintptr_t)word);
	else if (tag == M_OBJECT)
		vai__obj_unref((struct vai_obj *)(uintptr_t)word);
}

void vai__msg_number(vai_msg *out, double n)
{
	uint64_t word;
	memcpy(&word, &n, sizeof word);
	vai__msg_set(out, M_FLOAT, word);
}

void vai__msg_bool(vai_msg *out, bool b)
{
	vai__msg_set(out, b ? M_TRUE : M_FALSE, 0);
}

int vai__msg_string(vai_msg *out, const char *s, size_t len)
{
	vai__msg_set(out, M_NIL, 0);
	if (len <= MSG_STRING_MAX) {
		unsigned char *p = vai__msg_bytes(out);
		p[0] = M_STRING;
		p[1] = (unsigned char)len;
		memcpy(p + 2, s, len);
		return VAI_OK;
	}
	struct vai__block *b = len < SIZE_MAX / 2 ? vai__block_new(len + 10) : NULL;
	if (!b)
		return VAI_ENOMEM;
	b->nvalues = 1;
	b->data[0] = T_LONG;
	vai__store64(b->data + 1, len);
	memcpy(b->data + 9, s, len);
	b->data[9 + len] = S_STOP;
	vai__msg_set(out, M_BLOCK, (uintptr_t)b);
	return VAI_OK;
}

void vai__codec_release(struct vai_vm *vm)
{
	struct vai__block *b = vm->decoding;
	vm->decoding = NULL;
	vai__block_free(b);
}

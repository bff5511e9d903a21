/* SPDX-License-Identifier: MIT */
/* Fuzz target: the reader of dumped bytecode, on anything. It reads nothing outside the bytes, and
 * what it says of them lies within them; a code object made of them has the same facts. */
#include <string.h>
#include "fuzz.h"
#include "code/bytecode.h"
#include "code/code.h"
#include "code/probe_lua.h"

static const char *first, *end;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	FUZZ_CHECK(vai__probe_opcodes_known(), "this Lua's opcodes are unknown");
	return 0;
}

static void check_within(const char *s, size_t len)
{
	FUZZ_CHECK(!s || len == 0 || (s >= first && len <= (size_t)(end - s)), "a string outside the bytes");
}

static void check_facts(const struct vai__bytecode *bc)
{
	FUZZ_CHECK(bc->nups >= 0 && bc->nups <= 255, "%d upvalues", bc->nups);
	check_within(bc->source, bc->source_len);
	for (int i = 0; i < bc->nups; i++)
		check_within(bc->upvals[i].name, bc->upvals[i].len);
	for (size_t i = 0; i < bc->nnames; i++) {
		check_within(bc->names[i].len ? bc->names[i].s : NULL, bc->names[i].len);
		int up = bc->names[i].up;
		bool field = up == VAI__BC_METHOD || (up <= VAI__BC_FIELD && (size_t)(VAI__BC_FIELD - up) < bc->nnames);
		if (up >= VAI__BC_METHOD_OF)
			up -= VAI__BC_METHOD_OF;
		FUZZ_CHECK(field || (up >= 0 && up < bc->nups), "a name of upvalue %d", up);
	}
}

static void check_code(const char *bytes, size_t size, bool readable, int nups)
{
	struct vai_code *code = vai__code_from(bytes, size);
	FUZZ_CHECK(code && code->analyzed == readable, "a code object that knows more or less");
	FUZZ_CHECK(code->nups == nups && code->size == size, "%d upvalues", code->nups);
	FUZZ_CHECK(memcmp(code->bytes, bytes, size) == 0, "other bytes");
	struct vai_code *again = vai__code_from(bytes, size);
	FUZZ_CHECK(again == code, "not found again");
	vai__obj_unref(&again->obj);
	vai__obj_unref(&code->obj);
	vai__code_forget();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vai__bytecode bc;
	char *bytes = malloc(size ? size : 1); /* a block of this very size: reading beyond it shows */
	FUZZ_CHECK(bytes, "no memory");
	memcpy(bytes, data, size);
	first = bytes;
	end = bytes + size;
	int result = vai__bytecode_read(bytes, size, &bc);
	if (result == VAI_OK)
		check_facts(&bc);
	else
		FUZZ_CHECK(result == VAI_EINVAL, "result %d", result);
	check_code(bytes, size, result == VAI_OK, result == VAI_OK ? bc.nups : 0);
	if (result == VAI_OK)
		vai__bytecode_free(&bc);
	free(bytes);
	return 0;
}

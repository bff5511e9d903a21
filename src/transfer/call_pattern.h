/* SPDX-License-Identifier: MIT */
/* What calls of one function have in common, as their messages show: the code, the functions that it has captured, the
 * classes of the objects. What may differ are the objects themselves, scalars that the function has captured, and all
 * arguments; where those are scalars and objects only, they are part of the pattern. A template
 * (runtime/func_template.c) holds such a call decoded. Constant once made. */
#ifndef VAI_CALL_PATTERN_H
#define VAI_CALL_PATTERN_H

#include <lua.h>
#include "base/base.h"
#include "code/code.h"
#include "transfer/message.h"

enum { VAI__PATTERN_OBJECTS = 4, VAI__PATTERN_CODES = 8 };

struct vai__call_pattern {
	unsigned nobjects, ncodes, nitems, nholes; /* lengths of the lists; a hole is a scalar that may differ */
	unsigned nargs;                            /* arguments in the pattern; 0: any, or none if nslots is not 0 */
	uint32_t nslots;                           /* that of the block */
	size_t size; /* bytes of function and arguments in the stream from which this was made */
	const struct vai_class *classes[VAI__PATTERN_OBJECTS];
	uint64_t codes[VAI__PATTERN_CODES]; /* numbers of code objects; not references, as those of helpers may go */
	const unsigned char *bytes;         /* what must be the same, and what the holes had */
	size_t alloc;                       /* bytes of this block */
	struct vai__pattern_item {
		uint8_t kind, arg;
		uint16_t len;
	} items[];
};

/* Makes the pattern of a message of vai__encode_call. NULL: the function has captured other things than a pattern can
 * have, or out of memory. Any thread, as for all of these. */
struct vai__call_pattern *vai__call_pattern_new(const vai_msg *msg);
/* pattern may be NULL. */
void vai__call_pattern_free(struct vai__call_pattern *pattern);
/* Whether a call of the same function has this pattern. Its objects go to `objects`, borrowed. */
bool vai__call_pattern_fits(
	const struct vai__call_pattern *pattern, const vai_msg *msg, struct vai_obj *objects[VAI__PATTERN_OBJECTS]);
/* Calls f for each scalar in the stream that is another one than the pattern's: captured as that upvalue, or, if that
 * is 0, the argument of that number. Returns the end of the pattern in the stream. */
const unsigned char *vai__call_pattern_differences(const struct vai__call_pattern *pattern, const unsigned char *stream,
	void (*f)(void *arg, int upvalue, int argument, const unsigned char *value), void *arg);
/* Calls f for each code object of a message that the pattern was made from. */
void vai__call_pattern_each_code(const struct vai__call_pattern *pattern, const vai_msg *msg,
	void (*f)(void *arg, const struct vai_code *code), void *arg);

#endif

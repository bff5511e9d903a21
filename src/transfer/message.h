/* SPDX-License-Identifier: MIT */
/* The form of a message. The first byte of a vai_msg is a tag. What fits lies in the other bytes, anything else in one
 * block with a stream of bytes, which encode*.c writes and decode.c reads. Blocks never change, so several goroutines
 * may read one at a time. Nothing here parks.
 *
 * The stream: the values, one after the other, then sections up to S_STOP. A value is a tag and what the list of tags
 * says. Numbers are in the machine's byte order, unaligned.
 *
 * slot: u32: 0, or the number under which T_REF finds the value again.
 *
 * reference: struct vai_obj *, u64 place of the reference before it (0: the first): a chain through the stream that
 * owns one reference each.
 *
 * table: the array's values, then pairs of key and value, then T_END or, in place of a key, T_META and the metatable.
 *
 * function: the upvalues, each a value or T_JOIN; then T_NAME, the name and the value of captured globals, and T_FIELD,
 * the call's own also T_TYPE; then T_END. */
#ifndef VAI_MESSAGE_H
#define VAI_MESSAGE_H

#include <string.h>
#include "base/account.h"
#include "base/base.h"
#include "base/obj.h"

enum vai__msg_tag {
	M_NIL,
	M_FALSE,
	M_TRUE,
	M_INT,    /* w[1] */
	M_FLOAT,  /* w[1] */
	M_LIGHT,  /* w[1] */
	M_CFUNC,  /* w[1] */
	M_NONE,   /* no value at all */
	M_STRING, /* length in the second byte, then the bytes */
	M_RECORD, /* a small table (small_table.c) */
	M_TEXT,   /* w[1], a struct vai__msg_text; messages of this tag and the next ones own something */
	M_OBJECT, /* w[1], one reference */
	M_BLOCK   /* w[1] */
};

/* The longest strings of M_STRING and of M_TEXT; a longer one is a block. */
enum { MSG_STRING_MAX = sizeof(vai_msg) - 2, MSG_TEXT_MAX = 1024 };

/* A string alone, without the head of a block, which would be half as long as most such strings and would have to cross
 * from one CPU's cache to another's as the string does. */
struct vai__msg_text {
	size_t len;
	char s[];
};

enum vai__tag {
	T_NIL,
	T_FALSE,
	T_TRUE,
	T_INT,     /* 8 bytes */
	T_FLOAT,   /* 8 bytes */
	T_SHORT,   /* u8 length, bytes */
	T_LONG,    /* u64 length, bytes */
	T_KEY,     /* u8 length, u8 number for T_AGAIN or 0, bytes */
	T_AGAIN,   /* u8: the key of that number */
	T_LIGHT,   /* 8 bytes */
	T_CFUNC,   /* 8 bytes */
	T_CLOSURE, /* u32: a stock closure by vai__catalog_closure_out's number */
	T_OBJECT,  /* reference */
	T_GLOBALS,
	T_MODULE,      /* T_SHORT or T_LONG: its name */
	T_MODULES,     /* the same, then a T_SHORT or T_LONG with its other names, NULs between */
	T_MEMBER,      /* slot, u8 Lua type, u8 names, T_MODULE or T_MODULES, then the names that lead to it */
	T_CLASS,       /* slot, reference to a struct vai__class */
	T_ORIGIN,      /* u64: the table that follows is a copy of that */
	T_CALL,        /* slot, u8 arguments, then a function and them: its first result */
	T_REF,         /* slot */
	T_TABLE,       /* slot, u32 array values, u32 pairs, table */
	T_TABLE_LATER, /* slot, u32, u32: its contents follow in a section */
	T_FUNC,        /* slot, reference to the code, u8 upvalues, function */
	T_FUNC_LATER,  /* slot, reference, u8 */
	T_CCLOSURE,    /* slot, 8 bytes, u8 upvalues, function */
	T_CCLOSURE_LATER,
	T_JOIN, /* slot of a function, u8: its upvalue */
	T_END,
	T_META,  /* value */
	T_NAME,  /* T_SHORT or T_LONG, value */
	T_FIELD, /* T_MODULE or T_MODULES, T_SHORT or T_LONG, value: a field in which the sender's module is changed */
	T_TYPE,  /* u8 Lua type (a table: _G), value: the metatable of all its values */
	S_FILL,  /* slot, u32 array values or upvalues, then table or function */
	S_META,  /* slot, value: set the metatable */
	S_STOP
};

/* Bytes from the tag of these to their contents, and to the counts in them. */
enum {
	AT_SLOT = 1,
	AT_NARR = 5,
	AT_NREC = 9,
	TABLE_HEAD = 13,
	REF_SIZE = 16,
	FUNC_CODE = 5,
	FUNC_HEAD = FUNC_CODE + REF_SIZE + 1,
	CCLOSURE_HEAD = 5 + 8 + 1,
	FILL_HEAD = 9,
	MEMBER_HEAD = 7
};

enum {
	KEYS_MAX = 24,        /* numbers for T_AGAIN */
	BLOCK_CALLS_OUT = 1,  /* decoding may run user code: require */
	BLOCK_FINALIZERS = 2, /* some metatable has __gc */
	BLOCK_FLAT = 4,       /* a small table as small_table.c has it, not this stream */
	BLOCK_LIBS = 8        /* a call: the new state's libraries are to be as the script has changed its own */
};

struct vai__block {
	size_t size; /* bytes asked for */
	union {
		size_t len;              /* bytes of the stream */
		struct vai__block *next; /* while it waits to be dropped */
	};
	struct vai__account *account; /* the account to which it is charged, or NULL; one reference */
	int64_t charge;               /* bytes for which it is charged there */
	size_t last_ref;              /* place of the last reference, 0: none */
	uint32_t nslots;
	uint32_t nvalues;
	uint32_t sandbox; /* the id of the sandbox in which it was made; 0: in none */
	uint8_t nkeys;    /* keys with a number */
	uint8_t depth;    /* deepest nesting */
	uint8_t flags;
	unsigned char data[];
};

static inline unsigned char *vai__msg_bytes(vai_msg *msg)
{
	return (unsigned char *)msg;
}

static inline unsigned vai__msg_tag(const vai_msg *msg)
{
	return *(const unsigned char *)msg;
}

/* A message with a tag and a word. */
static inline void vai__msg_set(vai_msg *msg, enum vai__msg_tag tag, uint64_t word)
{
	*msg = (vai_msg){{0, word, 0, 0}};
	*vai__msg_bytes(msg) = (unsigned char)tag;
}

static inline struct vai__block *vai__msg_block(const vai_msg *msg)
{
	return (struct vai__block *)(uintptr_t)msg->w[1];
}

static inline struct vai__msg_text *vai__msg_text(const vai_msg *msg)
{
	return (struct vai__msg_text *)(uintptr_t)msg->w[1];
}

static inline uint32_t vai__load32(const unsigned char *p)
{
	uint32_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

static inline uint64_t vai__load64(const unsigned char *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

static inline void vai__store32(unsigned char *p, uint32_t x)
{
	memcpy(p, &x, sizeof x);
}

static inline void vai__store64(unsigned char *p, uint64_t x)
{
	memcpy(p, &x, sizeof x);
}

/* Whether the message owns something, so that it has to be dropped. */
static inline bool vai__msg_owns(const vai_msg *msg)
{
	return vai__msg_tag(msg) >= M_TEXT;
}

/* Whether the message has references to objects. */
static inline bool vai__msg_owns_objects(const vai_msg *msg)
{
	unsigned tag = vai__msg_tag(msg);
	return tag == M_OBJECT || (tag == M_BLOCK && vai__msg_block(msg)->last_ref != 0);
}

/* Releases an undelivered or decoded message; it is all zero afterwards. Any thread. */
void vai__msg_drop(vai_msg *msg);
/* Calls f for each reference of the message. */
void vai__msg_each_object(const vai_msg *msg, void (*f)(void *arg, struct vai_obj *o), void *arg);
/* How many of the message's references are to o. */
unsigned vai__msg_count_object(const vai_msg *msg, const struct vai_obj *o);
/* Make messages without a Lua state. Any thread, as for the rest of these. */
void vai__msg_number(vai_msg *out, double n);
void vai__msg_bool(vai_msg *out, bool b);
/* VAI_OK or VAI_ENOMEM. */
int vai__msg_string(vai_msg *out, const char *s, size_t len);
/* The same, but always as a block, whatever its length. */
int vai__msg_string_block(vai_msg *out, const char *s, size_t len);
/* The bytes of a message that is a string, in whatever form; NULL: it is none. Borrowed. */
const char *vai__msg_string_of(const vai_msg *msg, size_t *len);
/* A table of n strings under strings: key, value, key, value. Keys of at most 255 bytes. */
int vai__msg_table(vai_msg *out, const char *const *pairs, unsigned n);

/* Makes a block for a stream of len bytes. NULL: out of memory, or len is too large. */
struct vai__block *vai__block_new(size_t len);
/* Gives back the references of a stream, of which the last is at `last`: those at the place `at` and behind it, or
 * all. */
void vai__block_unref_after(const unsigned char *data, size_t last, size_t at);
void vai__block_unref_all(const unsigned char *data, size_t last);
/* Frees a block with its references. b may be NULL. */
void vai__block_free(struct vai__block *b);

#endif

/* SPDX-License-Identifier: MIT */
/* A small grammar. Every loop has a bound, strings are cut where they could grow, recursion counts
 * down. What goes wrong at run time (a sum of tables) is welcome: the error is compared too. */
#include "program.h"
#include <stdarg.h>

enum { NODES = 150, DEPTH = 6, ROOM = 512 };

struct maker {
	struct program *p;
	struct fuzz *f;
	int nodes, depth;
	int locals; /* v1 .. vn are visible */
	int loops;  /* around here */
	int labels; /* used so far */
};

static void put(struct maker *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct maker *m, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(m->p->text + m->p->len, PROGRAM_MAX - m->p->len, fmt, ap);
	va_end(ap);
	m->p->len += (size_t)n;
	FUZZ_CHECK(m->p->len < PROGRAM_MAX, "a program too long");
}

static bool may_grow(struct maker *m)
{
	return m->nodes < NODES && m->depth < DEPTH && m->p->len < PROGRAM_MAX / 2;
}

/* ---- expressions ---- */

static void literal(struct maker *m)
{
	static const char *const some[] = {"nil", "true", "false", "0", "1", "-1", "7", "2.5", "1e300", "math.maxinteger",
		"math.mininteger", "0/0", "''", "'a'", "'10'", "'hello world'", "'\\0\\255'", "{}", "{1, 2, 3}", "{ k = 1 }",
		"1 << 62", "'a string that is certainly longer than forty characters'", "0x7fffffff", "3 // 0.0"};
	put(m, "(%s)", some[fuzz_below(m->f, sizeof some / sizeof *some)]);
}

static void variable(struct maker *m)
{
	static const char *const fixed[] = {"a", "b", "c", "glob", "gtab", "x", "y", "gtab.k", "c[1]", "undefined"};
	unsigned n = fuzz_byte(m->f);
	if (m->locals > 0 && n < 128)
		put(m, "v%u", n % (unsigned)m->locals + 1);
	else
		put(m, "%s", fixed[n % (sizeof fixed / sizeof *fixed)]);
}

static void expression(struct maker *m);
static void block(struct maker *m);

static void binary(struct maker *m)
{
	static const char *const ops[] = {
		"+", "-", "*", "/", "//", "%", "==", "~=", "<", "<=", "and", "or", "&", "|", "~", "<<", ">>", "^"};
	put(m, "(");
	expression(m);
	put(m, " %s ", ops[fuzz_below(m->f, sizeof ops / sizeof *ops)]);
	expression(m);
	put(m, ")");
}

/* Around one operand. */
static void unary(struct maker *m)
{
	static const char *const forms[][2] = {{"(-", ")"}, {"(not ", ")"}, {"(#", ")"}, {"(~", ")"}, {"tostring(", ")"},
		{"type(", ")"}, {"math.type(", ")"}, {"gfun(", ")"}, {"select('#', ", ")"}, {"(", " .. 'z'):sub(1, 40)"},
		{"('%s|%q'):format(1, tostring(", "))"}, {"(", "):upper()"}, {"string.rep('ab', 3, tostring(", "):sub(1, 3))"},
		{"table.concat({ 1, tostring(", "):sub(1, 9) }, '-')"}, {"rawequal(1, ", ")"}, {"({ pcall(error, ", ") })[2]"},
		{"setmetatable({}, { __index = function(_, k) return k end })[", " or 1]"}, {"string.byte(", ")"},
		{"coroutine.wrap(function(q) coroutine.yield(q) end)(", ")"}, {"({ ", " })[1]"}, {"tonumber(", ")"},
		{"require 'string'.len(", ")"}, {"rawget({ 5 }, ", ")"}, {"(select(-1, 1, ", "))"},
		{"table.unpack({ ", ", 2 })"}, {"utf8.len(", ")"}, {"string.gsub('abc', '%w', { a = ", " })"},
		{"({ k = ", " }).k"}, {"math.max(1, ", ")"}};
	const char *const *form = forms[fuzz_below(m->f, sizeof forms / sizeof *forms)];
	put(m, "%s", form[0]);
	expression(m);
	put(m, "%s", form[1]);
}

static void function(struct maker *m)
{
	int locals = m->locals, loops = m->loops;
	m->loops = 0;
	put(m, "(function(...) local v%d = ... ", ++m->locals);
	block(m);
	put(m, "return ");
	expression(m);
	put(m, " end)");
	m->locals = locals;
	m->loops = loops;
}

static void expression(struct maker *m)
{
	unsigned kind = fuzz_byte(m->f) % 16;
	m->nodes++;
	if (!may_grow(m)) {
		put(m, "1");
		return;
	}
	m->depth++;
	if (kind < 4)
		literal(m);
	else if (kind < 8)
		variable(m);
	else if (kind < 11)
		binary(m);
	else if (kind < 14)
		unary(m);
	else if (kind == 14)
		function(m);
	else {
		function(m);
		put(m, "(");
		expression(m);
		put(m, ")");
	}
	m->depth--;
}

/* ---- statements ---- */

static void declaration(struct maker *m)
{
	put(m, "local v%d = ", m->locals + 1);
	expression(m);
	put(m, "\n");
	if (m->locals < 100)
		m->locals++;
}

static void assignment(struct maker *m)
{
	static const char *const to[] = {"glob", "gtab.k", "gtab[2]", "fresh", "x", "c.k"};
	unsigned n = fuzz_byte(m->f);
	if (n == 255) {
		m->p->loses_writes = true;
		put(m, "a = ");
	} else if (m->locals > 0 && n < 160) {
		put(m, "v%u = ", n % (unsigned)m->locals + 1);
	} else {
		put(m, "%s = ", to[n % (sizeof to / sizeof *to)]);
	}
	expression(m);
	put(m, "\n");
}

static void output(struct maker *m)
{
	put(m, "put(");
	for (unsigned n = fuzz_below(m->f, 3); n > 0; n--) {
		expression(m);
		put(m, ", ");
	}
	expression(m);
	put(m, ")\n");
}

/* A block between two lines, with its own scope. */
static void scoped(struct maker *m, const char *before, const char *after)
{
	int locals = m->locals;
	put(m, "%s\n", before);
	block(m);
	put(m, "%s\n", after);
	m->locals = locals;
}

static void condition(struct maker *m)
{
	put(m, "if ");
	expression(m);
	scoped(m, " then", "else");
	scoped(m, "", "end");
}

static void loop(struct maker *m)
{
	static const char *const heads[] = {"for i = 1, 3 do put(i)", "for i = 3.5, 1, -1 do",
		"for i, e in ipairs { 4, 5 } do put(i, e)", "for w in ('k=v'):gmatch '%w' do put(w)",
		"for _ in pairs { 1, 2, k = 3 } do"};
	if (m->loops == 2) {
		put(m, "put 'deep'\n");
		return;
	}
	m->loops++;
	scoped(m, heads[fuzz_below(m->f, sizeof heads / sizeof *heads)],
		fuzz_byte(m->f) & 1 ? "if x then break end end" : "end");
	m->loops--;
}

static void protected_call(struct maker *m)
{
	int loops = m->loops;
	m->loops = 0;
	scoped(m, "put(pcall(function()", "end))");
	m->loops = loops;
}

static void closing(struct maker *m)
{
	scoped(m, "do local t <close> = setmetatable({}, { __close = function(_, e) put('close', e) end })", "end");
}

static void recursion(struct maker *m)
{
	put(m, "local function v%d(n) if n > 3 then return n end return ", m->locals + 1);
	m->locals++;
	put(m, "v%d(n + 1) end put(v%d(0), ", m->locals, m->locals);
	expression(m);
	put(m, ")\n");
}

static void jump(struct maker *m)
{
	int label = ++m->labels;
	put(m, "do local n = 0 ::again%d:: n = n + 1 ", label);
	scoped(m, "", "if n < 3 then");
	put(m, "goto again%d end end\n", label);
}

static void coroutine(struct maker *m)
{
	int loops = m->loops;
	m->loops = 0;
	scoped(m, "do local co = coroutine.wrap(function(...) put(...) coroutine.yield(2)",
		"end) put(co(1)) put(pcall(co)) end");
	m->loops = loops;
}

static void statement(struct maker *m)
{
	static void (*const kinds[])(struct maker *) = {output, declaration, output, assignment, declaration, condition,
		loop, protected_call, closing, recursion, jump, coroutine, output};
	m->nodes++;
	m->depth++;
	kinds[fuzz_byte(m->f) % (sizeof kinds / sizeof *kinds)](m);
	m->depth--;
}

static void block(struct maker *m)
{
	for (unsigned n = fuzz_below(m->f, 5); n > 0 && may_grow(m); n--)
		statement(m);
}

void program_make(struct program *p, struct fuzz *f)
{
	struct maker m = {.p = p, .f = f};
	p->len = 0;
	p->loses_writes = false;
	put(&m, "local a, b, c = 1, 'up', { 10, 'c' }\nfresh = nil\n");
	put(&m, "glob, gtab = 5, { k = 1, 2, { 3 } }\n");
	put(&m, "function gfun(x) return x ~= glob and gtab.k or gtab[2][1] end\nreturn function(put, x, y)\n");
	for (int i = 0; i < 12 && m.f->p < m.f->end; i++) {
		m.nodes = 0;
		statement(&m);
	}
	put(&m, "return a, b, c[1], glob, gtab.k, fresh\nend\n");
}

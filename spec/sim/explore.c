/* SPDX-License-Identifier: MIT */
/* Which interleavings are run. First all with at most b preemptions, for b = 0, 1, ... (iterative context
 * bounding; Musuvathi & Qadeer, PLDI 2007; a store that is held back counts as one, and is allowed once),
 * then random ones with priorities and a few points at which they change (probabilistic concurrency
 * testing; Burckhardt et al., ASPLOS 2010).
 *
 * A systematic search takes steps only at addresses that runs before it have seen threads share; when it
 * learns of more it begins again. Its decisions are printed by the step at which they were taken, so a run
 * can be repeated without knowing them; a random run is repeated by its seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bugs.h"
#include "machine.h"

enum {
	DECISIONS = 1 << 16,
	PLAN = 256,
	CHANGES = 3,
	AGAIN = 4,
	FIRST = 100,
	BUSY = 16 /* processes that may have this one's processor besides before it searches less */
};

enum mode { USUAL, SEARCH, RANDOM, PLANNED };

struct decision {
	unsigned short chosen, n;
};

struct planned {
	int step, choice;
	char kind;
};

static struct explorer {
	const char *name;
	enum mode mode;
	bool trace;
	/* the systematic search */
	struct decision decisions[DECISIONS];
	int ndecisions, at, bound, spent;
	bool held;
	/* random */
	uint64_t seed, random;
	int priority[SIM_THREADS], changes[CHANGES], lowest, length;
	/* what was decided, but for the usual; or what is to be */
	struct planned plan[PLAN];
	int nplan;
	bool too_long;
	long runs;
	int longest;
	double begin;
} * ex;

int sim_bug;
#define BUG_ROW(name, tests, what) {#name, tests},
static const struct {
	const char *name, *tests;
} bugs[] = {{"", ""}, SIM_BUGS(BUG_ROW)};

bool explore_tracing(void)
{
	return ex->trace;
}

static uint64_t next_random(void)
{
	uint64_t z = ex->random += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int planned_choice(char kind, int n)
{
	for (int i = 0; i < ex->nplan; i++) {
		if (ex->plan[i].step == machine_steps() && ex->plan[i].kind == kind)
			return ex->plan[i].choice < n ? ex->plan[i].choice : 0;
	}
	return 0;
}

static int note(char kind, int choice)
{
	if (choice != 0 && ex->mode != PLANNED) {
		if (ex->nplan < PLAN)
			ex->plan[ex->nplan++] = (struct planned){machine_steps(), choice, kind};
		else
			ex->too_long = true;
	}
	return choice;
}

static int searched(int n, bool costs)
{
	if (n < 2 || (costs && ex->spent >= ex->bound))
		return 0;
	if (ex->at == DECISIONS)
		sim_fail("too many decisions");
	struct decision *d = &ex->decisions[ex->at++];
	if (ex->at > ex->ndecisions) {
		*d = (struct decision){0, (unsigned short)n};
		ex->ndecisions = ex->at;
	} else if (d->n != n) {
		sim_fail("the test is not deterministic");
	}
	ex->spent += costs && d->chosen;
	return d->chosen;
}

static int choose(char kind, int n, bool costs)
{
	if (ex->mode == SEARCH)
		return note(kind, searched(n, costs));
	return ex->mode == PLANNED ? planned_choice(kind, n) : 0;
}

int explore_choose(int n, bool costs)
{
	if (ex->mode == RANDOM)
		return note('C', (int)(next_random() % (unsigned)n));
	return choose('C', n, costs);
}

bool explore_hold(void)
{
	bool hold;
	if (ex->mode == RANDOM)
		return note('H', next_random() % 8 == 0);
	if (ex->mode == SEARCH && ex->held)
		return false;
	hold = choose('H', 2, true) != 0;
	ex->held |= hold;
	return hold;
}

/* Those of the highest priority go on; at a point of change the one that runs becomes the last. */
static int by_priority(const int *ready, int n)
{
	int best = 0;
	for (int i = 0; i < CHANGES; i++) {
		if (ex->changes[i] == machine_steps())
			ex->priority[ready[0]] = --ex->lowest;
	}
	for (int i = 1; i < n; i++) {
		if (ex->priority[ready[i]] > ex->priority[ready[best]])
			best = i;
	}
	return best;
}

int explore_thread(const int *ready, int n, bool can_go_on)
{
	if (ex->mode == RANDOM)
		return note('T', by_priority(ready, n));
	return choose('T', n, can_go_on);
}

void explore_yields(int thread)
{
	ex->priority[thread] = --ex->lowest;
}

void explore_print(void)
{
	ex->trace = false;
	fprintf(stderr, "again, step by step: make sim %s%s%sTEST=%s ", sim_bug ? "BUG=" : "", bugs[sim_bug].name,
		sim_bug ? " " : "", ex->name);
	if (ex->mode == RANDOM) {
		fprintf(stderr, "SEED=%llu\n", (unsigned long long)ex->seed);
		return;
	}
	fputs("PLAN=", stderr);
	for (int i = 0; i < ex->nplan; i++)
		fprintf(stderr, "%s%d%c%d", i ? "," : "", ex->plan[i].step, ex->plan[i].kind, ex->plan[i].choice);
	fputs(ex->nplan ? "\n" : "0\n", stderr);
}

/* ---- running ---- */

static void run(const struct sim_test *t)
{
	ex->at = ex->spent = 0;
	ex->held = false;
	if (ex->mode != PLANNED)
		ex->nplan = 0;
	sim_run(t->f);
	ex->runs++;
	if (machine_steps() > ex->longest)
		ex->longest = machine_steps();
}

/* To the next unexplored branch. */
static bool advance(void)
{
	while (ex->ndecisions > 0) {
		struct decision *d = &ex->decisions[ex->ndecisions - 1];
		if (d->chosen + 1 < d->n) {
			d->chosen++;
			return true;
		}
		ex->ndecisions--;
	}
	return false;
}

static double clock_of(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of the processor's time, so that a search comes as far on a loaded machine; but not for ever. */
static double seconds(void)
{
	double wall = clock_of(CLOCK_MONOTONIC), used = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	if (ex->begin == 0)
		ex->begin = wall;
	return used > (wall - ex->begin) / BUSY ? used : (wall - ex->begin) / BUSY;
}

/* All runs with at most `bound` preemptions. False: not in time. */
static bool search(const struct sim_test *t, int bound, double until)
{
	ex->mode = SEARCH;
	ex->bound = bound;
	for (int i = 0; i < AGAIN; i++) {
		ex->ndecisions = 0;
		do {
			run(t);
			if (seconds() > until)
				return false;
		} while (advance());
		if (!machine_learn())
			return true;
	}
	return true;
}

static void run_random(const struct sim_test *t, uint64_t seed)
{
	ex->mode = RANDOM;
	ex->seed = ex->random = seed;
	ex->lowest = 0;
	for (int i = 0; i < SIM_THREADS; i++)
		ex->priority[i] = 1 + (int)(next_random() % 1000);
	for (int i = 0; i < CHANGES; i++)
		ex->changes[i] = 1 + (int)(next_random() % (unsigned)ex->length);
	machine_all(true);
	run(t);
	machine_all(false);
}

static void plan(const char *s)
{
	int step, choice, used;
	char kind;
	ex->mode = PLANNED;
	while (ex->nplan < PLAN && sscanf(s, "%d%c%d%n", &step, &kind, &choice, &used) == 3) {
		ex->plan[ex->nplan++] = (struct planned){step, choice, kind};
		s += used + (s[used] == ',');
	}
	machine_all(true);
}

static double setting(const char *name, double usual)
{
	const char *s = getenv(name);
	return s && *s ? atof(s) : usual;
}

static void explore(const struct sim_test *t)
{
	double begin = seconds(), search_for = setting("SIM_SEARCH", 4), random_for = setting("SIM_RANDOM", 1);
	int done = -1;
	long searched_runs;
	uint64_t seed = (uint64_t)setting("SIM_SEEDS", 1);
	ex->mode = USUAL;
	run(t);
	ex->length = machine_steps();
	for (int i = 0; i < FIRST; i++) /* to learn what is shared */
		run_random(t, seed++);
	machine_learn();
	for (int b = 0; b <= t->bound && search(t, b, begin + search_for); b++)
		done = b;
	searched_runs = ex->runs;
	for (double until = seconds() + random_for; seconds() < until; seed++)
		run_random(t, seed);
	printf("%-24s %s %d preemptions; %ld runs searched, %ld random, at most %d steps, %.1f s\n", t->name,
		done == t->bound ? "all with" : "cut short; all with", done, searched_runs, ex->runs - searched_runs,
		ex->longest, seconds() - begin);
}

static void repeat(const struct sim_test *t, const char *seed, const char *planned)
{
	ex->mode = USUAL;
	run(t);
	ex->length = machine_steps();
	ex->trace = true;
	if (planned && *planned) {
		plan(planned);
		run(t);
	} else {
		run_random(t, strtoull(seed, NULL, 10));
	}
	printf("%s: nothing wrong\n", t->name);
}

/* The names of the tests, or of the bugs with the tests that find each. */
static void list(bool of_bugs)
{
	for (size_t i = 1; of_bugs && i < sizeof bugs / sizeof *bugs; i++)
		printf("%s %s\n", bugs[i].name, bugs[i].tests);
	for (const struct sim_test *t = sim_tests; !of_bugs && t->name; t++)
		puts(t->name);
}

/* Turns on the bug of that name. */
static bool turn_on(const char *name)
{
	for (size_t i = 1; name && *name && i < sizeof bugs / sizeof *bugs; i++)
		if (strcmp(bugs[i].name, name) == 0)
			sim_bug = (int)i;
	return sim_bug != 0 || !name || !*name;
}

int main(int argc, char **argv)
{
	const char *seed = getenv("SEED"), *planned = getenv("PLAN");
	if (argc < 2 || strcmp(argv[1], "--bugs") == 0) {
		list(argc > 1);
		return 0;
	}
	if (!turn_on(getenv("BUG"))) {
		fprintf(stderr, "no bug %s\n", getenv("BUG"));
		return 2;
	}
	machine_make();
	ex = calloc(1, sizeof *ex);
	if (!ex)
		return 2;
	for (const struct sim_test *t = sim_tests; t->name; t++) {
		if (strcmp(t->name, argv[1]) != 0)
			continue;
		ex->name = t->name;
		sim_begin();
		if ((seed && *seed) || (planned && *planned))
			repeat(t, seed, planned);
		else
			explore(t);
		return 0;
	}
	fprintf(stderr, "no test %s\n", argv[1]);
	return 2;
}

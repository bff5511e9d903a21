/* SPDX-License-Identifier: MIT */
/* VAI_DEBUG=schedtrace=1000 writes a line about the scheduler to stderr every so many milliseconds, with the field
 * names of Go's GODEBUG; with scheddetail=1 also a line for every P, M and G. It runs on sysmon, which does not
 * sleep then. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sched/poll.h"
#include "sched/rt.h"

enum { MILLISECOND = 1000000, LONGEST = 86400000 /* ms */, SHOWN = 256 };

static struct {
	int64_t period; /* ns; 0: off */
	bool detail;
	int64_t start, next;
} trace;

/* ---- what is wanted ---- */

static bool number(const char *s, long max, long *n)
{
	char *end;
	*n = strtol(s, &end, 10);
	return *s >= '0' && *s <= '9' && !*end && *n <= max;
}

static bool read_word(const char *word)
{
	long n;
	if (strncmp(word, "schedtrace=", 11) == 0 && number(word + 11, LONGEST, &n))
		trace.period = n * MILLISECOND;
	else if (strncmp(word, "scheddetail=", 12) == 0 && number(word + 12, 1, &n))
		trace.detail = n == 1;
	else if (strcmp(word, "lostwrites") == 0 || strcmp(word, "leaks") == 0)
		return true; /* bind/life/watch_lost_writes.c, bind/report/leaks.c */
	else
		return false;
	return true;
}

/* Reads words that are separated by commas. */
static void read_words(char *words)
{
	char *rest;
	for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		if (!read_word(word))
			fprintf(stderr,
				"vai: VAI_DEBUG: '%s' is none of schedtrace=MILLISECONDS, scheddetail=1, lostwrites and leaks\n", word);
	}
}

void vai__schedtrace_start(void)
{
	const char *wish = getenv("VAI_DEBUG");
	char *words = wish ? strdup(wish) : NULL;
	trace.period = 0;
	trace.detail = false;
	if (words)
		read_words(words);
	free(words);
	trace.start = vai__clock_real();
	trace.next = trace.start + trace.period;
}

int64_t vai__schedtrace_next(void)
{
	return trace.period ? trace.next : VAI_FOREVER;
}

/* ---- the lines ---- */

static void add_queues(FILE *out, int procs)
{
	for (int i = 0; i < procs; i++)
		fprintf(out, "%s%u", i ? " " : "", vai__runq_len(vai__sched.ps[i]));
}

/* Adds the summary. sysmon counts as a thread, as in Go. */
static void add_line(FILE *out, int64_t now)
{
	struct vai__sched_stats s;
	vai__sched_stats(&s);
	fprintf(out,
		"SCHED %lldms: gomaxprocs=%d idleprocs=%d threads=%d spinningthreads=%d idlethreads=%d runqueue=%lld [",
		(long long)((now - trace.start) / MILLISECOND), s.ps, s.idle_ps, s.ms + 1, s.spinning, s.idle_ms,
		(long long)atomic_load_relaxed(&vai__sched.nglobal));
	add_queues(out, s.ps);
	fprintf(out, "] iowait=%lld\n", (long long)vai__poll_pending());
}

static void add_p(FILE *out, struct p *p)
{
	vai__lock(&p->timers.lock);
	uint32_t timers = p->timers.len;
	vai__unlock(&p->timers.lock);
	fprintf(out, "  P%d: schedtick=%u runqsize=%u timerslen=%u\n", p->index, atomic_load_relaxed(&p->tick),
		vai__runq_len(p), timers);
}

/* What is shown of an M: copied under the lock, and written without it. */
struct shown {
	int p;
	bool runs, idle, locked;
};

static int look_at_ms(struct shown *list)
{
	int n = 0;
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m && n < SHOWN; m = m->next_m) {
		struct p *p = m_p(m);
		list[n++] = (struct shown){p ? p->index : -1, m_curg(m) != NULL, m->idle, m->lockedg != NULL};
	}
	vai__unlock(&vai__sched.lock);
	return n;
}

static void add_ms(FILE *out)
{
	struct shown list[SHOWN];
	int n = look_at_ms(list);
	for (int i = 0; i < n; i++)
		fprintf(out, "  M%d: p=%d running=%s blocked=%s lockedg=%s\n", i, list[i].p, list[i].runs ? "true" : "false",
			list[i].idle ? "true" : "false", list[i].locked ? "true" : "false");
}

static void add_goroutine(vai_g *g, const struct vai_g_info *info, void *arg)
{
	static const char *const names[] = {"new", "runnable", "running", "waiting", "dead"};
	fprintf(arg, "  G%llu: status=%s(%s)\n", (unsigned long long)g->id, info->in_c ? "syscall" : names[info->state],
		info->state == VAI_G_WAITING ? vai__wait_reason_name(info->reason) : "");
}

static void add_detail(FILE *out)
{
	for (int i = 0; i < atomic_load_relaxed(&vai__sched.nprocs); i++)
		add_p(out, vai__sched.ps[i]);
	add_ms(out);
	vai__g_each(add_goroutine, out);
}

/* Writes everything in one piece, and past stderr's lock, which another thread may hold for long. */
static void write_all(int64_t now)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		return;
	add_line(out, now);
	if (trace.detail)
		add_detail(out);
	if (fclose(out) != 0)
		return;
	for (size_t at = 0; at < n;) {
		ssize_t done = write(STDERR_FILENO, text + at, n - at);
		if (done <= 0)
			break;
		at += (size_t)done;
	}
	free(text);
}

void vai__schedtrace_tick(int64_t now)
{
	if (VAI_LIKELY(trace.period == 0) || now < trace.next)
		return;
	write_all(now);
	trace.next += (now - trace.next) / trace.period * trace.period + trace.period;
}

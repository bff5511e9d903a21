/* SPDX-License-Identifier: MIT */
/* The workloads of bench/README.md in C, against the core's own API: no Lua. */
#ifndef VAI_BENCH_H
#define VAI_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/obj.h"
#include "sched/sched.h"
#include "sync/chan.h"
#include "sync/waitgroup.h"

typedef void bench_fn(vai_g *g, void *arg);

/* Prints "<workload> <value> <unit>". */
void report(const char *name, double value, const char *unit);
/* Reports the nanoseconds that each of n operations took since `start`. */
void report_ns(const char *name, int64_t start, int64_t n);
/* Ends the program when a workload has computed something wrong. */
void check(const char *name, int64_t got, int64_t want);

void spawn_in(vai_g *self, bench_fn *f, void *arg);
vai_waitgroup *new_group(int64_t n);
vai_chan *new_chan(int64_t cap);
void unref(void *object);
void finish(vai_waitgroup *wg);
void wait_for(vai_g *self, vai_waitgroup *wg);
void send_int(vai_g *g, vai_chan *ch, int64_t i);
/* False: closed. */
bool recv_int(vai_g *g, vai_chan *ch, int64_t *i);

/* Each runs on the main goroutine. */
void bench_spawn(vai_g *g, int64_t n);
void bench_spawn_seq(vai_g *g, int64_t n);
void bench_parked(vai_g *g, int64_t n);
void bench_alive(vai_g *g, int64_t n);
void bench_pingpong(vai_g *g, int64_t n);
void bench_ring(vai_g *g, int64_t n);
void bench_sieve(vai_g *g, int64_t n);
void bench_pipeline_int(vai_g *g, int64_t n);
void bench_pipeline_table(vai_g *g, int64_t n);
void bench_select4(vai_g *g, int64_t n);
void bench_yield(vai_g *g, int64_t n);

#endif

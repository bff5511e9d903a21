/* SPDX-License-Identifier: MIT */
/* What the tests share: a runtime for the time of a test, goroutines that are waited for, messages that
 * are counted. */
#ifndef VAI_SIM_WORLD_H
#define VAI_SIM_WORLD_H

#include "base/base.h"
#include "sched/sched.h"
#include "sim.h"

/* Starts the runtime with n Ps and runs f as main: no choices are explored but in f. */
void world(int n, void (*f)(vai_g *main));
/* Starts a goroutine of the test. */
vai_g *world_go(vai_g *self, void (*f)(vai_g *g, void *arg), void *arg);
/* What a goroutine calls last whose first function has been replaced (vai__park_shed). */
void world_end(void);
/* Main waits until all of them have ended. A deadlock is a failure. */
void world_join(vai_g *main);
/* vai__wait_begin, for a ticket that is left where no lock is. */
vai_ticket world_ticket(vai_g *g);

/* An operation of the poller that will fire the ticket, and its end. */
void world_io_begin(vai_g *g, vai_ticket ticket);
void world_io_done(void);
void world_io_end(void);

/* A goroutine waits for what a source will put into a channel. */
void world_source_begin(vai_g *g, vai_ticket ticket);
void world_source_post(void);
void world_source_end(void);

/* sysmon has been poked: it is not to sleep on. */
extern bool world_poked;

/* Messages: each made is to be spent once. */
vai_msg world_msg(void);
void world_spend(const vai_msg *msg);
void world_drop(vai_msg *msg);
int world_dropped(void);

#endif

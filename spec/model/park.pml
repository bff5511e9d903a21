/* SPDX-License-Identifier: MIT */
/* Park against ready: src/sched/park.c. One record of a goroutine, used by a first goroutine and then,
 * recycled, by a second (g_free, vai__g_new). They wait: vai__wait_begin, the ticket left where a waker
 * finds it, vai__wait with a deadline or without; two Ms run what is ready (settle, park_commit).
 * The first waits for a waker and perhaps a deadline, then for nothing but its cancel; the second for a
 * waker. Wakers fire the ticket that they took, however late (vai__fire); a timer fires under its lock
 * (time_out) and is stopped after the wait; the canceller sets g->end and then fires whatever wait the
 * goroutine is in (vai__fire_any); park_commit, once it has swapped to PARKED, looks at g->end and fires
 * its own ticket if it is set.
 *
 * Safety: one winner a ticket; never in two queues or on two Ms, nor run before it has left its stack;
 * no timer fires into a frame that is gone; who was not canceled is not told so. Nobody sleeps for ever.
 *
 * SCENARIO plain: -DONE_LIFE
 * SCENARIO all safety: -DTIMER
 *
 * BUG_1: vai__fire does not compare the ticket
 * BUG_2: vai__fire stores its code instead of swapping it in
 * BUG_3: the goroutine marks itself PARKED before it has left its stack
 * BUG_4: park_commit stores PARKED over what a waker has left
 * BUG_5 liveness: a waker that finds PARKED does not make the goroutine runnable
 * BUG_6 liveness: park_commit does not look at g->end
 * BUG_7 liveness: park_commit looks at g->end before its swap, which drains the store buffer
 * BUG_8 liveness: the canceller sets g->end after it has fired
 * BUG_9: park_commit fires whatever wait the record is in by then instead of its own ticket
 * BUG_10: the timer is not stopped when something else has ended the wait
 * BUG_11: a waker that finds PREPARING makes the goroutine runnable too
 */
#define PREPARING 0
#define PARKED 1
#define TIMEOUT 2
#define CANCELED 3
#define USER 4
#define NONE 0
#define OP_PARK 1
#define OP_EXIT 2

byte ticket, code = USER; /* g->wait */
bool buffered;            /* the store of vai__wait_begin stands in a store buffer */
bool end;                 /* g->end */
byte runq = 1;            /* how often it stands in a queue */
byte on_m;                /* ghost: Ms that run it */
bool saved = true;        /* ghost: its registers are saved, an M may switch to it */
bool resume;              /* an M has switched to it */
byte left;                /* it has switched to its M's loop, why */

byte wins;             /* ghost: fires that won the current ticket */
byte waiter;           /* the ticket where wakers find it, or NONE */
byte armed;            /* the timer's ticket, or NONE */
bool in_frame;         /* ghost: the frame with the timer exists */
bit timers_lock;
bool has_task = true;  /* the canceller finds the first goroutine */
bit task_lock;
bool all_done;

#define LOCK(l) atomic { !l -> l = 1 }
#define UNLOCK(l) l = 0
#define SWITCHED atomic { resume -> resume = false }

/* The next ticket, PREPARING. A swap drains the buffer; so does any moment. */
#define DRAIN ticket = ticket + buffered; code = (buffered -> PREPARING : code); wins = (buffered -> 0 : wins); \
	buffered = false

active proctype store_buffer()
{
end_sb:
	do
	:: d_step { buffered -> DRAIN }
	od
}

inline ready()
{
	atomic { runq++; assert(runq == 1) }
}

/* vai__fire(g, t, c); wt, wc, won are the caller's locals. */
inline fire(t, c)
{
	do
	:: d_step { wt = ticket; wc = code; won = false }
	   if
#ifdef BUG_1
	   :: wc > PARKED -> break
#else
	   :: wt != t || wc > PARKED -> break
#endif
	   :: else ->
#ifdef BUG_2
		atomic { won = true; code = c; wins++; assert(wins <= 1) }
#else
		atomic {
			won = (ticket == wt && code == wc);
			if
			:: won -> code = c; wins++; assert(wins <= 1)
			:: else
			fi
		}
#endif
		if
		:: won -> break
		:: else
		fi
	   fi
	od;
	if
#ifdef BUG_5
	:: won && wc == PARKED && c == USER
#endif
#ifdef BUG_11
	:: won -> ready()
#else
	:: won && wc == PARKED -> ready()
#endif
	:: else
	fi;
	d_step { wt = 0; wc = 0; won = false }
}

/* An M that takes it from the queue: run(), settle(), park_commit() */
proctype m()
{
	byte wt, wc, t;
	bool won, ok, e;
	byte op;
end_m:
	do
	:: atomic {
		runq > 0 && !all_done -> runq--;
		on_m++;
		assert(on_m == 1 && saved)
	   }
go_on:
	   atomic { saved = false; resume = true }
	   atomic { left != 0 -> op = left; left = 0; saved = true }
	   if
	   :: op == OP_PARK ->
		d_step { t = ticket + buffered; wc = (buffered -> PREPARING : code) }
#ifdef BUG_3
		on_m--;
#else
		if
		:: wc != PREPARING -> goto go_on
		:: else
		fi;
#ifdef BUG_7
		e = end;
#endif
		atomic {
			DRAIN;
#ifdef BUG_4
			ok = true;
#else
			ok = (ticket == t && code == PREPARING);
#endif
			if
			:: ok -> code = PARKED; on_m--
			:: else
			fi
		}
		if
		:: !ok -> goto go_on
		:: else
		fi;
#endif
		/* From here it may run elsewhere, end and be another. */
#if !defined(BUG_6) && !defined(BUG_7)
		e = end;
#endif
#ifdef BUG_9
		t = ticket;
#endif
		if
		:: e -> fire(t, CANCELED)
		:: else
		fi
	   :: op == OP_EXIT -> /* g_free; vai__g_new and vai__g_start of the second, or nothing */
		on_m--;
		if
		:: !all_done ->
			end = false;
			ready()
		:: else
		fi
	   fi;
	   d_step { t = 0; wc = 0; e = false; ok = false; op = 0 }
	od
}

/* vai__wait_begin, a plain store. Who leaves the ticket somewhere stores after it. */
#define WAIT_BEGIN buffered = true
#define LEFT_FOR_OTHERS !buffered

/* park() */
inline park()
{
	if
	:: buffered || code == PREPARING ->
#ifdef BUG_3
		atomic {
			DRAIN;
			if
			:: code == PREPARING -> code = PARKED
			:: else
			fi
		}
#endif
		left = OP_PARK;
		SWITCHED
	:: else
	fi
}

proctype g()
{
	SWITCHED;
	/* the first goroutine, first wait */
	WAIT_BEGIN;
	LEFT_FOR_OTHERS;
	waiter = ticket;
	if
#ifdef TIMER
	:: in_frame = true; armed = ticket
#endif
	:: skip
	fi;
	park();
#ifndef BUG_10
	if
	:: code != TIMEOUT && in_frame || armed != NONE ->
		LOCK(timers_lock);
		armed = NONE;
		UNLOCK(timers_lock)
	:: else
	fi;
#endif
	in_frame = false;
	waiter = NONE; /* the waker may have it already */
	assert(code >= TIMEOUT && (code != CANCELED || end));
	/* its second wait, which nothing ends but the cancel */
	if
	:: code != CANCELED ->
		WAIT_BEGIN;
		park();
		assert(code == CANCELED && end)
	:: else
	fi;
	LOCK(task_lock);
	has_task = false;
	UNLOCK(task_lock);
#ifdef ONE_LIFE
	all_done = true;
	left = OP_EXIT
#else
	left = OP_EXIT;
	/* the second goroutine in the same record */
	SWITCHED;
	WAIT_BEGIN;
	LEFT_FOR_OTHERS;
	waiter = ticket;
	park();
	assert(code == USER);
	all_done = true;
	left = OP_EXIT
#endif
}

/* Somebody with a channel: takes the ticket under the channel's lock, fires it later. */
proctype waker()
{
	byte wt, wc, t;
	bool won;
end_waker:
	atomic { waiter != NONE -> t = waiter; waiter = NONE }
	fire(t, USER)
}

/* timers_run: the callback under the lock */
proctype timer()
{
	byte wt, wc;
	bool won;
end_timer:
	armed != NONE;
	LOCK(timers_lock);
	if
	:: armed != NONE ->
		assert(in_frame);
		fire(armed, TIMEOUT);
		armed = NONE
	:: else
	fi;
	UNLOCK(timers_lock)
}

proctype canceller()
{
	byte wt, wc, t;
	bool won;
	LOCK(task_lock);
	if
	:: has_task ->
#ifdef BUG_8
		t = ticket;
		fire(t, CANCELED);
		end = true;
#else
		end = true;
		t = ticket; /* vai__fire_any */
		fire(t, CANCELED);
#endif
	:: else
	fi;
	UNLOCK(task_lock)
}

init {
	atomic {
		run g();
		run m();
		run m();
		run waker();
#ifndef ONE_LIFE
		run waker();
#endif
#ifdef TIMER
		run timer();
#endif
		run canceller()
	}
}

ltl all_end { <> all_done }

/* SPDX-License-Identifier: MIT */
/* Submit against sleep: src/sched/idle.c with ready() and share() of sched.c, m_sleep and m_wake of m.c.
 * Each M is a loop of find(), idle_find_or_sleep(), run(). Work comes from a goroutine (into its own P's
 * queue, then share), from outside (into the global queue, then idle_wake_one), or from the poller, on
 * the M that sleeps in it. Goroutines that wait for each other's results while they keep their P make
 * lost parallelism a lost wake-up. Queues are sets; that nothing gets lost in them is steal.pml's matter.
 * Nothing may depend on sysmon, but for one case: an M is needed that has not yet enlisted as a sleeper,
 * and the system refuses a new thread. Only then sysmon looks here, late enough to find one asleep.
 *
 * Safety: a P has one owner; the count of spinners never falls below zero; a deadlock is only reported
 * when nothing is left to come. Liveness: what was submitted is run.
 * What sched.lock guards is one step, if it changes one thing only that others read without the lock.
 *
 * SCENARIO local: -DPS=2 -DMS=3 -DBORN=2 -DLOCAL
 * SCENARIO outside: -DPS=2 -DMS=2 -DBORN=2 -DOUTSIDE
 * SCENARIO poll: -DPS=2 -DMS=2 -DBORN=2 -DLOCAL -DPOLL
 * SCENARIO spread: -DPS=3 -DMS=3 -DBORN=3 -DSPREAD
 *
 * BUG_1 liveness: no look at the queues after the P was given up
 * BUG_2 liveness: that look comes before the M says that it spins no more
 * BUG_3 liveness: no barrier in share: the queue's store is seen after the loads
 * BUG_4 in spread liveness: a spinner that finds work does not wake another
 * BUG_5 liveness: m_sleep looks at its wake word before it says that it polls
 * BUG_6 liveness: m_wake looks who polls before it stores the wake word
 * BUG_7: idle_wake_one looks at the first idle P and takes it in two steps
 * BUG_8 liveness: delist takes any idle P, not the one that its waker gave it
 * BUG_9 in spread liveness: who found no P to wake somebody for stays counted as a spinner
 * BUG_10: is_deadlock does not ask for what the poller has under way
 * BUG_12 in spread liveness: who found no P counts as a spinner until after sched.lock
 * BUG_11 in poll: the poller counts an operation as over before it has fired its goroutine
 */
#define NONE 0
#define BIT(g) (1 << (g))

/* Goroutines: 1 runs first on M 0, which has P 0; the others as they are submitted. */
#ifdef SPREAD
#define ALL (BIT(1) | BIT(2) | BIT(3))
#elif defined(LOCAL) && defined(POLL)
#define ALL (BIT(1) | BIT(2) | BIT(4))
#elif defined(LOCAL)
#define ALL (BIT(1) | BIT(2))
#else
#define ALL (BIT(1) | BIT(4))
#endif

byte q[PS];    /* run queues, sets of goroutines */
byte global;   /* the global queue, a set too */
byte ran;

/* sched.idle_ps, nidle_ps, idle_ms, nidle_ms, nms, nspinning */
bool p_idle[PS], p_owned[PS];
byte nidle_ps;
bool m_idle[MS];
byte nidle_ms, nms = BORN;
byte nspinning;

/* struct m: nextp is P + 1 or NONE */
byte nextp[MS];
bool given_spin[MS], wake[MS], asleep[MS], born[MS];

byte poller;      /* M + 1 or NONE */
bool async;       /* vai__poll_wake was called */
byte pending;     /* operations in the poller */
bool done;        /* one of them is done */
bool refused;     /* the system refused a thread */

inline put_idle(i)
{
	assert(p_owned[i] && !p_idle[i]);
	p_owned[i] = false;
	p_idle[i] = true;
	nidle_ps++
}

/* p_get_idle(): *to is P + 1 or NONE. */
inline get_idle(to)
{
	to = NONE;
	if
	:: p_idle[0] -> to = 1
	:: !p_idle[0] && p_idle[1] -> to = 2
#if PS > 2
	:: !p_idle[0] && !p_idle[1] && p_idle[2] -> to = 3
#endif
	:: else
	fi;
#ifndef BUG_7
	take_idle(to)
#endif
}

inline take_idle(to)
{
	if
	:: to != NONE ->
		assert(!p_owned[to - 1]);
		p_idle[to - 1] = false;
		p_owned[to - 1] = true;
		nidle_ps--
	:: else
	fi
}

inline not_spinning()
{
	atomic { assert(nspinning > 0); nspinning-- }
}

/* take_idle_m(): the poller last. x is M + 1 or NONE. */
inline take_idle_m(x)
{
	x = NONE;
	if
	:: m_idle[0] && poller != 1 -> x = 1
	:: else ->
		if
		:: m_idle[1] && poller != 2 -> x = 2
		:: else ->
			if
#if MS > 2
			:: m_idle[2] && poller != 3 -> x = 3
			:: !(m_idle[2] && poller != 3) && poller != NONE && m_idle[poller - 1] -> x = poller
#else
			:: poller != NONE && m_idle[poller - 1] -> x = poller
#endif
			:: else
			fi
		fi
	fi;
	if
	:: x != NONE -> m_idle[x - 1] = false; nidle_ms--
	:: else
	fi
}

inline m_wake(x)
{
#ifdef BUG_6
	polls = (poller == x);
	wake[x - 1] = true;
#else
	wake[x - 1] = true;
	polls = (poller == x);
#endif
	if
	:: polls -> async = true
	:: else -> asleep[x - 1] = false
	fi;
	polls = false
}

/* idle_wake_one(); wp, wm and polls are the caller's. */
inline wake_one()
{
	if
	:: nidle_ps == 0
	:: else ->
		atomic {
			wp = NONE;
			if
			:: nspinning == 0 -> nspinning = 1; wp = 99
			:: else
			fi
		}
		if
		:: wp == 99 ->
			atomic {
				get_idle(wp);
				wm = NONE;
				if
				:: wp != NONE ->
					take_idle_m(wm);
					if
					:: wm != NONE -> nextp[wm - 1] = wp; given_spin[wm - 1] = true
					:: else
					fi
#if !defined(BUG_9) && !defined(BUG_12)
				:: else -> assert(nspinning > 0); nspinning--
#else
				:: else
#endif
				fi
			}
#ifdef BUG_7
			atomic { take_idle(wp) }
#endif
			if
			:: wm != NONE -> m_wake(wm)
			:: wm == NONE && wp != NONE && nms < MS -> /* m_new() */
				atomic {
					nextp[nms] = wp;
					given_spin[nms] = true;
					born[nms] = true;
					nms++
				}
#ifdef BUG_12
			:: wp == NONE -> not_spinning()
#else
			:: wp == NONE
#endif
			:: wm == NONE && wp != NONE && nms == MS ->
				not_spinning();
				atomic { put_idle(wp - 1); refused = true } /* give_back() */
			fi
		:: else
		fi
	fi;
	d_step { wp = NONE; wm = NONE }
}

/* ready() of a goroutine on P p - 1, and share() */
inline ready_here(n)
{
#ifdef BUG_3
	if
	:: nidle_ps > 0 -> wake_one_unfenced(n)
	:: else -> d_step { q[p - 1] = q[p - 1] | BIT(n) }
	fi
#else
	d_step { q[p - 1] = q[p - 1] | BIT(n) }
	if
	:: nidle_ps > 0 -> wake_one()
	:: else
	fi
#endif
}

#ifdef BUG_3
inline wake_one_unfenced(n)
{
	if
	:: nspinning != 0 -> d_step { q[p - 1] = q[p - 1] | BIT(n) }
	:: else -> d_step { q[p - 1] = q[p - 1] | BIT(n) } wake_one()
	fi
}
#endif

/* ready() without a P */
inline ready_global(n)
{
	d_step { global = global | BIT(n) }
	wake_one()
}

/* One goroutine of a set; g stays NONE if there is none. */
inline take_of(set)
{
	atomic {
		if
		:: set & BIT(1) -> g = 1
		:: set & BIT(2) -> g = 2
		:: set & BIT(3) -> g = 3
		:: set & BIT(4) -> g = 4
		:: set & BIT(5) -> g = 5
		:: set == 0
		fi;
		if
		:: g != NONE -> set = set & ~BIT(g)
		:: else
		fi
	}
}

inline run_g()
{
	if
	:: g == 1 ->
#if defined(SPREAD)
		ready_here(2);
		ready_here(3);
		(ran & BIT(2)) && (ran & BIT(3)) || refused;
#elif defined(LOCAL)
		ready_here(2);
		(ran & BIT(2)) != 0;
#endif
	:: g == 2 ->
#ifdef SPREAD
		(ran & BIT(3)) || refused;
#endif
	:: g == 3 ->
		skip
	:: else
	fi;
	d_step {
		assert((ran & BIT(g)) == 0);
		ran = ran | BIT(g);
		g = NONE
	}
}

/* steal_round(), global_get(), runq_get(): what it finds first, in any order of victims */
inline look_at_all()
{
	if
	:: p != 1 && q[0] -> take_of(q[0])
	:: p != 2 && q[1] -> take_of(q[1])
#if PS > 2
	:: p != 3 && q[2] -> take_of(q[2])
#endif
	:: else
	fi;
	if
	:: g == NONE && global -> take_of(global)
	:: else
	fi
}

#if PS > 2
#define WORK_ANYWHERE (q[0] || q[1] || q[2] || global)
#else
#define WORK_ANYWHERE (q[0] || q[1] || global)
#endif

inline acquire_p()
{
	atomic { get_idle(p) }
#ifdef BUG_7
	atomic { take_idle(p) }
#endif
	if
	:: p != NONE -> atomic { spinning = true; nspinning++ }
	:: else
	fi
}

/* enlist(); verdict: 0 SLEEP, 1 STAY, 2 DEADLOCK */
inline enlist()
{
	atomic {
		if
		:: global && nidle_ps > 0 -> verdict = 1
#ifdef BUG_10
		:: !(global && nidle_ps > 0) && nidle_ms + 1 == nms && !WORK_ANYWHERE -> verdict = 2
		:: !(global && nidle_ps > 0) && !(nidle_ms + 1 == nms && !WORK_ANYWHERE) ->
#else
		:: !(global && nidle_ps > 0) && nidle_ms + 1 == nms && pending == 0 && !WORK_ANYWHERE -> verdict = 2
		:: !(global && nidle_ps > 0) && !(nidle_ms + 1 == nms && pending == 0 && !WORK_ANYWHERE) ->
#endif
			verdict = 0;
			m_idle[me] = true;
			nidle_ms++;
			nextp[me] = NONE;
			wake[me] = false
		fi
	}
}

inline poll_wait()
{
	skip;
end_poll:
	atomic { async || done -> async = false }
	atomic {
		if
#ifdef BUG_11
		:: done -> done = false; polls = true; pending--
#else
		:: done -> done = false; polls = true
#endif
		:: else
		fi
	}
	if
	:: polls ->
		polls = false;
		ready_global(4);
#ifndef BUG_11
		pending--
#endif
	:: else
	fi
}

inline m_sleep()
{
#ifdef BUG_5
	is_woken = wake[me];
#endif
	atomic {
		won = (poller == NONE);
		if
		:: won -> poller = me + 1
		:: else
		fi
	}
	if
	:: won ->
#ifndef BUG_5
		is_woken = wake[me];
#endif
		if
		:: !is_woken -> poll_wait()
		:: else
		fi;
		poller = NONE
	:: else ->
		atomic { /* vai__futex_wait */
			if
			:: !wake[me] -> asleep[me] = true
			:: else
			fi
		}
end_futex:
		!asleep[me]
	fi;
	d_step { won = false; is_woken = false }
}

inline delist()
{
	atomic {
		p = nextp[me];
		spinning = given_spin[me];
		won = false;
		if
		:: m_idle[me] ->
			m_idle[me] = false;
			nidle_ms--;
			get_idle(p);
			won = (p != NONE);
			spinning = won
		:: else
#ifdef BUG_8
			get_idle(p)
#endif
		fi;
		nextp[me] = NONE;
		given_spin[me] = false
	}
#ifdef BUG_7
	if
	:: won -> atomic { take_idle(p) }
	:: else
	fi;
#endif
	if
	:: won -> atomic { nspinning++; won = false }
	:: else
	fi
}

proctype m(byte me; byte p; byte g)
{
	bool spinning, won, is_woken, polls;
	byte wp, wm, verdict;
	if
	:: g == NONE && p == NONE && me >= BORN -> /* thread_main() of a new one */
end_unborn:
		born[me];
		d_step { p = nextp[me]; spinning = true; nextp[me] = NONE; given_spin[me] = false }
	:: else
	fi;
	do
#ifdef SPREAD
	:: ran == ALL || refused -> break
	:: ran != ALL && !refused ->
#else
	::
#endif
	   /* find(), next(), run() */
	   if
	   :: p != NONE && g == NONE -> take_of(q[p - 1])
	   :: else
	   fi;
	   if
#ifndef SPREAD
	   :: p != NONE && g == NONE -> take_of(global)
#endif
	   :: else
	   fi;
	   if /* idle_find_or_sleep() */
	   :: p != NONE && g == NONE ->
		if /* may_spin() */
		:: !spinning -> atomic { spinning = true; nspinning++ }
#ifdef SPREAD
		:: spinning
#else
		:: skip
#endif
		fi;
		if
		:: spinning -> look_at_all()
		:: else
		fi
	   :: else
	   fi;
	   if
	   :: g != NONE ->
		if
		:: spinning -> /* idle_got_work() */
			spinning = false;
			not_spinning();
#ifndef BUG_4
			wake_one()
#endif
		:: else
		fi;
		run_g()
	   :: else ->
		if
		:: p != NONE && !q[p - 1] ->
			atomic { /* release_p() */
				if
				:: global == 0 -> put_idle(p - 1); p = NONE
				:: else
				fi
			}
		:: else
		fi;
		if
		:: p == NONE ->
#ifdef BUG_2
			won = WORK_ANYWHERE;
#endif
			if
			:: spinning -> spinning = false; not_spinning()
			:: else
			fi;
#ifdef BUG_1
			won = false;
#elif !defined(BUG_2)
			won = WORK_ANYWHERE;
#endif
			if
			:: won -> acquire_p()
			:: else
			fi;
			won = false;
			if
			:: p == NONE ->
				enlist();
				if
				:: verdict == 0 -> m_sleep(); delist()
				:: verdict == 1 -> verdict = 0; acquire_p()
				:: else -> assert(ran == ALL); break
				fi
			:: else
			fi
		:: else
		fi
	   fi
	od
}

#ifdef OUTSIDE
/* A thread without a P, a timer's callback for example. */
proctype outside(byte n)
{
	bool polls;
	byte wp, wm;
	ready_global(n);
	pending--
}
#endif

#ifdef POLL
proctype io()
{
	done = true
}
#endif

#ifndef SPREAD
active proctype sysmon()
{
	bool polls;
	byte wp, wm;
end_sysmon:
	do
	:: refused && WORK_ANYWHERE && nidle_ps > 0 && nidle_ms > 0 && nspinning == 0 -> wake_one()
	od
}
#endif

init {
	atomic {
		p_owned[0] = true;
		run m(0, 1, 1);
#ifdef SPREAD
		p_idle[1] = true;
		p_idle[2] = true;
		nidle_ps = 2;
		run m(1, NONE, NONE);
#else
		p_owned[1] = true;
		run m(1, 2, NONE);
#endif
#if MS > 2
		run m(2, NONE, NONE);
#endif
#ifdef OUTSIDE
		pending = 1;
		run outside(4)
#endif
#ifdef POLL
		pending = 1;
		run io()
#endif
	}
}

#ifdef SPREAD
ltl all_run { <> (ran == ALL || refused) } /* as if threads were never refused */
#else
ltl all_run { <> (ran == ALL) }
#endif

/* SPDX-License-Identifier: MIT */
/* Retake against return: src/sched/handoff.c. M 1's goroutine is in a C call with the only P; it comes back
 * into vai (m_enter, m_enter_slowly, m_need_p) and leaves (m_leave), and parks in the end. sysmon looks
 * (watch_owner, retake) and hands what it has taken to M 2, which works with it and puts it down
 * (p_hand_off, p_release). If the P is gone M 1 takes it from the idle ones, or queues its goroutine in the
 * global queue and goes to its loop without a P; there it sleeps until the P is idle, or M 2, which looks
 * there before it puts the P down, runs the goroutine.
 *
 * M 1's stores of busy go through a store buffer, which drains at any moment, at the lock, and at sysmon's
 * membarrier; m_enter's own barrier is one for the compiler alone.
 *
 * Safety: one at a time uses the P. Liveness: the goroutine ends, and so does the one that waits for the P.
 *
 * SCENARIO all: -DLOOKS=3
 *
 * BUG_1: no membarrier between retake and busy
 * BUG_2: sysmon looks at busy before it sets retake, not after
 * BUG_3: sysmon does not look at busy at all
 * BUG_4: the M looks at retake before it says that it is busy
 * BUG_5: the M that sees retake looks at its P without the lock
 * BUG_6 liveness: the M that finds no P does not queue its goroutine
 * BUG_7 liveness: the P that was taken is given to nobody
 * BUG_8: m_leave comes before the last use of the P
 * BUG_9: the goroutine goes on with the P that it had before the call
 */
#define NONE 0
#define BUSY 2
#define FREE 1

bit lock;
bool m_p = true;      /* M 1's m->p: the P or NULL */
bool busy;            /* M 1's, as others see it */
chan buffer = [4] of { byte }; /* BUSY or FREE, on their way there */
bool retake;
bool idle_p;          /* the P is in sched.idle_ps */
bool given;           /* it is M 2's */
bool global;          /* M 1's goroutine stands in the global queue */
bool waiting = true;  /* another goroutine waits for the P: in its run queue */
byte using;           /* ghost */
bool done;

#define LOCK atomic { !lock -> lock = 1 }
#define UNLOCK lock = 0

/* A locked instruction of M 1. */
#define DRAINED (len(buffer) == 0)

proctype store_buffer()
{
	byte b;
end:
	do
	:: atomic { buffer ? b -> busy = (b == BUSY); b = 0 }
	od
}

inline use_p()
{
	atomic { using++; assert(using == 1) }
	using--
}

/* m_need_p(): has is false when the goroutine must go to the loop. */
inline enter()
{
#ifdef BUG_4
	seen = retake;
	buffer ! BUSY;
#else
	buffer ! BUSY;
	seen = retake;
#endif
	if
	:: seen ->
#ifdef BUG_5
		has = m_p;
		retake = false
#else
		atomic { DRAINED && !lock -> lock = 1 }
		has = m_p;
		if
		:: !has && idle_p -> atomic { idle_p = false; m_p = true; has = true }
		:: else
		fi;
		retake = false;
		UNLOCK
#endif
	:: else -> has = m_p
	fi;
#ifdef BUG_9
	has = true
#endif
}

/* The goroutine calls vai, or parks: leaves is false then. */
inline call_vai(leaves)
{
	enter();
	if
	:: has ->
#ifdef BUG_8
		if
		:: leaves -> buffer ! FREE
		:: else
		fi;
		use_p()
#else
		use_p();
		if
		:: leaves -> buffer ! FREE
		:: else
		fi
#endif
	:: else
	fi
}

proctype m1()
{
	bool seen, has;
	/* it is in the C call now */
	call_vai(true);
	if
	:: has -> call_vai(true)
	:: else
	fi;
	if
	:: has -> call_vai(false)
	:: else
	fi;
	if
	:: has -> /* parked: the loop goes on with the P, runs who waits, and puts it down */
		use_p();
		done = true;
		waiting = false;
		atomic { DRAINED && !lock -> m_p = false; idle_p = true }
	:: else -> /* yield() without a P, idle_find_or_sleep() */
		atomic {
			DRAINED && !lock ->
#ifndef BUG_6
			global = true
#endif
		}
end_asleep:
		atomic { !lock && idle_p && global -> idle_p = false; m_p = true; global = false }
		use_p();
		done = true;
		atomic { !lock -> m_p = false; idle_p = true }
	fi
}

proctype sysmon()
{
	byte n;
	bool take;
	do
	:: n < LOOKS ->
		n++;
		LOCK;
		take = false;
#ifdef BUG_2
		take = m_p && !busy;
		if
		:: take ->
			retake = true;
			atomic { DRAINED -> skip }
			m_p = false
		:: else
		fi;
#else
		if
		:: m_p && !busy ->
			retake = true;
#ifndef BUG_1
			DRAINED;
#endif
#ifdef BUG_3
			take = m_p;
#else
			take = !busy && m_p;
#endif
			if
			:: take -> m_p = false
			:: else -> retake = false
			fi
		:: else
		fi;
#endif
		UNLOCK;
		if
#ifdef BUG_7
		:: take
#else
		:: take && waiting -> given = true
		:: take && !waiting -> atomic { !lock -> idle_p = true }
#endif
		:: else
		fi
	:: else -> break
	od
}

/* Runs who waited, then who stands in the global queue, and puts the P down. */
proctype m2()
{
end:
	do
	:: given ->
		use_p();
		waiting = false;
		LOCK;
		if
		:: global ->
			global = false;
			UNLOCK;
			use_p();
			done = true;
			LOCK
		:: else
		fi;
		atomic { given = false; idle_p = true; lock = 0 }
	od
}

init {
	atomic { run store_buffer(); run m1(); run m2(); run sysmon() }
}

ltl all_end { <> (done && !waiting) }

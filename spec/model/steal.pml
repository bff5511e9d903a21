/* SPDX-License-Identifier: MIT */
/* Steal against pop: src/sched/runq.c. The owner of P 0 puts N goroutines (runq_put, put_tail,
 * overflow, replace_next) and takes some (runq_get); thieves with Ps of their own steal from it and
 * from each other (runq_steal) and then run what they have.
 *
 * Safety: no goroutine runs twice; when all have looked, none is left over; runq_empty never says so
 * of a queue that was not empty at any moment. Liveness: the loops around the swaps end, all run.
 * A step is one access that others can see; what only the owner writes, it reads for free.
 *
 * SCENARIO one: -DSIZE=2 -DN=3 -DTHIEVES=1 -DTRIES=2
 * SCENARIO half safety: -DSIZE=4 -DN=5 -DTHIEVES=1 -DTRIES=1
 * SCENARIO two safety: -DSIZE=2 -DN=3 -DTHIEVES=2 -DTRIES=1
 * SCENARIO look safety: -DSIZE=4 -DN=3 -DTHIEVES=0 -DTRIES=0
 *
 * BUG_1: the thief commits with a load and a store instead of a compare-and-swap
 * BUG_2: the thief reads the slots after it has moved head
 * BUG_3: the owner pops without a compare-and-swap
 * BUG_4: put_tail publishes tail before the slot is written
 * BUG_5: runnext is stolen with a load and a store instead of an exchange
 * BUG_6: overflow hands its batch over although its swap has failed
 * BUG_7: replace_next stores over what it has seen instead of exchanging
 * BUG_8 in look: runq_empty does not look whether tail has moved
 * BUG_9 liveness: the thief tries its failed swap again without reading head again
 */
#define HALF (SIZE / 2) /* SIZE is RUNQ_SIZE */
#define PS (THIEVES + 1)
#define NONE 0
#define SLOT(p, i) ring[(p) * SIZE + (i) % SIZE]

byte head[PS], tail[PS], next[PS], ring[PS * SIZE];
bool global[N + 1], ran[N + 1];
byte total, finished;

/* For the looker: at least so many stand in P 0's queue; whether there was a moment without any. */
byte held;
bool was_empty;

inline before_get()
{
	d_step {
		if
		:: held > 0 -> held--
		:: else
		fi;
		was_empty = was_empty || held == 0
	}
}

inline run_g(g)
{
	atomic {
		assert(g != NONE && !ran[g]);
		ran[g] = true;
		total++;
		g = NONE
	}
}

/* The swap in which head goes from h to h + n. */
inline cas_head(p, h, n, ok)
{
	atomic {
		ok = (head[p] == h);
		if
		:: ok -> head[p] = h + n
		:: else
		fi
	}
}

/* atomic_exchange of runnext */
inline take_next(p, g)
{
	atomic {
		g = next[p];
		next[p] = NONE
	}
}

/* put_tail(), with overflow() */
inline put_tail(p, g)
{
	do
	:: atomic { h = head[p]; t = tail[p] }
	   if
	   :: t - h < SIZE ->
#ifdef BUG_4
		tail[p] = t + 1;
		SLOT(p, t) = g;
#else
		SLOT(p, t) = g;
		tail[p] = t + 1;
#endif
		break
	   :: else ->
		b0 = SLOT(p, h);
		b1 = (HALF > 1 -> SLOT(p, h + 1) : NONE);
		cas_head(p, h, HALF, ok);
#ifdef BUG_6
		ok = true;
#endif
		if
		:: ok ->
			atomic { /* global_put_batch */
				assert(!global[b0] && (b1 == NONE || !global[b1]));
				global[b0] = true;
				global[b1] = true;
				global[g] = true;
				global[NONE] = false
			}
			break
		:: else
		fi
	   fi
	od;
	atomic { g = NONE; h = 0; t = 0; b0 = NONE; b1 = NONE; ok = false }
}

/* replace_next(): only the owner fills runnext */
inline replace_next(p, g)
{
	if
	:: next[p] == NONE -> atomic { next[p] = g; g = NONE }
	:: else ->
#ifdef BUG_7
		b0 = next[p];
		atomic { next[p] = g; g = b0; b0 = NONE }
#else
		atomic { b0 = next[p]; next[p] = g; g = b0; b0 = NONE }
#endif
	fi
}

/* runq_get() */
inline get(p, g)
{
	atomic {
		g = NONE;
		if
		:: next[p] != NONE -> take_next(p, g)
		:: skip /* streak at its limit, or a thief was faster */
		fi
	}
	if
	:: g == NONE ->
		do
		:: atomic { h = head[p]; t = tail[p]; g = SLOT(p, h) }
		   if
		   :: h == t -> take_next(p, g); break
		   :: else ->
#ifdef BUG_3
			head[p] = h + 1;
			break
#else
			cas_head(p, h, 1, ok);
			if
			:: ok -> break
			:: else
			fi
#endif
		   fi
		od;
		atomic { h = 0; t = 0; ok = false }
	:: else
	fi
}

inline copy_slots(p, v)
{
	SLOT(p, tail[p]) = SLOT(v, h);
	if
	:: n > 1 -> SLOT(p, tail[p] + 1) = SLOT(v, h + 1)
	:: else
	fi
}

/* runq_steal(p, v, true) */
inline steal(p, v, g)
{
	do
	:: h = head[v];
	   atomic { t = tail[v]; n = t - h; n = n - n / 2 }
again:
	   if
	   :: n == 0 -> break
	   :: n > HALF -> skip /* head and tail are of different moments */
	   :: else ->
#ifdef BUG_2
		cas_head(v, h, n, ok);
		copy_slots(p, v);
#else
		copy_slots(p, v);
#ifdef BUG_1
		ok = (head[v] == h);
		if
		:: ok -> head[v] = h + n
		:: else
		fi;
#else
		cas_head(v, h, n, ok);
#endif
#endif
		if
		:: ok -> atomic { g = SLOT(p, tail[p] + n - 1); tail[p] = tail[p] + n - 1 } break
#ifdef BUG_9
		:: else -> goto again
#else
		:: else
#endif
		fi
	   fi
	od;
	if
	:: g != NONE || next[v] == NONE
	:: else ->
#ifdef BUG_5
		g = next[v];
		next[v] = NONE
#else
		take_next(v, g)
#endif
	fi;
	atomic { h = 0; t = 0; n = 0; ok = false }
}

proctype owner()
{
	byte g, k, h, t, b0, b1;
	bool ok;
	do
	:: k < N ->
		atomic { k++; g = k }
		if
		:: replace_next(0, g)
		:: skip
		fi;
		if
		:: g != NONE -> put_tail(0, g)
		:: else
		fi;
		held++;
		if /* a goroutine parks now and then */
		:: k < N ->
			before_get();
			get(0, g);
			if
			:: g != NONE -> run_g(g)
			:: else
			fi
		:: skip
		fi
	:: else -> break
	od;
	do
	:: before_get();
	   get(0, g);
	   if
	   :: g != NONE -> run_g(g)
	   :: else -> break
	   fi
	od;
	finished++
}

proctype thief(byte p)
{
	byte g, h, t, n, k, v;
	bool ok;
	do
	:: k < TRIES ->
		atomic {
			k++;
			if
			:: v = 0
			:: THIEVES > 1 -> v = 3 - p
			fi
		}
		steal(p, v, g);
		if
		:: g != NONE -> run_g(g)
		:: else
		fi;
		do /* nothing stands in its runnext, its ring goes without a race unless there are two */
		:: get(p, g);
		   if
		   :: g != NONE -> run_g(g)
		   :: else -> break
		   fi
		od
	:: else -> break
	od;
	finished++
}

/* work_anywhere() of an M about to sleep: runq_empty(P 0) */
proctype looker()
{
	byte h, t, x;
end:
	d_step { held > 0; was_empty = false }
	do
	:: h = head[0];
	   t = tail[0];
	   x = next[0];
#ifndef BUG_8
	   if
	   :: t == tail[0] -> break
	   :: else
	   fi
#else
	   break
#endif
	od;
	assert(was_empty || h != t || x != NONE)
}

init {
	byte i = 1;
	atomic {
		run owner();
#if THIEVES > 0
		run thief(1);
#else
		run looker();
#endif
#if THIEVES > 1
		run thief(2);
#endif
	}
	finished == PS;
	atomic { /* what overflowed is run by somebody in the end */
		do
		:: i <= N ->
			if
			:: global[i] -> assert(!ran[i]); ran[i] = true; total++
			:: else
			fi;
			assert(ran[i]);
			i++
		:: else -> break
		od
	}
}

ltl all_run { <> (total == N) }

/* SPDX-License-Identifier: MIT */
/* Select's race: src/sync/select.c (select_waiting, pick_ready, attempt, block, link_all, unlink_all), chan.c (vai__chan_put,
 * vai__chan_take, refill, wait_in, vai__chan_close) and waitq.h. Goroutines with one or two cases, on two
 * channels; one case is a plain send or receive. Some have a deadline, somebody may close a channel. How a
 * wait is parked is park.pml's matter: here it is a ticket and a code. A channel has one lock here: what a
 * buffered one does under the lock of one side concerns nobody who waits (put_alone, take_alone).
 *
 * Safety: a message arrives once if its sender was told so, else never; nobody writes into the frame of
 * a goroutine that has gone on; a select does not meet itself; locks are taken without a cycle. Liveness:
 * all that must end do. What a goroutine does under its locks is one step, but for fires.
 *
 * SCENARIO pair: -DPAIR
 * SCENARIO same: -DSAME
 * SCENARIO close: -DCLOSE
 * SCENARIO timeout: -DTIMED
 * SCENARIO buffer: -DBUFFER
 *
 * BUG_1: vai__fire stores its code instead of swapping it in
 * BUG_2: vai__fire does not compare the ticket
 * BUG_3: the records of the cases that were not chosen stay in their queues
 * BUG_4: a record that is in no queue any more is not waited for under the lock
 * BUG_5: who hands a message over does not look whether it won
 * BUG_6 in same: a select looks once more after it has linked
 * BUG_7: locks are taken in the order of the cases
 * BUG_8: the locks are let go between looking and linking
 * BUG_9: close marks the channel after it has taken the waiters
 * BUG_10 in buffer: refill counts a sender whose fire has lost
 */
#define NONE 255
#define SEND 1
#define RECV 2

/* code[]: PREPARING, TIMEOUT, or 4 + 2 * case, + 1 if the channel was closed */
#define PREPARING 0
#define TIMEOUT 2
#define CASE(i) (4 + 2 * (i))

#define GS 3
#define W(g, i) ((g) * 2 + (i))

#ifdef BUFFER
#define CAP(c) (1 - (c))
#else
#define CAP(c) 0
#endif

bit lock[2];
bool closed[2];
byte ring[2], count[2]; /* of at most one message */
chan recvq[2] = [6] of { byte };
chan sendq[2] = [6] of { byte };
chan closeq = [6] of { byte }; /* the closer's own list */

byte ticket[GS], code[GS];
byte w_ticket[GS * 2], slot[GS * 2]; /* the record and the message slot of each case */
bool in_frame[GS];
/* Message g + 1 is g's; 9 stands for what is in a slot that nobody filled. */
byte sent[GS + 1], got[GS + 1];
byte ended;

/* A popped record leaves a struct vai__wake behind: whom, and its ticket (wt) at that moment. */
inline fire(w, how)
{
	atomic {
		won = false;
		if
#ifdef BUG_2
		:: code[w / 2] == PREPARING -> won = true
#elif defined(BUG_1)
		:: ticket[w / 2] == wt -> won = true
#else
		:: ticket[w / 2] == wt && code[w / 2] == PREPARING -> won = true
#endif
		:: else
		fi;
		if
		:: won -> code[w / 2] = how
		:: else
		fi
	}
}

#define LOCK(c) atomic { !lock[c] -> lock[c] = 1 }
#define CAN_PUT(c) (closed[c] || count[c] < CAP(c) || len(recvq[c]) > 0)
#define CAN_TAKE(c) (closed[c] || count[c] > 0 || len(sendq[c]) > 0)
#define READY(c, d) (c != NONE && ((d == SEND && CAN_PUT(c)) || (d == RECV && CAN_TAKE(c))))

/* vai__chan_put, vai__chan_take but for refill: wake is whom to fire, result 0: OK, 1: closed, 2: that wake
 * decides. Under the lock. */
inline attempt(c, d)
{
	atomic {
		wake = NONE;
		result = 0;
		if
		:: d == SEND && closed[c] -> result = 1
		:: d == SEND && !closed[c] && len(recvq[c]) > 0 ->
			recvq[c] ? wake;
			wt = w_ticket[wake];
			assert(wake / 2 != me);
			result = 2
		:: d == SEND && !closed[c] && len(recvq[c]) == 0 ->
			ring[c] = me + 1;
			count[c]++
		:: d == RECV && count[c] > 0 ->
			value = ring[c];
			count[c]--
		:: d == RECV && count[c] == 0 && closed[c] -> result = 1
		:: d == RECV && count[c] == 0 && !closed[c] ->
			sendq[c] ? wake;
			wt = w_ticket[wake];
			assert(wake / 2 != me);
			value = slot[wake];
			result = 2
		fi
	}
	if
	:: d == SEND && result == 2 -> atomic { assert(in_frame[wake / 2]); slot[wake] = me + 1 }
	:: else
	fi
}

/* refill(): fires under the lock. */
inline refill(c)
{
	do
	:: CAP(c) > 0 && len(sendq[c]) > 0 ->
		atomic { sendq[c] ? wake; wt = w_ticket[wake]; ring[c] = slot[wake] }
		fire(wake, CASE(wake % 2));
#ifdef BUG_10
		won = true;
#endif
		if
		:: won -> count[c]++; break
		:: else
		fi
	:: else -> break
	od
}

inline link(c, d, i)
{
	if
	:: c != NONE ->
		w_ticket[W(me, i)] = ticket[me];
		slot[W(me, i)] = (d == SEND -> me + 1 : 9);
		if
		:: d == SEND -> sendq[c] ! W(me, i)
		:: else -> recvq[c] ! W(me, i)
		fi
	:: else
	fi
}

/* unlink_one() of a case that was not chosen, or wait_in's end */
inline unlink(c, d, i)
{
#ifndef BUG_3
	if
	:: c != NONE && code[me] / 2 != CASE(i) / 2 ->
#ifdef BUG_4
		if
		:: recvq[c] ?? [eval(W(me, i))] || sendq[c] ?? [eval(W(me, i))] || closeq ?? [eval(W(me, i))] ->
#endif
		atomic {
			!lock[c];
			if
			:: recvq[c] ?? [eval(W(me, i))] -> recvq[c] ?? eval(W(me, i))
			:: sendq[c] ?? [eval(W(me, i))] -> sendq[c] ?? eval(W(me, i))
			:: closeq ?? [eval(W(me, i))] -> closeq ?? eval(W(me, i))
			:: else
			fi
		}
#ifdef BUG_4
		:: else
		fi
#endif
	:: else
	fi
#else
	skip
#endif
}

inline lock_all()
{
#ifdef BUG_7
	if
	:: c0 != NONE -> LOCK(c0)
	:: else
	fi;
	if
	:: c1 != NONE && c1 != c0 -> LOCK(c1)
	:: else
	fi
#else
	if
	:: c0 == 0 || c1 == 0 -> LOCK(0)
	:: else
	fi;
	if
	:: c0 == 1 || c1 == 1 -> LOCK(1)
	:: else
	fi
#endif
}

inline unlock_all()
{
	d_step {
		if
		:: c0 == 0 || c1 == 0 -> lock[0] = 0
		:: else
		fi;
		if
		:: c0 == 1 || c1 == 1 -> lock[1] = 0
		:: else
		fi
	}
}

/* pick_ready: a random one of those that are ready */
inline pick_ready()
{
	atomic {
		if
		:: READY(c0, d0) -> chosen = 0
		:: READY(c1, d1) -> chosen = 1
		:: !READY(c0, d0) && !READY(c1, d1) -> chosen = NONE
		fi
	}
}

/* It ends with case `chosen`: result 0 means done, 1 closed; value is what it received. */
inline count_result()
{
	atomic {
		if
		:: chosen != NONE && result == 0 && (chosen == 0 -> d0 : d1) == RECV ->
			assert(value >= 1 && value <= GS);
			got[value]++;
			assert(got[value] == 1)
		:: chosen != NONE && result == 0 && (chosen == 0 -> d0 : d1) == SEND ->
			sent[me + 1]++
		:: else
		fi
	}
}

/* Goroutine me: a select over (c0, d0) and (c1, d1), `rounds` times; a second round ends by its deadline at
 * the latest. */
proctype g(byte me; byte c0; byte d0; byte c1; byte d1; byte rounds)
{
	byte chosen, wake, wt, value, result;
	bool won;
again:
	atomic { in_frame[me] = true; chosen = NONE }
	do
	:: lock_all();
	   pick_ready();
	   if
	   :: chosen == NONE -> /* block() */
#ifdef BUG_8
		unlock_all();
		lock_all();
#endif
		atomic {
			ticket[me]++;
			code[me] = PREPARING;
			link(c0, d0, 0);
			link(c1, d1, 1)
		}
#ifdef BUG_6
		pick_ready();
		if
		:: chosen == 0 -> attempt(c0, d0)
		:: chosen == 1 -> attempt(c1, d1)
		:: else
		fi;
#endif
		unlock_all();
		code[me] != PREPARING;
		unlink(c0, d0, 0);
		unlink(c1, d1, 1);
		atomic {
			if
			:: code[me] == TIMEOUT -> chosen = NONE
			:: else ->
				chosen = code[me] / 2 - 2;
				result = code[me] % 2;
				value = slot[W(me, chosen)]
			fi
		}
		break
	   :: else ->
		if
		:: chosen == 0 -> attempt(c0, d0)
		:: else -> attempt(c1, d1)
		fi;
		if
		:: result == 0 && chosen == 0 && d0 == RECV -> refill(c0)
		:: result == 0 && chosen == 1 && d1 == RECV -> refill(c1)
		:: else
		fi;
		unlock_all();
		if
		:: result < 2 -> break
		:: else ->
			fire(wake, CASE(wake % 2));
#ifdef BUG_5
			won = true;
#endif
			if
			:: won -> result = 0; break
			:: else
			fi
		fi
	   fi
	od;
	in_frame[me] = false;
	count_result();
	if
	:: rounds > 1 -> rounds--; goto again
	:: else
	fi;
	d_step { ended++; chosen = 0; wake = 0; wt = 0; value = 0; result = 0; won = false }
}

/* The deadline of the wait of goroutine x with that ticket passes at some moment. */
proctype timer(byte x; byte t)
{
end_timer:
	atomic {
		ticket[x] >= t;
		if
		:: ticket[x] == t && code[x] == PREPARING -> code[x] = TIMEOUT
		:: else
		fi
	}
}

#ifdef CLOSE
proctype closer(byte c)
{
	byte w, wt;
	bool won;
	LOCK(c);
#ifndef BUG_9
	closed[c] = true;
#endif
	atomic {
		do
		:: len(recvq[c]) > 0 -> recvq[c] ? w; closeq ! w
		:: len(sendq[c]) > 0 -> sendq[c] ? w; closeq ! w
		:: len(recvq[c]) + len(sendq[c]) == 0 -> break
		od
	}
	do /* vai__waitq_fire_all() */
	:: len(closeq) > 0 ->
		atomic { closeq ? w; wt = w_ticket[w] }
		lock[c] = 0;
		fire(w, CASE(w % 2) + 1);
		LOCK(c)
	:: len(closeq) == 0 -> break
	od;
	lock[c] = 0;
#ifdef BUG_9
	closed[c] = true
#endif
}
#endif

#define IS_OK(x) (sent[x] == got[x])

init {
	atomic {
#ifdef PAIR /* two selects, each sends on one channel and receives on the other */
		run g(0, 0, SEND, 1, RECV, 1);
		run g(1, 1, SEND, 0, RECV, 1);
		ended = 1;
#endif
#ifdef SAME /* the same channel in both directions */
		run g(0, 0, SEND, 0, RECV, 1);
		run g(1, 0, RECV, 0, SEND, 1);
		ended = 1;
#endif
#ifdef CLOSE
		run g(0, 0, RECV, 1, RECV, 1);
		run g(1, 1, SEND, NONE, 0, 1);
		run g(2, 1, RECV, 0, SEND, 1);
		run closer(1);
		run timer(0, 1);
#endif
#ifdef TIMED /* a select with a deadline, twice, and two who send to it until theirs */
		run g(0, 0, RECV, 1, RECV, 2);
		run g(1, 0, SEND, NONE, 0, 1);
		run g(2, 1, SEND, NONE, 0, 1);
		run timer(0, 1);
		run timer(0, 2);
		run timer(1, 1);
		run timer(2, 1);
#endif
#ifdef BUFFER /* a full ring, and senders that wait, one of them not for ever */
		ring[0] = 3;
		count[0] = 1;
		sent[3] = 1;
		run g(0, 0, SEND, 1, RECV, 1);
		run g(1, 0, RECV, NONE, 0, 2);
		run timer(0, 1);
		run timer(1, 1);
		run timer(1, 2);
		ended = 1;
#endif
	}
	ended == GS;
	/* what is left in the ring was sent and not received */
	assert(count[0] > 0 || (IS_OK(1) && IS_OK(2) && IS_OK(3)));
	assert(count[0] == 0 || (sent[ring[0]] == 1 && got[ring[0]] == 0))
}

ltl all_end { <> (ended == GS) }

/* SPDX-License-Identifier: MIT */
/* Channels and select as Go's specification tells them, for goroutines of which one runs at a time.
 * Nothing of vai is in here. Goroutines and channels are numbers, messages are numbers from 1 on.
 *
 * An operation is a list of cases, as in a select; a plain send or receive has one. Who begins one
 * asks which cases can go. Where one can, the operation ends at once, and which case it was is told
 * to the model, which does it too. Where none can, it waits: the model knows from then on when it
 * ends and how. */
#ifndef VAI_SPEC_MODEL_H
#define VAI_SPEC_MODEL_H

#include <stdbool.h>

enum { MODEL_CHANS = 4, MODEL_GS = 8, MODEL_CASES = 6, MODEL_QUEUE = 512 };

enum model_dir { MODEL_SEND, MODEL_RECV };
enum model_end { MODEL_OK, MODEL_CLOSED, MODEL_CANCELED };

struct model_case {
	int ch;
	enum model_dir dir;
	int msg; /* to send */
};

struct model_op {
	int n;
	struct model_case cases[MODEL_CASES];
	/* Of one that waited, once it has ended: */
	bool waiting;
	enum model_end end;
	unsigned which; /* a bit for each case that may be the one */
	int msg;        /* received */
};

struct model_queue {
	int n, at[MODEL_QUEUE];
};

struct model_chan {
	int cap;
	bool closed;
	struct model_queue ring, recvq, sendq; /* messages; goroutines */
};

struct model {
	struct model_chan chans[MODEL_CHANS];
	struct model_op ops[MODEL_GS];
};

/* The cases of g's operation that can go, as bits. */
unsigned model_ready(const struct model *m, int g);
/* Case i of g's operation goes: how it ends. received: what came, for a receive. */
enum model_end model_do(struct model *m, int g, int i, int *received);
/* None can: g waits. */
void model_wait(struct model *m, int g);
/* False: it was closed already. */
bool model_close(struct model *m, int ch);
/* False: g does not wait. */
bool model_cancel(struct model *m, int g);

#endif

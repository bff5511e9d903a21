#!/bin/bash
# SPDX-License-Identifier: MIT
# A program that opens its standard output as a uv_pipe_t leaves it non-blocking when it ends. The mode belongs to the pipe, not to the
# program: whoever writes there next, in the same shell command, fails as soon as the reader is slow.
. "$(dirname "$0")/packages.sh"
unpack bookworm libuv1=1.44.2-1+deb12u1 libuv1-dev=1.44.2-1+deb12u1
cat >"$folder/p.c" <<'C'
#include <uv.h>

int main(void)
{
	uv_pipe_t out;
	uv_write_t write;
	uv_buf_t text = uv_buf_init("x", 1);
	uv_pipe_init(uv_default_loop(), &out, 0);
	uv_pipe_open(&out, 1);
	uv_write(&write, (uv_stream_t *)&out, &text, 1, NULL);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&out, NULL);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
C
compile "$folder/p.c" "$folder/p" -luv
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
# through COMMAND...: what a slow reader gets of it and of a million zeros that follow; then what the second writer says.
through() {
	({ "$@"; head -c 1000000 /dev/zero; } 2>"$folder/said") | { sleep 1; wc -c; }
}
plain=$(through printf x)
after=$(through "$folder/p")
saw "printf and head: $plain bytes; the program and head: all $([ "$after" = "$plain" ] && echo yes || echo no), head says:$(cut -d: -f3 "$folder/said")" \
	"printf and head: 1000001 bytes; the program and head: all no, head says: Resource temporarily unavailable"
echo "so: vai.stdin, vai.stdout and vai.stderr never change the mode of what they were given (src/proc/std.c)"

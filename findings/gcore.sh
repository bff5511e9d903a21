#!/bin/bash
# SPDX-License-Identifier: MIT
# gcore reads a mapping in steps of 1 MB and leaves out a step that it cannot read whole: the core holds zeros there. A page made
# inaccessible by mprotect(2) is a mapping of its own, so nothing is lost; one made so by MADV_GUARD_INSTALL (Linux 6.13) lies
# within a mapping, and takes its neighbours along. The kernel's own cores leave out only the page.
. "$(dirname "$0")/packages.sh"
command -v gdb >/dev/null || { echo "needs gdb"; exit 2; }
gdb --version | head -1
cat >"$folder/p.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	char *all = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int guards = madvise(all + 65536, 4096, 102) == 0; /* MADV_GUARD_INSTALL */
	strcpy(all + 131072, "neighbour");
	printf("%s %p\n", guards ? "guards" : "none", all + 131072);
	fflush(stdout);
	sleep(60);
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
"$folder/p" >"$folder/out" &
pid=$!
while [ ! -s "$folder/out" ]; do sleep 0.1; done
read -r guards address <"$folder/out"
gdb -q -batch -p "$pid" -ex "gcore $folder/core" >"$folder/log" 2>&1 || true
kill "$pid"
[ "$guards" = guards ] || { echo "this kernel has no MADV_GUARD_INSTALL"; exit 2; }
saw "$(gdb -q -batch "$folder/p" "$folder/core" -ex "printf \"<%s>\", (char *)$address" 2>/dev/null | grep -o '<.*>')" "<>"
echo "so: doc/DEBUGGING.md asks for the kernel's cores, and mk/vai-gdb.py says where memory is missing"

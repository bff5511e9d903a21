/* SPDX-License-Identifier: MIT */
/* Where the files of C tests go. */
#ifndef VAI_SPEC_TEMP_H
#define VAI_SPEC_TEMP_H

#include <stdio.h>
#include <stdlib.h>

/* Writes the path of that name in the folder for temporary files. spec/run gives each test a folder of its own, in
 * which the test is to leave nothing. */
static inline char *temp_path(char *path, size_t size, const char *name)
{
	const char *folder = getenv("TMPDIR");
	snprintf(path, size, "%s/%s", folder ? folder : "/tmp", name);
	return path;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses files again and again, and prints nanoseconds of its own CPU time each time:
 *   use-loop open TIMES FILE          opens a file for reading, and closes it
 *   use-loop load TIMES FILE FILE...  maps one after the other for execution, and takes it away again
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static long cpu_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * 1000000000L + at.tv_nsec;
}

static int open_one(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	long times = argc > 3 ? atol(argv[2]) : 0, began;
	int loads = argc > 1 && strcmp(argv[1], "load") == 0, files = argc - 3;
	int *fds = calloc(files > 0 ? files : 1, sizeof(int));

	if (times < 1 || fds == NULL)
		return 2;
	for (int n = 0; loads && n < files; n++)
		fds[n] = open_one(argv[3 + n]);
	began = cpu_ns();
	for (long n = 0; n < times; n++) {
		if (loads) {
			void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fds[n % files], 0);

			if (code == MAP_FAILED)
				return 1;
			munmap(code, 4096);
		} else {
			close(open_one(argv[3]));
		}
	}
	printf("%ld\n", (cpu_ns() - began) / times);
	return 0;
}

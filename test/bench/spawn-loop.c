/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one program again and again, one at a time, with a pause in microseconds between: spawn-loop EXECS PROGRAM [PAUSE]
 * Prints nanoseconds: the median and the mean of vfork → exec → exit → wait, and the CPU time of it all, per exec.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000L + at.tv_nsec;
}

static long cpu_ns(int who)
{
	struct rusage used;

	getrusage(who, &used);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000L +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000L;
}

static int by_value(const void *a, const void *b)
{
	long left = *(const long *)a, right = *(const long *)b;

	return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
	long execs = argc >= 3 ? atol(argv[1]) : 0, pause_us = argc > 3 ? atol(argv[3]) : 0;
	long *took = calloc(execs > 0 ? execs : 1, sizeof(long));
	long sum = 0, cpu = cpu_ns(RUSAGE_SELF) + cpu_ns(RUSAGE_CHILDREN);

	if (execs < 1 || took == NULL)
		return 2;
	for (long n = 0; n < execs; n++) {
		long began = now_ns();
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			char *args[] = { argv[2], NULL };
			char *none[] = { NULL };

			execve(argv[2], args, none);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			return 1;
		took[n] = now_ns() - began;
		sum += took[n];
		if (pause_us > 0)
			usleep(pause_us);
	}
	cpu = cpu_ns(RUSAGE_SELF) + cpu_ns(RUSAGE_CHILDREN) - cpu;
	qsort(took, execs, sizeof(long), by_value);
	printf("{\"median\":%ld,\"mean\":%ld,\"cpu\":%ld}\n", took[execs / 2], sum / execs, cpu / execs);
	return 0;
}

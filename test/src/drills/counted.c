/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs programs one after the other until SIGTERM, and keeps the account that everything else is held against.
 *   counted DIR PROGRAMS EXECS_EACH PAUSE_US JOURNAL
 * Exec number n runs DIR/p<w> with n as its first argument; every EXECS_EACH execs a further program joins and the
 * eldest of four leaves. JOURNAL gets for each n, in order, two little-endian 64-bit numbers: CLOCK_MONOTONIC before
 * the exec and after the program's end, in nanoseconds. An exec that fails ends it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ending;

static void end(int number)
{
	(void)number;
	ending = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int run(const char *dir, long which, long n)
{
	char path[512], number[32];
	char *argv[] = { path, number, NULL }, *envp[] = { NULL };
	pid_t pid;

	snprintf(path, sizeof(path), "%s/p%ld", dir, which);
	snprintf(number, sizeof(number), "%ld", n);
	int failed = posix_spawn(&pid, path, NULL, NULL, argv, envp);
	if (failed) {
		fprintf(stderr, "%s: %s\n", path, strerror(failed));
		return failed;
	}
	while (waitpid(pid, NULL, 0) < 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 2;
	long programs = atol(argv[2]), each = atol(argv[3]);
	useconds_t pause_us = atol(argv[4]);
	FILE *journal = fopen(argv[5], "we");

	if (!journal)
		return 1;
	signal(SIGTERM, end);
	for (long n = 0; !ending; n++) {
		uint64_t times[2] = { now_ns(), 0 };

		if (run(argv[1], (n / each + n % 4) % programs, n))
			return 1;
		times[1] = now_ns();
		fwrite(times, sizeof(times), 1, journal);
		usleep(pause_us);
	}
	return fclose(journal) ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs programs as fast as it can and counts them: the other side of the account.
 *   driver storm DIR LOOP EXECS PROGRAMS   runs DIR/p<i>; of three, one as it lies there, one as a fresh copy that is
 *                                          unlinked at once, and one as a copy that deletes itself
 *   driver overwrite FILE EXECS A B        writes A or B into FILE in place and runs it at once, again and again
 * Prints how many execs succeeded. A copy's name and the first argument tell which program it really was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char content[4 << 20];

static ssize_t load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, content, sizeof(content));

	close(fd);
	return size;
}

static void store(const char *path, ssize_t size, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0755);

	if (fd < 0 || write(fd, content, size) != size) {
		perror(path);
		exit(1);
	}
	close(fd);
}

static int start(const char *path, const char *tag, const char *option, pid_t *pid)
{
	char *argv[] = { (char *)path, (char *)tag, (char *)option, NULL };
	char *envp[] = { NULL };

	return posix_spawn(pid, path, NULL, NULL, argv, envp) == 0;
}

static long storm(const char *dir, const char *loop, long execs, long programs)
{
	char original[512], copy[512], tag[32];
	long done = 0;

	for (long n = 0; n < execs; n++) {
		long which = n % programs;
		int way = n % 3;
		pid_t pid;

		snprintf(original, sizeof(original), "%s/p%ld", dir, which);
		snprintf(copy, sizeof(copy), "%s/c%s-%ld-%ld", dir, loop, n, which);
		snprintf(tag, sizeof(tag), "%ld", which);
		if (way)
			store(copy, load(original), O_CREAT | O_EXCL);
		if (start(way ? copy : original, tag, way == 2 ? "itself" : NULL, &pid)) {
			done++;
			if (way == 1)
				unlink(copy);
			waitpid(pid, NULL, 0);
		}
	}
	return done;
}

static long overwrite(const char *file, long execs, const char *a, const char *b)
{
	long done = 0;

	for (long n = 0; n < execs; n++) {
		pid_t pid;

		store(file, load(n & 1 ? b : a), O_CREAT);
		if (start(file, n & 1 ? "1" : "0", NULL, &pid)) {
			done++;
			waitpid(pid, NULL, 0);
		}
	}
	return done;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "storm"))
		printf("%ld\n", storm(argv[2], argv[3], atol(argv[4]), atol(argv[5])));
	else if (argc == 6 && !strcmp(argv[1], "overwrite"))
		printf("%ld\n", overwrite(argv[2], atol(argv[3]), argv[4], argv[5]));
	else
		return 2;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to run a file that shells have no words for. The program that is run gets the word as its argument.
 *   attack tmpfile FILE DIR WORD     a copy that never had a name, by its descriptor
 *   attack deleted FILE WORD         by a descriptor, after its name is gone
 *   attack reuse WAY A B             A, and as soon as it is gone B under the same process id; WAY: file or memfd, and
 *                                    the words are WAY-first and WAY-second-stay
 *   attack deep FILE DIR WORD        by a path of as many bytes as the kernel takes (PATH_MAX with its end)
 *   attack deeper FILE DIR WORD      by a short name, in a folder whose path is longer than any call takes
 *   attack odd FILE DIR WORD         by a name that is no UTF-8
 *   attack many FILE WORD COUNT      with so many arguments behind the word
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME 200

static void must(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static void copy(int to, const char *from)
{
	char bytes[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	must(in >= 0, from);
	while ((size = read(in, bytes, sizeof(bytes))) > 0)
		must(write(to, bytes, size) == size, "write");
	must(fchmod(to, 0755) == 0, "fchmod");
	close(in);
}

static void copy_to(const char *to, const char *from)
{
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	must(out >= 0, to);
	copy(out, from);
	close(out);
}

static void run(const char *path, const char *word)
{
	char *argv[] = { "tool", (char *)word, NULL };

	execv(path, argv);
	must(0, path);
}

/* Opened anew for reading: what is open for writing cannot be run. */
static void run_descriptor(int written, const char *word)
{
	char link[64];
	int fd;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", written);
	fd = open(link, O_RDONLY | O_CLOEXEC);
	must(fd >= 0, link);
	close(written);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	run(link, word);
}

static void run_memfd(const char *file, const char *word)
{
	int fd = memfd_create("payload", MFD_CLOEXEC);

	must(fd >= 0, "memfd_create");
	copy(fd, file);
	run_descriptor(fd, word);
}

/* A child under a process id of our choice, which must be free; 0: any. */
static pid_t child(pid_t wanted)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t pid;

	if (wanted) {
		args.set_tid = (uintptr_t)&wanted;
		args.set_tid_size = 1;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	must(pid >= 0, "clone3");
	return pid;
}

static pid_t start(const char *way, const char *file, const char *word, pid_t wanted)
{
	pid_t pid = child(wanted);

	if (pid == 0 && !strcmp(way, "memfd"))
		run_memfd(file, word);
	if (pid == 0)
		run(file, word);
	return pid;
}

static int reuse(const char *way, const char *a, const char *b)
{
	char word[64];
	pid_t pid;

	snprintf(word, sizeof(word), "%s-first", way);
	pid = start(way, a, word, 0);
	must(waitpid(pid, NULL, 0) == pid, "waitpid");
	snprintf(word, sizeof(word), "%s-second-stay", way);
	must(start(way, b, word, pid) == pid, "the same process id");
	printf("%d\n", pid);
	return waitpid(pid, NULL, 0) != pid;
}

/* Makes folders below the current one and goes there, until the path of what comes next has so many bytes. */
static void descend(size_t length, size_t wanted)
{
	char name[NAME + 1];

	while (length + NAME + 2 < wanted) {
		memset(name, 'd', NAME);
		name[NAME] = 0;
		must(mkdir(name, 0755) == 0 && chdir(name) == 0, "descend");
		length += NAME + 1;
	}
}

static void deep(const char *file, const char *dir, const char *word)
{
	char path[PATH_MAX] = "", name[NAME_MAX + 1] = "";
	size_t length = strlen(dir), rest;

	must(chdir(dir) == 0, dir);
	descend(length, PATH_MAX - 1);
	strcpy(path, dir);
	while (length + NAME + 2 < PATH_MAX - 1) {
		path[length++] = '/';
		memset(path + length, 'd', NAME);
		length += NAME;
	}
	rest = PATH_MAX - 1 - length - 1;
	memset(name, 't', rest);
	copy_to(name, file);
	path[length++] = '/';
	memcpy(path + length, name, rest);
	run(path, word);
}

static void deeper(const char *file, const char *dir, const char *word)
{
	must(chdir(dir) == 0, dir);
	descend(strlen(dir), 2 * PATH_MAX);
	copy_to("tool", file);
	run("./tool", word);
}

static void odd(const char *file, const char *dir, const char *word)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/\xff\n\xfe\x01", dir);
	copy_to(path, file);
	run(path, word);
}

static void many(const char *file, const char *word, long count)
{
	char **argv = calloc(count + 3, sizeof(char *));

	argv[0] = "tool";
	argv[1] = (char *)word;
	for (long n = 0; n < count; n++)
		argv[n + 2] = "argument";
	execv(file, argv);
	must(0, file);
}

int main(int argc, char **argv)
{
	const char *way = argc > 3 ? argv[1] : "";
	const char *file = argv[2];
	int fd;

	if (!strcmp(way, "tmpfile")) {
		fd = open(argv[3], O_TMPFILE | O_RDWR | O_CLOEXEC, 0755);
		must(fd >= 0, "O_TMPFILE");
		copy(fd, file);
		run_descriptor(fd, argv[4]);
	} else if (!strcmp(way, "deleted")) {
		char *args[] = { "tool", argv[3], NULL };

		fd = open(file, O_RDONLY | O_CLOEXEC);
		must(fd >= 0 && unlink(file) == 0, file);
		fexecve(fd, args, environ);
	} else if (!strcmp(way, "reuse")) {
		return reuse(file, argv[3], argv[4]);
	} else if (!strcmp(way, "deep")) {
		deep(file, argv[3], argv[4]);
	} else if (!strcmp(way, "deeper")) {
		deeper(file, argv[3], argv[4]);
	} else if (!strcmp(way, "odd")) {
		odd(file, argv[3], argv[4]);
	} else if (!strcmp(way, "many")) {
		many(file, argv[3], atol(argv[4]));
	}
	return 2;
}

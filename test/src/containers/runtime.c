/*
 * Does in a container's cgroup what runtimes do to set a container up, and what somebody would do to look like one:
 *   runtime <way> <cgroup.procs> <word>    forks; the child enters the cgroup and executes, the way that is asked for
 *   runtime stay <word>                    runs for a moment, and once more as its own child
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A copy of this program, with a byte more where it shall not be the same. */
static int copy_to(int to, int changed)
{
	int from = open("/proc/self/exe", O_RDONLY);
	struct stat st;

	if (from < 0 || fstat(from, &st) || sendfile(to, from, NULL, st.st_size) != st.st_size)
		return -1;
	return changed && write(to, "x", 1) != 1 ? -1 : to;
}

static int run(const char *way, const char *word)
{
	char *args[] = { "runc", "stay", (char *)word, NULL };

	if (!strcmp(way, "itself"))
		return execv("/proc/self/exe", args);
	if (!strcmp(way, "memfd") || !strcmp(way, "changed-memfd"))
		return fexecve(copy_to(memfd_create("runc", 0), way[0] == 'c'), args, environ);
	/* Any other program of the host, under a runtime's name. */
	return execv(way, args);
}

int main(int argc, char **argv)
{
	int stays = argc == 3 && !strcmp(argv[1], "stay");
	int ends = argc == 3 && !strcmp(argv[1], "end");
	pid_t child;
	FILE *procs;

	if (ends)
		return 0;
	if (!stays && argc != 4)
		return 2;
	child = fork();
	if (child == 0 && stays) {
		execl("/proc/self/exe", "runc", "end", argv[2], NULL);
		return 3;
	}
	if (child == 0) {
		procs = fopen(argv[2], "w");
		if (!procs || fprintf(procs, "0") < 0 || fclose(procs))
			return 4;
		run(argv[1], argv[3]);
		return 5;
	}
	if (stays)
		usleep(800 * 1000);
	waitpid(child, NULL, 0);
	return 0;
}

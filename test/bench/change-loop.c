// Does one thing to a file again and again and prints nanoseconds of its CPU time for each:
// `change-loop <write|chmod|open|read|pages|make> <file> <times>`. `make`: a file of its own beside it, written and removed;
// `pages`: a page without a file.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char other[4096];

static int map_once(void)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED || munmap(at, 4096);
}

static int once(char way, int fd, const char *file, long done)
{
	char byte;

	if (way == 'w') return pwrite(fd, "x", 1, 0) != 1;
	if (way == 'c') return fchmod(fd, done & 1 ? 0755 : 0750);
	if (way == 'o') return close(open(file, O_RDONLY));
	if (way == 'r') return pread(fd, &byte, 1, 0) != 1;
	if (way == 'p') return map_once();
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL, 0644);
	return write(fd, "x", 1) != 1 || close(fd) || unlink(other);
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	long times = argc == 4 ? atol(argv[3]) : 0;
	int fd = argc == 4 ? open(argv[2], O_RDWR | O_CREAT, 0755) : -1;

	if (fd < 0 || times <= 0 || pwrite(fd, "x", 1, 0) != 1) return 2;
	snprintf(other, sizeof other, "%s.other", argv[2]);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long done = 0; done < times; done++)
		if (once(argv[1][0], fd, argv[2], done)) return 1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("%.1f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / times);
	return 0;
}

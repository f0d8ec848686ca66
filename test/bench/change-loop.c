// Changes one file again and again and prints nanoseconds of its CPU time for each: `change-loop <write|chmod> <file> <times>`.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec from, to;
	long times = argc == 4 ? atol(argv[3]) : 0;
	int fd = argc == 4 ? open(argv[2], O_RDWR | O_CREAT, 0755) : -1, is_write = argc == 4 && !strcmp(argv[1], "write");

	if (fd < 0 || times <= 0) return 2;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long done = 0; done < times; done++)
		if (is_write ? pwrite(fd, "x", 1, 0) != 1 : fchmod(fd, done & 1 ? 0755 : 0750)) return 1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("%.1f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / times);
	return 0;
}

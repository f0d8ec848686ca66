/* SPDX-License-Identifier: Apache-2.0 */
/* Writes to each of many executable files once, then once more, and so on: rewrite PREFIX FILES ROUNDS */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* More than two ticks of any clock: each write moves the file's time. */
#define PAUSE_US 20000

int main(int argc, char **argv)
{
	long files = argc == 4 ? atol(argv[2]) : 0;
	long rounds = argc == 4 ? atol(argv[3]) : 0;
	char path[4096];

	if (files < 1)
		return 2;
	for (long round = 0; round < rounds; round++) {
		for (long n = 0; n < files; n++) {
			int fd;

			snprintf(path, sizeof(path), "%s.%ld", argv[1], n);
			fd = open(path, O_WRONLY | O_CREAT, 0755);
			if (fd < 0 || write(fd, path, 8) != 8 || close(fd)) {
				perror(path);
				return 1;
			}
		}
		usleep(PAUSE_US);
	}
	return 0;
}
